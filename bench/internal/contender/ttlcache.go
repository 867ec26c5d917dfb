package contender

import (
	"context"
	"sync"

	"github.com/jellydator/ttlcache/v3"
)

// ttlcache with its loader, suppressed as its own documentation shows. A loader
// gets no context and returns no error: a load that fails is an item that is nil.

func init() {
	register(Contender{
		Name: "ttlcache", Module: "github.com/jellydator/ttlcache/v3",
		HitString: ttlHits[string], HitInt: ttlHits[int],
		Miss: func(capacity int) (Misses, error) {
			return &ttlValues[string]{newTTLCache(capacity, loadValue[string])}, nil
		},
		Service: newTTLService,
	})
}

type ttlValues[K Key] struct{ cache *ttlcache.Cache[K, *Value] }

func newTTLCache[K Key](capacity int, load func(context.Context, K) (*Value, error)) *ttlcache.Cache[K, *Value] {
	loader := ttlcache.LoaderFunc[K, *Value](func(c *ttlcache.Cache[K, *Value], key K) *ttlcache.Item[K, *Value] {
		v, err := load(context.Background(), key)
		if err != nil {
			return nil
		}
		return c.Set(key, v, ttlcache.DefaultTTL)
	})
	return ttlcache.New(
		ttlcache.WithTTL[K, *Value](Life), ttlcache.WithCapacity[K, *Value](uint64(2*capacity)),
		ttlcache.WithDisableTouchOnHit[K, *Value](),
		ttlcache.WithLoader[K, *Value](ttlcache.NewSuppressedLoader[K, *Value](loader, nil)))
}

func ttlHits[K Key](o HitOptions) (Hits[K], error) {
	return &ttlValues[K]{newTTLCache(o.Capacity, missed[K])}, nil
}

func (h *ttlValues[K]) Fill(keys []K) error {
	for _, key := range keys {
		h.cache.Set(key, new(Value), ttlcache.DefaultTTL)
	}
	return nil
}

func (h *ttlValues[K]) Hit(keys []K, from, n int) (sum int, err error) {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		item := h.cache.Get(keys[i&mask])
		if item == nil {
			return sum, ErrMissed
		}
		sum += int(item.Value().Data[0])
	}
	return sum, nil
}

func (h *ttlValues[K]) Miss(keys []K) (sum int, err error) {
	for _, key := range keys {
		item := h.cache.Get(key)
		if item == nil {
			return sum, ErrMissed
		}
		sum += int(item.Value().Data[0])
	}
	return sum, nil
}

func (h *ttlValues[K]) Close() {}

type ttlService struct {
	cache *ttlcache.Cache[string, string]
	last  sync.Map // the error of a key's last load, which the cache has no place for
}

func newTTLService(o ServiceOptions) (Service, error) {
	s := new(ttlService)
	loader := ttlcache.LoaderFunc[string, string](func(c *ttlcache.Cache[string, string], key string) *ttlcache.Item[string, string] {
		v, err := o.Load(context.Background(), key)
		if err != nil {
			s.last.Store(key, err)
			return nil
		}
		return c.Set(key, v, ttlcache.DefaultTTL)
	})
	s.cache = ttlcache.New(
		ttlcache.WithTTL[string, string](o.TTL), ttlcache.WithCapacity[string, string](uint64(2*o.Capacity)),
		ttlcache.WithDisableTouchOnHit[string, string](),
		ttlcache.WithLoader[string, string](ttlcache.NewSuppressedLoader[string, string](loader, nil)))
	return s, nil
}

func (s *ttlService) Get(_ context.Context, key string) (string, error) {
	item := s.cache.Get(key)
	if item != nil {
		return item.Value(), nil
	}
	if err, ok := s.last.Load(key); ok {
		return "", err.(error)
	}
	return "", ErrMissed
}

func (s *ttlService) Delete(_ context.Context, key string) error {
	s.cache.Delete(key)
	return nil
}

func (s *ttlService) Close() {}
