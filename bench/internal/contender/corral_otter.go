package contender

import (
	"context"
	"math"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/corralcache/corral"
)

// Corral over otter's store: an adapter as anybody may write one.

func init() {
	register(Contender{
		Name:      "corral, otter",
		HitString: corralHits(openOtter[string]), HitInt: corralHits(openOtter[int]), Windows: true,
	})
}

func openOtter[K Key](capacity int) (opened[K, *Value], error) {
	c, err := newOtterCache[K, *Value](2 * capacity)
	if err != nil {
		return opened[K, *Value]{}, err
	}
	return opened[K, *Value]{c, func() { c.store.StopAllGoroutines() }}, nil
}

// otterCache holds entries in otter, which bounds their number: who is dead is
// read no longer, and is evicted first. With a TTL of otter's each Get would read
// the clock twice.
type otterCache[K comparable, V any] struct {
	store *otter.Cache[K, *otterItem[V]]
}

// otterItem is an entry and its value, and until when it is quiet, in nanoseconds
// after begun.
type otterItem[V any] struct {
	quiet int64
	value any
	entry *corral.Entry[V]
}

var begun = time.Now()

func newOtterCache[K comparable, V any](size int) (*otterCache[K, V], error) {
	store, err := otter.New(&otter.Options[K, *otterItem[V]]{MaximumSize: size})
	return &otterCache[K, V]{store}, err
}

func (c *otterCache[K, V]) Get(_ context.Context, key K) (*corral.Entry[V], error) {
	if it, ok := c.store.GetIfPresent(key); ok {
		return it.entry, nil
	}
	return nil, nil
}

// Glance reads the clock, so that the Loader need not.
func (c *otterCache[K, V]) Glance(_ context.Context, key K) (corral.Glance[V], error) {
	it, ok := c.store.GetIfPresent(key)
	if !ok {
		return corral.Glance[V]{}, nil
	}
	return corral.Glance[V]{Entry: it.entry, Value: it.value, Quiet: int64(time.Since(begun)) < it.quiet}, nil
}

func (c *otterCache[K, V]) Set(_ context.Context, key K, e *corral.Entry[V]) error {
	if !e.LoadedAt.IsZero() && time.Since(e.LoadedAt) >= e.Keep {
		c.store.Invalidate(key)
		return nil
	}
	it := &otterItem[V]{entry: e, value: e.Value, quiet: math.MinInt64}
	if quiet := e.Quiet(); quiet > 0 {
		it.quiet = int64(time.Since(begun) + quiet - time.Since(e.LoadedAt))
	}
	c.store.Set(key, it)
	return nil
}

func (c *otterCache[K, V]) Delete(_ context.Context, key K) error {
	c.store.Invalidate(key)
	return nil
}
