// Package memadapter is the reference for adapters: the plainest cache that
// keeps every promise of the port. It holds what it is given in this process's
// memory until its time is over, and refuses and evicts nothing before. That
// makes it right for tests, for examples and for small sets of keys; where
// memory must stay below a bound, use a cache that evicts.
package memadapter

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

var errNilEntry = errors.New("memadapter: the entry is nil")

// Cache holds entries for as long as their Keep says. Its zero value is empty
// and ready. All calls are safe for concurrent use, answer at once and do not
// look at their context.
//
// No goroutine tidies up. The Set of a new key does so in one of 16 parts of the
// cache, whenever that part may have doubled since the last time: the cache never
// holds more than 1024 entries and twice those that lived then. Readers go on
// meanwhile. A part that is nearly empty after a Delete is given back too.
type Cache[K comparable, V any] struct {
	store store[K, held[V]]
}

// held is an entry, and beside it what most hits look at, so that they do not touch
// it: its value if that is a pointer, else nil, and until when it is quiet. Glance
// reads the clock once for both its ends, and the Loader not at all.
type held[V any] struct {
	entry *corral.Entry[V]
	value any
	quiet int64
}

var (
	_ corral.Cache[string, any]      = (*Cache[string, any])(nil)
	_ corral.Glancer[string, any]    = (*Cache[string, any])(nil)
	_ corral.PlainCache[string, any] = (*PlainCache[string, any])(nil)
)

// New returns an empty cache of entries.
func New[K comparable, V any]() *Cache[K, V] { return new(Cache[K, V]) }

// Get returns the very entry that was set, or nil. The error is always nil.
func (c *Cache[K, V]) Get(_ context.Context, key K) (*corral.Entry[V], error) {
	h, _, _ := c.store.get(key)
	return h.entry, nil
}

// Glance is Get that also says whether the entry is quiet. The error is always nil.
func (c *Cache[K, V]) Glance(_ context.Context, key K) (corral.Glance[V], error) {
	it := c.store.find(key)
	if it == nil {
		return corral.Glance[V]{}, nil
	}
	at := now()
	if at >= it.end && it.end != noEnd {
		return corral.Glance[V]{}, nil
	}
	return corral.Glance[V]{Entry: it.value.entry, Value: it.value.value, Quiet: at < it.value.quiet}, nil
}

// Set keeps e until Keep after its LoadedAt, or, if its age is unknown, Keep
// from now. An entry whose time is over already removes what was there. The
// error is nil unless e is.
func (c *Cache[K, V]) Set(_ context.Context, key K, e *corral.Entry[V]) error {
	if e == nil {
		return errNilEntry
	}
	h := held[V]{entry: e, quiet: stored.QuietUntil(e, now())}
	if reflect.TypeFor[V]().Kind() == reflect.Pointer {
		h.value = e.Value
	}
	c.store.set(key, h, stored.Left(e, time.Now()))
	return nil
}

// Delete removes the entry of key, if there is one. The error is always nil.
func (c *Cache[K, V]) Delete(_ context.Context, key K) error {
	c.store.delete(key)
	return nil
}
