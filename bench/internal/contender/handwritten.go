package contender

import (
	"context"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"
)

// Ristretto and x/sync as services put them together: naive, in the few lines
// that one finds everywhere, and made correct.

const xsyncModule = "golang.org/x/sync"

func init() {
	register(Contender{
		Name: "by hand, naive", Module: xsyncModule,
		HitString: handHits(fetchNaive[*Value]),
		Miss:      handMisses(fetchNaive[*Value]),
		Service:   handService(fetchNaive[string]),
	})
	register(Contender{
		Name: "by hand, made correct", Module: xsyncModule,
		HitString: handHits(fetchCorrect[*Value]),
		Miss:      handMisses(fetchCorrect[*Value]),
		Service:   handService(fetchCorrect[string]),
	})
	register(Contender{
		Name: HandBounded, Module: xsyncModule,
		Miss:      handMisses(fetchBounded[*Value]),
		Unweighed: true,
	})
}

// HandBounded is the hand-written wrapper that keeps one more of Corral's promises:
// whoever waits is let go when the load takes too long.
const HandBounded = "by hand, made correct, LoadTimeout"

// byHand is Ristretto with flights around the load.
type byHand[V any] struct {
	cache   *ristretto.Cache[string, V]
	flights singleflight.Group
	ttl     time.Duration
}

type (
	loadFunc[V any]  func(ctx context.Context, key string) (V, error)
	fetchFunc[V any] func(ctx context.Context, b *byHand[V], key string, load loadFunc[V]) (V, error)
)

func newByHand[V any](capacity int, ttl time.Duration) (*byHand[V], error) {
	c, err := newRistretto[string, V](capacity)
	return &byHand[V]{cache: c, ttl: ttl}, err
}

// fetchNaive loads with the context of whoever came first, and lets the flight
// land before Ristretto shows the value.
func fetchNaive[V any](ctx context.Context, b *byHand[V], key string, load loadFunc[V]) (V, error) {
	if v, ok := b.cache.Get(key); ok {
		return v, nil
	}
	v, err, _ := b.flights.Do(key, func() (any, error) {
		v, err := load(ctx, key)
		if err == nil {
			b.cache.SetWithTTL(key, v, 1, b.ttl)
		}
		return v, err
	})
	if err != nil {
		var none V
		return none, err
	}
	return v.(V), nil
}

// fetchCorrect looks again inside the flight, loads without the caller's end,
// settles the write before the flight lands, and lets each caller leave.
func fetchCorrect[V any](ctx context.Context, b *byHand[V], key string, load loadFunc[V]) (V, error) {
	if v, ok := b.cache.Get(key); ok {
		return v, nil
	}
	fn := b.flight(ctx, key, load)
	if ctx.Done() == nil {
		v, err, _ := b.flights.Do(key, fn)
		return valueOf[V](v, err)
	}
	select {
	case r := <-b.flights.DoChan(key, fn):
		return valueOf[V](r.Val, r.Err)
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

// fetchBounded is fetchCorrect with a bound for the load, also for one that ignores
// its context and for callers that cannot leave.
func fetchBounded[V any](ctx context.Context, b *byHand[V], key string, load loadFunc[V]) (V, error) {
	if v, ok := b.cache.Get(key); ok {
		return v, nil
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	var none V
	select {
	case r := <-b.flights.DoChan(key, b.flight(bound, key, load)):
		return valueOf[V](r.Val, r.Err)
	case <-bound.Done():
		return none, bound.Err()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

func valueOf[V any](v any, err error) (V, error) {
	if err != nil {
		var none V
		return none, err
	}
	return v.(V), nil
}

// flight is what a flight of key does.
func (b *byHand[V]) flight(ctx context.Context, key string, load loadFunc[V]) func() (any, error) {
	return func() (any, error) {
		if v, ok := b.cache.Get(key); ok {
			return v, nil
		}
		v, err := load(context.WithoutCancel(ctx), key)
		if err == nil {
			b.cache.SetWithTTL(key, v, 1, b.ttl)
			b.cache.Wait()
		}
		return v, err
	}
}

type handValues struct {
	*byHand[*Value]
	fetch fetchFunc[*Value]
}

func handHits(fetch fetchFunc[*Value]) func(HitOptions) (Hits[string], error) {
	return func(o HitOptions) (Hits[string], error) {
		b, err := newByHand[*Value](o.Capacity, Life)
		return &handValues{b, fetch}, err
	}
}

func handMisses(fetch fetchFunc[*Value]) func(int) (Misses, error) {
	return func(capacity int) (Misses, error) {
		b, err := newByHand[*Value](capacity, Life)
		return &handValues{b, fetch}, err
	}
}

func (h *handValues) Fill(keys []string) error {
	return (&ristrettoHits[string]{h.cache, Life}).Fill(keys)
}

func (h *handValues) Hit(keys []string, from, n int) (sum int, err error) {
	ctx, mask := context.Background(), len(keys)-1
	load := loadFunc[*Value](missed[string])
	for i := from; i < from+n; i++ {
		v, err := h.fetch(ctx, h.byHand, keys[i&mask], load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (h *handValues) Miss(keys []string) (sum int, err error) {
	ctx, load := context.Background(), loadFunc[*Value](loadValue[string])
	for _, key := range keys {
		v, err := h.fetch(ctx, h.byHand, key, load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (b *byHand[V]) Close() { b.cache.Close() }

type handStrings struct {
	*byHand[string]
	fetch fetchFunc[string]
	load  loadFunc[string]
}

func handService(fetch fetchFunc[string]) func(ServiceOptions) (Service, error) {
	return func(o ServiceOptions) (Service, error) {
		b, err := newByHand[string](o.Capacity, o.TTL)
		return &handStrings{b, fetch, o.Load}, err
	}
}

func (h *handStrings) Get(ctx context.Context, key string) (string, error) {
	return h.fetch(ctx, h.byHand, key, h.load)
}

func (h *handStrings) Delete(_ context.Context, key string) error {
	h.cache.Del(key)
	return nil
}
