package contender

import (
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// Ristretto itself, as its users call it.

func init() {
	register(Contender{
		Name: "ristretto, TTL", Module: "github.com/dgraph-io/ristretto/v2",
		HitString: rawRistretto[string](Life), HitInt: rawRistretto[int](Life),
	})
	register(Contender{
		Name: "ristretto, no TTL", Module: "github.com/dgraph-io/ristretto/v2",
		HitString: rawRistretto[string](0), HitInt: rawRistretto[int](0),
	})
}

// newRistretto returns one that holds capacity values of cost 1, with room to
// spare, since it begins to evict before it is full.
func newRistretto[K Key, V any](capacity int) (*ristretto.Cache[K, V], error) {
	return ristretto.NewCache(&ristretto.Config[K, V]{
		NumCounters: 10 * int64(capacity), MaxCost: 2 * int64(capacity), BufferItems: 64, IgnoreInternalCost: true,
	})
}

type ristrettoHits[K Key] struct {
	cache *ristretto.Cache[K, *Value]
	ttl   time.Duration
}

func rawRistretto[K Key](ttl time.Duration) func(HitOptions) (Hits[K], error) {
	return func(o HitOptions) (Hits[K], error) {
		c, err := newRistretto[K, *Value](o.Capacity)
		return &ristrettoHits[K]{c, ttl}, err
	}
}

func (r *ristrettoHits[K]) Fill(keys []K) error {
	return fillUntilSeen(keys,
		func(key K) { r.cache.SetWithTTL(key, new(Value), 1, r.ttl) },
		r.cache.Wait,
		func(key K) bool { _, ok := r.cache.Get(key); return ok })
}

func (r *ristrettoHits[K]) Hit(keys []K, from, n int) (sum int, err error) {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		v, ok := r.cache.Get(keys[i&mask])
		if !ok {
			return sum, ErrMissed
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (r *ristrettoHits[K]) Close() { r.cache.Close() }
