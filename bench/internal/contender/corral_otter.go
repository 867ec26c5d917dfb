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
	c, err := newOtterCache[K, Value](2 * capacity)
	if err != nil {
		return opened[K, *Value]{}, err
	}
	return opened[K, *Value]{c, func() { c.store.StopAllGoroutines() }}, nil
}

// otterCache holds entries of pointers to T in otter, which bounds their number: who
// is dead is read no longer, and is evicted first. With a TTL of otter's each Get
// would read the clock twice.
type otterCache[K comparable, T any] struct {
	store *otter.Cache[K, otterItem[T]]
}

// otterItem is an entry and its value, and until when it is quiet, in nanoseconds
// after begun. otter keeps it beside the key: a pointer to it would be one more miss
// of the processor's caches.
type otterItem[T any] struct {
	quiet int64
	value *T
	entry *corral.Entry[*T]
}

var begun = time.Now()

func newOtterCache[K comparable, T any](size int) (*otterCache[K, T], error) {
	store, err := otter.New(&otter.Options[K, otterItem[T]]{MaximumSize: size})
	return &otterCache[K, T]{store}, err
}

func (c *otterCache[K, T]) Get(_ context.Context, key K) (*corral.Entry[*T], error) {
	it, _ := c.store.GetIfPresent(key)
	return it.entry, nil
}

// Glance reads the clock, so that the Loader need not.
func (c *otterCache[K, T]) Glance(_ context.Context, key K) (corral.Glance[*T], error) {
	it, ok := c.store.GetIfPresent(key)
	if !ok {
		return corral.Glance[*T]{}, nil
	}
	return corral.Glance[*T]{Entry: it.entry, Value: it.value, Quiet: int64(time.Since(begun)) < it.quiet}, nil
}

func (c *otterCache[K, T]) Set(_ context.Context, key K, e *corral.Entry[*T]) error {
	if !e.LoadedAt.IsZero() && time.Since(e.LoadedAt) >= e.Keep {
		c.store.Invalidate(key)
		return nil
	}
	it := otterItem[T]{entry: e, value: e.Value, quiet: math.MinInt64}
	if quiet := e.Quiet(); quiet > 0 {
		it.quiet = int64(time.Since(begun) + quiet - time.Since(e.LoadedAt))
	}
	c.store.Set(key, it)
	return nil
}

func (c *otterCache[K, T]) Delete(_ context.Context, key K) error {
	c.store.Invalidate(key)
	return nil
}
