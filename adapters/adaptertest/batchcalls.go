package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/corralcache/corral"
)

// batch is a cache of which many keys are asked at once. Its calls fail the
// sub-test like those of the probe.
type batch[K comparable, V any] struct {
	p     *probe[K, V]
	cache corral.BatchCache[K, V]
}

// batch returns nil for a cache that takes one key at a time.
func (p *probe[K, V]) batch(through corral.Cache[K, V]) *batch[K, V] {
	if c, ok := through.(corral.BatchCache[K, V]); ok {
		return &batch[K, V]{p, c}
	}
	return nil
}

func callMany(name string, keys any) string { return fmt.Sprintf("%s(%s)", name, show(keys)) }

// tryGet fails unless there is an entry, or nil, for each key. Only an error of
// the whole call comes without.
func (b *batch[K, V]) tryGet(ctx context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	given := slices.Clone(keys)
	b.p.await(callMany("GetMany", keys), b.p.patience(), func() { entries, err = b.cache.GetMany(ctx, given) })
	var some *corral.KeyErrors[K]
	switch {
	case !slices.Equal(given, keys):
		b.p.failf("%s changed the slice of keys to %s", callMany("GetMany", keys), show(given))
	case len(entries) != len(keys) && (err == nil || errors.As(err, &some)):
		b.p.failf("%s returned %d entries, want %d", callMany("GetMany", keys), len(entries), len(keys))
	}
	return entries, err
}

func (b *batch[K, V]) get(keys []K) []*corral.Entry[V] {
	entries, err := b.tryGet(b.p.ctx, keys)
	b.p.must(callMany("GetMany", keys), err)
	return entries
}

// write sets without settling.
func (b *batch[K, V]) write(keys []K, entries []*corral.Entry[V]) {
	givenKeys, given := slices.Clone(keys), slices.Clone(entries)
	b.p.must(callMany("SetMany", keys), b.trySet(b.p.ctx, givenKeys, given))
	if !slices.Equal(givenKeys, keys) || !slices.Equal(given, entries) {
		b.p.failf("%s changed a slice that it was given", callMany("SetMany", keys))
	}
}

func (b *batch[K, V]) trySet(ctx context.Context, keys []K, entries []*corral.Entry[V]) (err error) {
	b.p.await(callMany("SetMany", keys), b.p.patience(), func() { err = b.cache.SetMany(ctx, keys, entries) })
	return err
}

func (b *batch[K, V]) set(keys []K, entries []*corral.Entry[V]) {
	b.write(keys, entries)
	b.settle(keys)
}

// setAndSpoil uses its slices for something else before it settles.
func (b *batch[K, V]) setAndSpoil(keys []K, entries []*corral.Entry[V]) {
	givenKeys, given := slices.Clone(keys), slices.Clone(entries)
	b.p.must(callMany("SetMany", keys), b.trySet(b.p.ctx, givenKeys, given))
	for n := range given {
		givenKeys[n], given[n] = b.p.Key(9999), b.p.entry(9999)
	}
	b.settle(keys)
}

// discard is set of entries some of which must not stay. That may count as
// refused.
func (b *batch[K, V]) discard(keys []K, entries []*corral.Entry[V]) {
	b.write(keys, entries)
	for _, key := range keys {
		if err := b.p.apply(key); !errors.Is(err, corral.ErrRefused) {
			b.p.must(call("Settle", key), err)
		}
	}
}

func (b *batch[K, V]) settle(keys []K) {
	for _, key := range keys {
		b.p.settleBy(b.cache, key)
	}
}

func (b *batch[K, V]) remove(keys []K) {
	given := slices.Clone(keys)
	b.p.must(callMany("DeleteMany", keys), b.tryRemove(b.p.ctx, given))
	if !slices.Equal(given, keys) {
		b.p.failf("%s changed the slice of keys to %s", callMany("DeleteMany", keys), show(given))
	}
}

func (b *batch[K, V]) tryRemove(ctx context.Context, keys []K) (err error) {
	b.p.await(callMany("DeleteMany", keys), b.p.patience(), func() { err = b.cache.DeleteMany(ctx, keys) })
	return err
}

// wantAsGet fails unless GetMany returns what Get returns of each key.
func (b *batch[K, V]) wantAsGet(keys []K, when string) {
	start := time.Now()
	entries := b.get(keys)
	for n, key := range keys {
		single := b.p.getBy(b.cache, key)
		b.likeGet(key, entries[n], single, time.Since(start), when)
	}
}

// likeGet compares what GetMany and, so much later, Get returned of a key.
func (b *batch[K, V]) likeGet(key K, got, single *corral.Entry[V], later time.Duration, when string) {
	at := fmt.Sprintf("GetMany %s, in the place of %s,", when, show(key))
	switch {
	case got == nil && single == nil:
	case single == nil && !b.p.Plain && time.Since(got.LoadedAt) >= got.Keep: // between the two calls
	case got == nil:
		b.p.failf("%s returned nil, and Get an entry with the value %s", at, show(single.Value))
	case single == nil:
		b.p.failf("%s returned an entry with the value %s, and Get missed", at, show(got.Value))
	case b.p.differ(got, single) != "":
		b.p.failf("%s returned %s, which Get returned", at, b.p.differ(got, single))
	case b.p.Plain:
		b.likeBare(at, got, single, later)
	}
}

func (b *batch[K, V]) likeBare(at string, got, single *corral.Entry[V], later time.Duration) {
	diff := got.Keep - single.Keep
	switch {
	case !got.LoadedAt.IsZero():
		b.p.failf("%s returned an entry with LoadedAt %v, want the zero time", at, got.LoadedAt)
	case diff < -b.p.Granularity || diff > later+b.p.Granularity:
		b.p.failf("%s returned an entry with Keep %v, and Get, %v later, one with %v", at, got.Keep, later, single.Keep)
	case (got.Keep == math.MaxInt64) != (single.Keep == math.MaxInt64):
		b.p.failf("%s returned an entry with Keep %v, and Get one with %v", at, got.Keep, single.Keep)
	}
}

// wantEntries fails unless GetMany returns these.
func (b *batch[K, V]) wantEntries(keys []K, want []*corral.Entry[V], when string) {
	for n, got := range b.get(keys) {
		at := fmt.Sprintf("GetMany %s, in the place of %s,", when, show(keys[n]))
		switch {
		case got == nil && want[n] != nil:
			b.p.failf("%s returned nil, want the entry", at)
		case got != nil && want[n] == nil:
			b.p.failf("%s returned an entry with the value %s, want nil", at, show(got.Value))
		case got != nil && b.p.differ(got, want[n]) != "":
			b.p.failf("%s returned %s", at, b.p.differ(got, want[n]))
		}
	}
}

// wantAfterSet is want for any entry: of bare values an absent one is a miss.
func (p *probe[K, V]) wantAfterSet(key K, e *corral.Entry[V], when string) {
	if p.Plain && e.Absent {
		p.wantMiss(key, when)
		return
	}
	p.want(key, e, when)
}

func (p *probe[K, V]) wantMisses(keys []K, when string) {
	for _, key := range keys {
		p.wantMiss(key, when)
	}
}

func (p *probe[K, V]) removeAll(keys []K) {
	for _, key := range keys {
		p.remove(key)
	}
}

// of returns what the error of a call with many keys says of one of them.
func of[K comparable](err error, key K) error {
	var some *corral.KeyErrors[K]
	if errors.As(err, &some) && some != nil {
		return some.Errors[key]
	}
	return err
}

// least is nil if err says nothing of one of the keys.
func least[K comparable](err error, keys []K) error {
	for _, key := range keys {
		if of(err, key) == nil {
			return nil
		}
	}
	return err
}

// batchOperations are all calls for the keys, with the entries that they set.
func (p *probe[K, V]) batchOperations(keys []K, entries []*corral.Entry[V]) []operation {
	c, ok := p.cache.(corral.BatchCache[K, V])
	if !ok {
		return nil
	}
	return []operation{
		{callMany("GetMany", keys), func(ctx context.Context) error { _, err := c.GetMany(ctx, keys); return least(err, keys) }},
		{callMany("SetMany", keys), func(ctx context.Context) error { return least(c.SetMany(ctx, keys, entries), keys) }},
		{callMany("DeleteMany", keys), func(ctx context.Context) error { return least(c.DeleteMany(ctx, keys), keys) }},
	}
}
