package contender

import (
	"context"

	"github.com/maypok86/otter/v2"
)

// otter with its own loading Get.

func init() {
	register(Contender{
		Name: "otter", Module: "github.com/maypok86/otter/v2",
		HitString: otterHits[string], HitInt: otterHits[int],
		Miss: func(capacity int) (Misses, error) {
			c, err := newOtter[string](capacity)
			return &otterValues[string]{c}, err
		},
		Service: newOtterService,
	})
}

type otterValues[K Key] struct{ cache *otter.Cache[K, *Value] }

// newOtter refreshes from its TTL on, as Corral does, and keeps a value as long.
func newOtter[K Key](capacity int) (*otter.Cache[K, *Value], error) {
	return otter.New(&otter.Options[K, *Value]{
		MaximumSize:       2 * capacity,
		ExpiryCalculator:  otter.ExpiryWriting[K, *Value](2 * Life),
		RefreshCalculator: otter.RefreshWriting[K, *Value](Life),
	})
}

func otterHits[K Key](o HitOptions) (Hits[K], error) {
	c, err := newOtter[K](o.Capacity)
	return &otterValues[K]{c}, err
}

func (h *otterValues[K]) Fill(keys []K) error {
	for _, key := range keys {
		h.cache.Set(key, new(Value))
	}
	return nil
}

func (h *otterValues[K]) Hit(keys []K, from, n int) (sum int, err error) {
	ctx, mask := context.Background(), len(keys)-1
	var load otter.Loader[K, *Value] = otter.LoaderFunc[K, *Value](missed[K])
	for i := from; i < from+n; i++ {
		v, err := h.cache.Get(ctx, keys[i&mask], load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (h *otterValues[K]) Miss(keys []K) (sum int, err error) {
	ctx := context.Background()
	var load otter.Loader[K, *Value] = otter.LoaderFunc[K, *Value](loadValue[K])
	for _, key := range keys {
		v, err := h.cache.Get(ctx, key, load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (h *otterValues[K]) Close() { h.cache.StopAllGoroutines() }

type otterService struct {
	cache *otter.Cache[string, string]
	load  otter.Loader[string, string]
}

func newOtterService(o ServiceOptions) (Service, error) {
	opts := &otter.Options[string, string]{
		MaximumSize:      2 * o.Capacity,
		ExpiryCalculator: otter.ExpiryWriting[string, string](o.TTL + o.StaleFor),
		Logger:           &otter.NoopLogger{},
	}
	if o.StaleFor > 0 {
		opts.RefreshCalculator = otter.RefreshWriting[string, string](o.TTL)
	}
	c, err := otter.New(opts)
	return &otterService{c, otter.LoaderFunc[string, string](o.Load)}, err
}

func (s *otterService) Get(ctx context.Context, key string) (string, error) {
	return s.cache.Get(ctx, key, s.load)
}

func (s *otterService) Delete(_ context.Context, key string) error {
	s.cache.Invalidate(key)
	return nil
}

func (s *otterService) Close() { s.cache.StopAllGoroutines() }
