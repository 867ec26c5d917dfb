package contender

import (
	"context"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// Corral over the caches in this process's memory. StaleFor, EarlyExpiry and
// Stats are on everywhere.

func init() {
	register(Contender{
		Name:      "corral, ristretto",
		HitString: corralHits(openNew[string]), HitInt: corralHits(openNew[int]), Windows: true,
		Miss: corralMisses(openNew[string]), Service: newCorralService,
	})
	register(Contender{
		Name:      "corral, ristretto Plain",
		HitString: corralHits(openPlain[string]), HitInt: corralHits(openPlain[int]),
		Miss: corralMisses(openPlain[string]),
	})
	register(Contender{
		Name:      "corral, memadapter",
		HitString: corralHits(openMemory[string]), HitInt: corralHits(openMemory[int]),
		Miss: corralMisses(openMemory[string]),
	})
}

// options are what every Loader of these scenarios has.
var options = corral.Options{TTL: Life, StaleFor: Life, EarlyExpiry: 1, LoadTimeout: Life}

// opened is a cache behind the port, and how it is closed.
type opened[K Key, V any] struct {
	corral.Cache[K, V]
	close func()
}

func openNew[K Key](capacity int) (opened[K, *Value], error) {
	c, err := newRistretto[K, ristrettoadapter.Item[*Value]](capacity)
	if err != nil {
		return opened[K, *Value]{}, err
	}
	return opened[K, *Value]{ristrettoadapter.New(c, ristrettoadapter.Options[*Value]{}), c.Close}, nil
}

func openPlain[K Key](capacity int) (opened[K, *Value], error) {
	c, err := newRistretto[K, *Value](capacity)
	if err != nil {
		return opened[K, *Value]{}, err
	}
	return opened[K, *Value]{ristrettoadapter.Plain(c, ristrettoadapter.Options[*Value]{}), c.Close}, nil
}

func openMemory[K Key](int) (opened[K, *Value], error) {
	return opened[K, *Value]{memadapter.New[K, *Value](), func() {}}, nil
}

// loaderHits is a Loader that reads with a load in a variable.
type loaderHits[K Key] struct {
	cache  opened[K, *Value]
	loader *corral.Loader[K, *Value]
	load   corral.LoadFunc[K, *Value]
	window Window
	closed chan struct{}
}

func corralHits[K Key](open func(int) (opened[K, *Value], error)) func(HitOptions) (Hits[K], error) {
	return func(o HitOptions) (Hits[K], error) { return newLoaderHits(open, o) }
}

func newLoaderHits[K Key](open func(int) (opened[K, *Value], error), o HitOptions) (*loaderHits[K], error) {
	cache, err := open(o.Capacity)
	if err != nil {
		return nil, err
	}
	l, err := corral.New(cache.Cache, options)
	if err != nil {
		return nil, err
	}
	h := &loaderHits[K]{cache: cache, loader: l, load: missed[K], window: o.Window, closed: make(chan struct{})}
	if o.Window == Stale {
		h.load = func(context.Context, K) (*Value, error) { <-h.closed; return nil, ErrMissed }
	}
	return h, nil
}

// age is how old the entries of a window are, and how long their loads took:
// such that the chance of an early refresh in the last tenth is drawn at every
// call, and is one in a thousand million.
func (w Window) age() (age, loadTime time.Duration) {
	switch w {
	case LastTenth:
		return Life - Life/20, Life / 20 / 21
	case Stale:
		return Life + Life/2, time.Millisecond
	}
	return 0, time.Millisecond
}

func (h *loaderHits[K]) Fill(keys []K) error {
	ctx := context.Background()
	if h.window == Fresh {
		return fillUntilSeen(keys,
			func(key K) { _ = h.loader.Set(ctx, key, new(Value)) },
			func() {},
			func(key K) bool { v, err := h.loader.GetOrLoad(ctx, key, missed[K]); return err == nil && v != nil })
	}
	return fillUntilSeen(keys, func(key K) {
		age, took := h.window.age()
		_ = h.cache.Set(ctx, key, &corral.Entry[*Value]{
			Value: new(Value), LoadedAt: time.Now().Add(-age), LoadTime: took, TTL: Life, Keep: 3 * Life,
		})
		if s, ok := h.cache.Cache.(corral.Settler[K]); ok {
			_ = s.Settle(ctx, key)
		}
	}, func() {}, func(key K) bool { e, err := h.cache.Get(ctx, key); return err == nil && e != nil })
}

func (h *loaderHits[K]) Hit(keys []K, from, n int) (sum int, err error) {
	ctx, load, mask := context.Background(), h.load, len(keys)-1
	for i := from; i < from+n; i++ {
		v, err := h.loader.GetOrLoad(ctx, keys[i&mask], load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

// Hits is how many hits the Loader has counted.
func (h *loaderHits[K]) Hits() uint64 { return h.loader.Stats().Hits }

func (h *loaderHits[K]) Close() {
	close(h.closed)
	_ = h.loader.Close(context.Background())
	h.cache.close()
}

type loaderMisses struct {
	cache  opened[string, *Value]
	loader *corral.Loader[string, *Value]
}

func corralMisses(open func(int) (opened[string, *Value], error)) func(int) (Misses, error) {
	return func(capacity int) (Misses, error) {
		cache, err := open(capacity)
		if err != nil {
			return nil, err
		}
		l, err := corral.New(cache.Cache, options)
		return &loaderMisses{cache, l}, err
	}
}

func (m *loaderMisses) Miss(keys []string) (sum int, err error) {
	ctx, load := context.Background(), corral.LoadFunc[string, *Value](loadValue[string])
	for _, key := range keys {
		v, err := m.loader.GetOrLoad(ctx, key, load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (m *loaderMisses) Close() {
	_ = m.loader.Close(context.Background())
	m.cache.close()
}
