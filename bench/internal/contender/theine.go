package contender

import (
	"context"

	"github.com/Yiling-J/theine-go"
)

// theine with its loading cache: the load is the cache's, not the call's.

func init() {
	register(Contender{
		Name: "theine", Module: "github.com/Yiling-J/theine-go",
		HitString: theineHits[string], HitInt: theineHits[int],
		Miss: func(capacity int) (Misses, error) {
			c, err := newTheine(capacity, loadValue[string])
			return &theineValues[string]{c}, err
		},
		Service: newTheineService,
	})
}

type theineValues[K Key] struct {
	cache *theine.LoadingCache[K, *Value]
}

func newTheine[K Key](capacity int, load func(context.Context, K) (*Value, error)) (*theine.LoadingCache[K, *Value], error) {
	return theine.NewBuilder[K, *Value](2 * int64(capacity)).BuildWithLoader(
		func(ctx context.Context, key K) (theine.Loaded[*Value], error) {
			v, err := load(ctx, key)
			return theine.Loaded[*Value]{Value: v, Cost: 1, TTL: Life}, err
		})
}

func theineHits[K Key](o HitOptions) (Hits[K], error) {
	c, err := newTheine(o.Capacity, missed[K])
	return &theineValues[K]{c}, err
}

func (h *theineValues[K]) Fill(keys []K) error {
	return fillUntilSeen(keys,
		func(key K) { h.cache.SetWithTTL(key, new(Value), 1, Life) },
		h.cache.Wait,
		func(key K) bool { _, err := h.cache.Get(context.Background(), key); return err == nil })
}

func (h *theineValues[K]) Hit(keys []K, from, n int) (sum int, err error) {
	ctx, mask := context.Background(), len(keys)-1
	for i := from; i < from+n; i++ {
		v, err := h.cache.Get(ctx, keys[i&mask])
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (h *theineValues[K]) Miss(keys []K) (sum int, err error) {
	ctx := context.Background()
	for _, key := range keys {
		v, err := h.cache.Get(ctx, key)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (h *theineValues[K]) Close() { h.cache.Close() }

type theineService struct {
	cache *theine.LoadingCache[string, string]
}

func newTheineService(o ServiceOptions) (Service, error) {
	c, err := theine.NewBuilder[string, string](2 * int64(o.Capacity)).BuildWithLoader(
		func(ctx context.Context, key string) (theine.Loaded[string], error) {
			v, err := o.Load(ctx, key)
			return theine.Loaded[string]{Value: v, Cost: 1, TTL: o.TTL}, err
		})
	return &theineService{c}, err
}

func (s *theineService) Get(ctx context.Context, key string) (string, error) {
	return s.cache.Get(ctx, key)
}

func (s *theineService) Delete(_ context.Context, key string) error {
	s.cache.Delete(key)
	return nil
}

func (s *theineService) Close() { s.cache.Close() }
