package ristrettoadapter

import (
	"context"
	"math"
	"reflect"
	"time"

	"github.com/corralcache/corral"
	"github.com/dgraph-io/ristretto/v2"
)

// PlainCache holds bare values in a Ristretto cache, with Ristretto's own TTL
// for their lives. Make it with [Plain]. All calls are safe for concurrent use.
type PlainCache[K Key, V any] struct {
	c     *ristretto.Cache[K, V]
	store *store[K, V]
	opts  Options[V]
}

// Plain returns an adapter over c, which stays its user's to close, and whose
// values stay as they are. A nil c is reported by [PlainCache.Check] and by
// every call.
//
// To a Loader a value is fresh for what is left of its life, less the longer of
// StaleFor and StaleIfError: one that others wrote with a shorter life is stale
// at once, one without an end always fresh.
//
// A ristretto.Config.ShouldUpdate that refuses a value makes SetValue fail with
// [corral.ErrRefused] and deletes the value that was there.
func Plain[K Key, V any](c *ristretto.Cache[K, V], opts Options[V]) *PlainCache[K, V] {
	return &PlainCache[K, V]{c: c, store: newStore(c, same[V]), opts: opts}
}

// same says whether Ristretto holds what was written. It may also hold an equal
// value, with which nothing is lost. A value that does not equal itself, such
// as a NaN or a func, is taken for the one that was written.
func same[V any](stored, written V) bool {
	return reflect.DeepEqual(stored, written) || !reflect.DeepEqual(written, written)
}

// GetValue returns the value of key and what is left of its life, both of the
// same write if that was made through this adapter; below zero if it has no
// end. ok is false for a miss. It allocates nothing.
//
// The context is looked at only if writes kept coming between.
func (a *PlainCache[K, V]) GetValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	defer guard(&err) // a Get that meets Close may panic in Ristretto
	if a.c == nil {
		return value, 0, false, errNoCache
	}
	const tries = 4
	for range tries {
		ended, begun := a.store.ended.Load(), a.store.begun.Load()
		if value, ok = a.c.Get(key); ok {
			life, ok = a.store.ttl(key)
		} else if value, life, ok, err = a.store.missed(key); !ok {
			return value, 0, false, err
		}
		if ended == begun && begun == a.store.begun.Load() {
			return value, life, ok, err
		}
	}
	return a.ownedValue(ctx, key)
}

// ownedValue reads with the adapter's writers of key locked out.
func (a *PlainCache[K, V]) ownedValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	w, err := a.store.own(ctx, key, false)
	if err != nil {
		return value, 0, false, err
	}
	defer a.store.release(key, w)
	value, ok, err = a.store.get(key)
	if err == nil && ok {
		life, ok, err = a.store.lifeOf(key)
	}
	return value, life, ok, err
}

// SetValue stores value for life, visibly at once; what it waits for and
// returns is as in [Cache.Set]. A life of zero or below removes what was there.
func (a *PlainCache[K, V]) SetValue(ctx context.Context, key K, value V, life time.Duration) error {
	if a.c == nil {
		return errNoCache
	}
	if life <= 0 {
		return a.store.remove(ctx, key)
	}
	cost, err := a.opts.cost(value)
	if err != nil {
		return err
	}
	now := time.Now()
	return a.store.put(ctx, key, value, cost, lifeFor(life, now), now)
}

// lifeFor takes off a nanosecond: Ristretto still has a value at the instant of
// its end and then reports a life of 0, as it does for a value without an end.
func lifeFor(d time.Duration, now time.Time) life {
	d = max(d-1, 1)
	return life{ttl: d, end: now.Add(d)}
}

// Get returns the value of key as an entry of unknown age: LoadedAt is zero and
// Keep is what is left of its life. The Loader calls GetValue instead, which
// has no entry to allocate.
func (a *PlainCache[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	value, life, ok, err := a.GetValue(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	if life < 0 {
		life = math.MaxInt64
	}
	return &corral.Entry[V]{Value: value, Keep: life}, nil
}

// Set stores the value of e for what is left of its Keep. An absent entry
// removes what was there.
func (a *PlainCache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	switch {
	case a.c == nil:
		return errNoCache
	case e == nil:
		return errNilEntry
	case e.Absent:
		return a.store.remove(ctx, key)
	}
	return a.SetValue(ctx, key, e.Value, left(e))
}

// Delete removes key's value; see [Cache.Delete].
func (a *PlainCache[K, V]) Delete(ctx context.Context, key K) error {
	if a.c == nil {
		return errNoCache
	}
	return a.store.remove(ctx, key)
}

// Settle waits until the last write of key is applied; see [Cache.Settle].
func (a *PlainCache[K, V]) Settle(ctx context.Context, key K) error {
	if a.c == nil {
		return errNoCache
	}
	return a.store.settleKey(ctx, key)
}

// Check returns an error if [Plain] was given no cache, or Options.Enumerable.
func (a *PlainCache[K, V]) Check() error {
	switch {
	case a.c == nil:
		return errNoCache
	case a.opts.Enumerable:
		return &corral.OptionError{Field: "ristrettoadapter.Options.Enumerable", Value: true, Bound: "must be false for Plain: others write to its cache too"}
	}
	return nil
}

// Stats returns what the adapter counted since it was made. Swept is zero:
// Ristretto deletes dead values itself.
func (a *PlainCache[K, V]) Stats() Stats { return a.store.stats() }
