// Package ristrettoadapter lets a [corral.Loader] work over a Ristretto cache
// that its user made.
//
// [New] is for a cache of entries, or of an [Item] for each, and is the faster one:
// a hit is Ristretto's Get and a look at the clock. [Plain] is for a cache of bare
// values that already exists and is read and written by others too.
//
// Ristretto buffers new keys, drops writes when its buffer is full, shows a
// deleted value when an older write is applied late, and panics or hangs when a
// write meets Close. None of that passes this package: see [Cache.Set],
// [Cache.Delete] and [Cache.Settle].
//
// Make one adapter for a Ristretto cache and share it: the adapter orders the
// writes of a key, and can order only its own. Other code may read the cache
// directly; what it writes or clears there the adapter sees at the latest after
// a tenth of a second. Close the Loader before the cache. A write that the
// Close of the cache overtakes returns an error, and may leave one goroutine
// behind, which Ristretto's own Wait never wakes.
//
// Ristretto tells keys apart by their hashes: 128 bits for strings, the number
// itself for integers. With a ristretto.Config.KeyToHash whose second result is
// 0, two keys with the same first result share one value, and no adapter can
// tell.
package ristrettoadapter

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
	"github.com/dgraph-io/ristretto/v2"
)

var (
	_ corral.Cache[string, any]      = (*Cache[string, any])(nil)
	_ corral.Glancer[string, any]    = (*Cache[string, any])(nil)
	_ corral.Settler[string]         = (*Cache[string, any])(nil)
	_ corral.Checker                 = (*Cache[string, any])(nil)
	_ corral.PlainCache[string, any] = (*PlainCache[string, any])(nil)
	_ corral.Settler[string]         = (*PlainCache[string, any])(nil)
	_ corral.Checker                 = (*PlainCache[string, any])(nil)
)

var errNilEntry = errors.New("ristrettoadapter: the entry is nil")

// Cache holds entries in a Ristretto cache. Make it with [New]. All calls are
// safe for concurrent use.
//
// The entries are stored without a TTL of Ristretto's, which would read the
// clock on each Get. So an entry that is dead, because its Keep has passed, may
// still be found. Its memory is given back 1 to 3 s after its end, by a timer
// that is set only while there are entries; for that the adapter keeps about
// 18 bytes for each key, and [Item] 22, beside the entry's own 80 and its value, and
// Ristretto's own 110. It keeps the text of the keys too, which Ristretto does not.
type Cache[K Key, V any] struct {
	entries *ristretto.Cache[K, *corral.Entry[V]] // nil if it is items
	items   *ristretto.Cache[K, Item[V]]          // nil if it is entries
	store   *store[K, *corral.Entry[V]]
	index   *index[K] // nil unless Options.Enumerable
	opts    Options[V]
}

// New returns an adapter over c, which stays its user's to close. A nil c is
// reported by [Cache.Check] and by every call.
//
// What c holds is up to its user: the entries, or an [Item] for each, which takes 16
// bytes more and is faster where there are many keys.
//
// Functions in c's configuration get what it holds: a ristretto.Config.Cost is not
// asked unless Options.Cost returns 0, and a ShouldUpdate that refuses makes
// Set fail with [corral.ErrRefused] and deletes the entry that was there.
func New[K Key, V any, S *corral.Entry[V] | Item[V]](c *ristretto.Cache[K, S], opts Options[V]) *Cache[K, V] {
	a := &Cache[K, V]{opts: opts}
	var under raw[K, *corral.Entry[V]]
	switch c := any(c).(type) {
	case *ristretto.Cache[K, *corral.Entry[V]]:
		a.entries, under = c, c
	case *ristretto.Cache[K, Item[V]]:
		a.items, under = c, itemCache[K, V]{c}
	}
	a.store = newStore(under, func(was, is *corral.Entry[V]) bool { return was == is })
	a.store.left = held[V]
	if opts.Enumerable {
		a.index = newIndex(a.store)
	}
	return a
}

// none reports whether the adapter was given no cache.
func (a *Cache[K, V]) none() bool { return a.entries == nil && a.items == nil }

// Get returns the very entry that was set, or nil and nil. It allocates
// nothing. The context is not looked at.
func (a *Cache[K, V]) Get(_ context.Context, key K) (e *corral.Entry[V], err error) {
	defer guard(&err) // a Get that meets Close may panic in Ristretto
	if e = a.look(key).Entry; e != nil {
		return e, nil
	}
	return a.missed(key)
}

// Glance is Get, and with items without a look at the entry, which most hits do not
// need. Unlike Get it may panic if it meets the Close of the Ristretto cache.
func (a *Cache[K, V]) Glance(_ context.Context, key K) (corral.Glance[V], error) {
	if g := a.look(key); g.Entry != nil {
		return g, nil
	}
	e, err := a.missed(key)
	if e == nil {
		return corral.Glance[V]{}, err
	}
	return glance(e), err
}

// look looks into Ristretto alone.
func (a *Cache[K, V]) look(key K) (g corral.Glance[V]) {
	if a.items == nil {
		if e, _ := a.entries.Get(key); e != nil {
			return glance(e)
		}
		return g
	}
	it, _ := a.items.Get(key)
	if it.entry == nil {
		return g // without a look at the clock
	}
	return corral.Glance[V]{Entry: it.entry, Value: it.at(), Quiet: now() < it.quiet}
}

func glance[V any](e *corral.Entry[V]) corral.Glance[V] {
	quiet := e.Quiet()
	return corral.Glance[V]{Entry: e, Quiet: quiet > 0 && time.Since(e.LoadedAt) < quiet}
}

// missed looks for what Ristretto has not, or has only buffered.
func (a *Cache[K, V]) missed(key K) (*corral.Entry[V], error) {
	if a.none() {
		return nil, errNoCache
	}
	e, _, _, err := a.store.missed(key)
	return e, err
}

// Set stores e, visibly at once. It waits only if the key has an unsettled
// write or Ristretto dropped this one, which is then made again until ctx ends.
//
// The error wraps [corral.ErrRefused] if e costs more than the whole cache may
// or ShouldUpdate refused it. Ristretto's admission policy decides later: then
// e is gone after a while, and [Cache.Settle] says so.
func (a *Cache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	now := time.Now()
	switch {
	case a.none():
		return errNoCache
	case e == nil:
		return errNilEntry
	case stored.Left(e, now) <= 0:
		return a.store.remove(ctx, key)
	}
	cost := int64(1)
	if !e.Absent {
		var err error
		if cost, err = a.opts.cost(e.Value); err != nil {
			return err
		}
	}
	err := a.store.put(ctx, key, e, cost, noLife, now)
	if err == nil && a.index != nil {
		a.index.add(key)
	}
	return err
}

// Delete removes key's entry, with what is buffered of it. It waits until
// Ristretto has applied the deletion, or for ctx's end, which is an error: the
// entry may then be seen again.
func (a *Cache[K, V]) Delete(ctx context.Context, key K) error {
	if a.none() {
		return errNoCache
	}
	return a.store.remove(ctx, key)
}

// Settle waits until the last Set of key is applied. Concurrent calls share the
// wait. The error wraps [corral.ErrRefused] if Ristretto did not admit the
// entry. Settle is not needed for Get to find the entry.
func (a *Cache[K, V]) Settle(ctx context.Context, key K) error {
	if a.none() {
		return errNoCache
	}
	return a.store.settleKey(ctx, key)
}

// Check returns an error if [New] was given no cache.
func (a *Cache[K, V]) Check() error {
	if a.none() {
		return errNoCache
	}
	return nil
}

// Stats returns what the adapter counted since it was made.
func (a *Cache[K, V]) Stats() Stats { return a.store.stats() }

func (s *store[K, S]) stats() Stats {
	return Stats{Refused: s.refused.Load(), Contended: s.contended.Load(), Swept: s.swept.Load()}
}

// left is how much of e's Keep remains.
func left[V any](e *corral.Entry[V]) time.Duration { return stored.Left(e, time.Now()) }

// held is how long e is to be held after an instant, and whether e will say so again
// later: one of unknown age says the same at any time.
func held[V any](e *corral.Entry[V], now time.Time) (left time.Duration, aged bool) {
	if e == nil {
		return 0, true
	}
	return stored.Left(e, now), !e.LoadedAt.IsZero()
}
