package contender

import (
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
)

// Other ways to write the same hit: a method value at the call, which is a
// closure that the caller allocates, and values that are structs.

func init() {
	register(Contender{Name: "corral, method value", HitString: methodValueHits, Unweighed: true})
	register(Contender{
		Name:      "corral, V a struct",
		HitString: structHits[string], HitInt: structHits[int],
	})
}

// database is whose method is the load.
type database struct{ err error }

func (d *database) load(context.Context, string) (*Value, error) { return nil, d.err }

type methodHits struct {
	*loaderHits[string]
	db *database
}

func methodValueHits(o HitOptions) (Hits[string], error) {
	h, err := newLoaderHits(openNew[string], o)
	return &methodHits{h, &database{ErrMissed}}, err
}

func (h *methodHits) Hit(keys []string, from, n int) (sum int, err error) {
	ctx, mask := context.Background(), len(keys)-1
	for i := from; i < from+n; i++ {
		v, err := h.loader.GetOrLoad(ctx, keys[i&mask], h.db.load)
		if err != nil {
			return sum, err
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

// valueHits is a Loader whose entries hold the struct itself.
type valueHits[K Key] struct {
	cache  opened[K, Value]
	loader *corral.Loader[K, Value]
}

func structHits[K Key](o HitOptions) (Hits[K], error) {
	c, err := newRistretto[K, ristrettoadapter.Item[Value]](o.Capacity)
	if err != nil {
		return nil, err
	}
	cache := opened[K, Value]{ristrettoadapter.New(c, ristrettoadapter.Options[Value]{}), c.Close}
	l, err := corral.New(cache.Cache, options)
	return &valueHits[K]{cache, l}, err
}

func missedStruct[K Key](context.Context, K) (Value, error) { return Value{}, ErrMissed }

func (h *valueHits[K]) Fill(keys []K) error {
	ctx := context.Background()
	return fillUntilSeen(keys,
		func(key K) { _ = h.loader.Set(ctx, key, Value{}) },
		func() {},
		func(key K) bool { _, err := h.loader.GetOrLoad(ctx, key, missedStruct[K]); return err == nil })
}

func (h *valueHits[K]) Hit(keys []K, from, n int) (sum int, err error) {
	ctx, load, mask := context.Background(), corral.LoadFunc[K, Value](missedStruct[K]), len(keys)-1
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
func (h *valueHits[K]) Hits() uint64 { return h.loader.Stats().Hits }

func (h *valueHits[K]) Close() {
	_ = h.loader.Close(context.Background())
	h.cache.close()
}
