package contender

import (
	"context"
	"hash/crc32"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"
)

// Floors are no libraries: each makes the calls that Corral cannot do without where
// it is to beat something that makes fewer, and nothing else. What is not reached is
// to be held against them.

// The names of the floors, as targets refer to them.
const (
	FloorPlain  = "floor: Get and GetTTL of Ristretto"
	FloorStruct = "floor: Get of Ristretto, the clock, a copy of 64 bytes"
	FloorOtter  = "floor: look-up of otter, the clock, a count"
	FloorMemory = "floor: look-up of sync.Map, the clock"
	FloorMiss   = "floor: Get, Set and Wait of Ristretto, a goroutine"
	FloorFar    = "floor: GET of go-redis, the clock twice, a checksum"
)

func init() {
	for _, c := range []Contender{
		{Name: FloorPlain, Module: "github.com/dgraph-io/ristretto/v2", HitString: twiceRistretto[string], HitInt: twiceRistretto[int]},
		{Name: FloorStruct, Module: "github.com/dgraph-io/ristretto/v2", HitString: copiedRistretto[string], HitInt: copiedRistretto[int]},
		{Name: FloorOtter, Module: "github.com/maypok86/otter/v2", HitString: countedOtter[string], HitInt: countedOtter[int]},
		{Name: FloorMemory, Module: "std", HitString: syncMap[string], HitInt: syncMap[int]},
		{Name: FloorFar, Module: "github.com/redis/go-redis/v9", Far: func(o FarOptions) (Far, error) {
			c := newRedis(o)
			return &checkedRedis{rawRedis{c, c}}, nil
		}},
		{Name: FloorMiss, Module: "github.com/dgraph-io/ristretto/v2", Miss: func(capacity int) (Misses, error) {
			c, err := newRistretto[string, *Value](capacity)
			return &floorMiss{c}, err
		}},
	} {
		c.Unweighed = true
		register(c)
	}
}

// ristrettoTwice tells the value and what is left of its life.
type ristrettoTwice[K Key] struct{ ristrettoHits[K] }

func twiceRistretto[K Key](o HitOptions) (Hits[K], error) {
	c, err := newRistretto[K, *Value](o.Capacity)
	return &ristrettoTwice[K]{ristrettoHits[K]{c, Life}}, err
}

func (r *ristrettoTwice[K]) Hit(keys []K, from, n int) (sum int, err error) {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		v, ok := r.cache.Get(keys[i&mask])
		left, there := r.cache.GetTTL(keys[i&mask])
		if !ok || !there || left <= 0 {
			return sum, ErrMissed
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

// dated is a value and until when it is fresh, after a time.
type dated struct {
	until int64
	value *Value
}

// ristrettoCopied returns values, and not pointers to them.
type ristrettoCopied[K Key] struct{ cache *ristretto.Cache[K, dated] }

func copiedRistretto[K Key](o HitOptions) (Hits[K], error) {
	c, err := newRistretto[K, dated](o.Capacity)
	return &ristrettoCopied[K]{c}, err
}

func (r *ristrettoCopied[K]) Fill(keys []K) error {
	return fillUntilSeen(keys,
		func(key K) { r.cache.Set(key, dated{int64(time.Since(begun) + Life), new(Value)}, 1) },
		r.cache.Wait,
		func(key K) bool { _, ok := r.cache.Get(key); return ok })
}

func (r *ristrettoCopied[K]) Hit(keys []K, from, n int) (sum int, err error) {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		v, ok := r.get(keys[i&mask])
		if !ok {
			return sum, ErrMissed
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

//go:noinline
func (r *ristrettoCopied[K]) get(key K) (v Value, ok bool) {
	d, ok := r.cache.Get(key)
	if !ok || int64(time.Since(begun)) >= d.until {
		return v, false
	}
	return *d.value, true
}

func (r *ristrettoCopied[K]) Close() { r.cache.Close() }

// otterCounted counts its hits, so that the number is exact.
type otterCounted[K Key] struct {
	cache *otter.Cache[K, dated]
	_     [64]byte
	hits  atomic.Uint64
}

func countedOtter[K Key](o HitOptions) (Hits[K], error) {
	c, err := otter.New(&otter.Options[K, dated]{MaximumSize: 2 * o.Capacity})
	return &otterCounted[K]{cache: c}, err
}

func (h *otterCounted[K]) Fill(keys []K) error {
	for _, key := range keys {
		h.cache.Set(key, dated{int64(time.Since(begun) + Life), new(Value)})
	}
	return nil
}

func (h *otterCounted[K]) Hit(keys []K, from, n int) (sum int, err error) {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		d, ok := h.cache.GetIfPresent(keys[i&mask])
		if !ok || int64(time.Since(begun)) >= d.until {
			return sum, ErrMissed
		}
		h.hits.Add(1)
		sum += int(d.value.Data[0])
	}
	return sum, nil
}

func (h *otterCounted[K]) Close() { h.cache.StopAllGoroutines() }

// syncMapHits are those of the standard library's map, which evicts nothing.
type syncMapHits[K Key] struct{ values sync.Map }

func syncMap[K Key](HitOptions) (Hits[K], error) { return &syncMapHits[K]{}, nil }

func (h *syncMapHits[K]) Fill(keys []K) error {
	for _, key := range keys {
		h.values.Store(key, &dated{int64(time.Since(begun) + Life), new(Value)})
	}
	return nil
}

func (h *syncMapHits[K]) Hit(keys []K, from, n int) (sum int, err error) {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		v, _ := h.values.Load(keys[i&mask])
		d, ok := v.(*dated)
		if !ok || int64(time.Since(begun)) >= d.until {
			return sum, ErrMissed
		}
		sum += int(d.value.Data[0])
	}
	return sum, nil
}

func (h *syncMapHits[K]) Close() {}

// checkedRedis looks whether a value is whole, and fresh.
type checkedRedis struct{ rawRedis }

func (r *checkedRedis) Get(ctx context.Context, key string) (int, error) {
	start := time.Now()
	b, err := r.getter.Get(ctx, key).Bytes()
	if err == nil && (crc32.Checksum(b, castagnoli) == 0 || time.Since(start) > Life) {
		return 0, ErrMissed
	}
	return touched(b), err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// floorMiss loads on a goroutine of its own, as everything does whose callers may
// leave, and waits for Ristretto once for many keys.
type floorMiss struct {
	cache *ristretto.Cache[string, *Value]
}

func (m *floorMiss) Miss(keys []string) (sum int, err error) {
	ctx := context.Background()
	for i, key := range keys {
		if _, ok := m.cache.Get(key); ok {
			continue
		}
		landed := make(chan struct{})
		var v *Value
		go func() {
			defer close(landed)
			if v, err = loadValue(ctx, key); err == nil {
				m.cache.Set(key, v, 1)
			}
		}()
		<-landed
		if i%256 == 255 {
			m.cache.Wait()
		}
		sum += int(v.Data[0])
	}
	return sum, nil
}

func (m *floorMiss) Close() { m.cache.Close() }
