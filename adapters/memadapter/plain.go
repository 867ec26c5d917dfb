package memadapter

import (
	"context"
	"math"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// PlainCache holds bare values, each for a life of its own. Its zero value is
// empty and ready. What [Cache] says of concurrency and memory holds here too.
type PlainCache[K comparable, V any] struct {
	store store[K, V]
}

// Plain returns an empty cache of bare values.
func Plain[K comparable, V any]() *PlainCache[K, V] { return new(PlainCache[K, V]) }

// GetValue returns the value of key and what is left of its life; below zero
// says that it has no end. ok is false for a miss. The error is always nil.
func (c *PlainCache[K, V]) GetValue(_ context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	value, life, ok = c.store.get(key)
	return value, life, ok, nil
}

// SetValue keeps value for life. The longest life there is has no end; one of
// zero or below removes what was there. The error is always nil.
func (c *PlainCache[K, V]) SetValue(_ context.Context, key K, value V, life time.Duration) error {
	c.store.set(key, value, life)
	return nil
}

// Get returns the value of key as an entry of unknown age: LoadedAt is zero and
// Keep is what is left of its life. It returns nil for a miss. The error is
// always nil.
func (c *PlainCache[K, V]) Get(_ context.Context, key K) (*corral.Entry[V], error) {
	value, life, ok := c.store.get(key)
	if !ok {
		return nil, nil
	}
	if life < 0 {
		life = math.MaxInt64
	}
	return &corral.Entry[V]{Value: value, Keep: life}, nil
}

// Set keeps the value of e for what is left of its Keep. An absent entry
// removes what was there. The error is nil unless e is.
func (c *PlainCache[K, V]) Set(_ context.Context, key K, e *corral.Entry[V]) error {
	switch {
	case e == nil:
		return errNilEntry
	case e.Absent:
		c.store.delete(key)
	default:
		c.store.set(key, e.Value, stored.Left(e, time.Now()))
	}
	return nil
}

// Delete removes the value of key, if there is one. The error is always nil.
func (c *PlainCache[K, V]) Delete(_ context.Context, key K) error {
	c.store.delete(key)
	return nil
}
