package corral_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"go.uber.org/goleak"
)

// Ristretto shows what it was given only later, or drops it. Neither may cost a
// load. Time is real here: what is tested are Ristretto's own goroutines.

// rooms are the two ways to a Ristretto cache.
var rooms = []struct {
	name string
	open func(t *testing.T, keys int64) corral.Cache[int, int]
}{
	{"entries", func(t *testing.T, keys int64) corral.Cache[int, int] {
		return ristrettoadapter.New(spacious[int, ristrettoadapter.Item[int]](t, keys), ristrettoadapter.Options[int]{})
	}},
	{"plain", func(t *testing.T, keys int64) corral.Cache[int, int] {
		return ristrettoadapter.Plain(spacious[int, int](t, keys), ristrettoadapter.Options[int]{})
	}},
}

// Ten calls for a key, one after the other, on each of 200 new caches are 200
// loads: the second call finds what the first one stored.
func TestStampede_RistrettoShowsWhatWasLoaded(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, r := range rooms {
		t.Run(r.name, func(t *testing.T) {
			var loads atomic.Int64
			for range 200 {
				l := newLoader(t, r.open(t, 10), corral.Options{TTL: time.Minute})
				for range 10 {
					v, err := l.GetOrLoad(t.Context(), 1, func(context.Context, int) (int, error) {
						loads.Add(1)
						return 42, nil
					})
					if v != 42 || err != nil {
						t.Fatalf("GetOrLoad = %d, %v", v, err)
					}
				}
			}
			if n := loads.Load(); n != 200 {
				t.Errorf("%d loads, want 200", n)
			}
		})
	}
}

// Eight writers fill a cache with room for all: not one value is lost to
// contention.
func TestStampede_RistrettoLosesNothingToContention(t *testing.T) {
	defer goleak.VerifyNone(t)
	const writers, keys = 8, 100_000
	for _, r := range rooms {
		t.Run(r.name, func(t *testing.T) {
			l := newLoader(t, r.open(t, keys), corral.Options{
				TTL:          time.Hour,
				CacheTimeout: time.Minute, // a busy machine is not what is tested
				Hooks:        corral.Hooks{CacheError: func(_ context.Context, e corral.Event) { t.Errorf("the cache failed: %+v", e) }},
			})
			crowd(writers, func(w int) {
				for key := w; key < keys; key += writers {
					v, err := l.GetOrLoad(t.Context(), key, func(_ context.Context, key int) (int, error) { return -key, nil })
					if v != -key || err != nil {
						t.Errorf("GetOrLoad(%d) = %d, %v", key, v, err)
						return
					}
				}
			})
			lost := 0
			for key := range keys {
				v, err := l.GetOrLoad(t.Context(), key, func(context.Context, int) (int, error) {
					lost++
					return 0, nil
				})
				if err != nil || v != -key && v != 0 {
					t.Fatalf("GetOrLoad(%d) = %d, %v", key, v, err)
				}
			}
			if lost != 0 {
				t.Errorf("%d of %d keys lost", lost, keys)
			}
		})
	}
}
