package corral_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// value is what the benchmarks hold; each hit touches a byte of it.
type value struct{ data [64]byte }

func roomy[V any](b *testing.B) *ristretto.Cache[string, V] {
	c, err := ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: 1e5, MaxCost: 1e5, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c
}

// BenchmarkHit is a hit of one hot key: the Loader with StaleFor and EarlyExpiry
// on, beside Ristretto's own Get of an entry with and without its own TTL.
func BenchmarkHit(b *testing.B) {
	ctx := context.Background()
	load := func(context.Context, string) (*value, error) { return new(value), nil }
	opts := corral.Options{TTL: time.Hour, StaleFor: time.Hour, EarlyExpiry: 1}
	key := "user:" + strconv.Itoa(4711)

	loader := func(cache corral.Cache[string, *value]) func(b *testing.B) {
		return func(b *testing.B) {
			l, err := corral.New(cache, opts)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := l.Refresh(ctx, key, load); err != nil {
				b.Fatal(err)
			}
			for len(firstFlight(l)) > 0 {
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var sum byte
				for pb.Next() {
					v, err := l.GetOrLoad(ctx, key, load)
					if err != nil {
						b.Error(err)
					}
					sum += v.data[0]
				}
				_ = sum
			})
			if n := l.Stats().Hits; n != uint64(b.N) {
				b.Errorf("%d hits counted, want %d", n, b.N)
			}
		}
	}
	raw := func(ttl time.Duration) func(b *testing.B) {
		return func(b *testing.B) {
			c := roomy[*value](b)
			c.SetWithTTL(key, new(value), 1, ttl)
			c.Wait()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				var sum byte
				for pb.Next() {
					v, ok := c.Get(key)
					if !ok {
						b.Error("miss")
						return
					}
					sum += v.data[0]
				}
				_ = sum
			})
		}
	}
	b.Run("corral/ristretto", func(b *testing.B) {
		loader(ristrettoadapter.New(roomy[ristrettoadapter.Item[*value]](b), ristrettoadapter.Options[*value]{}))(b)
	})
	b.Run("raw/ristretto-ttl", raw(time.Hour))
	b.Run("raw/ristretto-no-ttl", raw(0))
	b.Run("corral/ristretto-plain", func(b *testing.B) {
		loader(ristrettoadapter.Plain(roomy[*value](b), ristrettoadapter.Options[*value]{}))(b)
	})
	b.Run("corral/memory", loader(memadapter.New[string, *value]()))
}

func firstFlight[K comparable, V any](l *corral.Loader[K, V]) (keys []K) {
	for key := range l.InFlight() {
		keys = append(keys, key)
	}
	return keys
}
