package redisadapter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
)

// BenchmarkMany is one GetOrLoadMany beside a loop of GetOrLoad, over a real server
// on this machine and a source that answers at once.
func BenchmarkMany(b *testing.B) {
	addr := redistest.Start(b)
	for _, n := range []int{10, 1000} {
		for share, misses := range map[string]int{"all hits": 0, "half misses": n / 2} {
			for _, call := range []string{"GetOrLoadMany", "loop of GetOrLoad"} {
				b.Run(fmt.Sprintf("%d keys/%s/%s", n, share, call), func(b *testing.B) {
					m := newManyBench(b, addr, upTo(n))
					b.ReportAllocs()
					for b.Loop() {
						b.StopTimer()
						must(b, m.cache.DeleteMany(b.Context(), m.keys[:misses]))
						b.StartTimer()
						m.calls[call](b)
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
				})
			}
		}
	}
}

type manyBench struct {
	cache *cache
	keys  []int
	calls map[string]func(b *testing.B)
}

// newManyBench returns a Loader that has loaded all keys.
func newManyBench(b *testing.B, addr string, keys []int) *manyBench {
	c := users(redistest.ClientWith(b, &redis.Options{Addr: addr}))
	loader, err := corral.New[int, User](c, corral.Options{TTL: time.Hour, CacheTimeout: patience})
	must(b, err)
	b.Cleanup(func() { must(b, loader.Close(context.Background())) })
	load := func(_ context.Context, key int) (User, error) { return User{Name: "Ann"}, nil }
	loadMany := func(_ context.Context, keys []int) (map[int]User, error) {
		got := make(map[int]User, len(keys))
		for _, key := range keys {
			got[key] = User{Name: "Ann"}
		}
		return got, nil
	}
	m := &manyBench{cache: c, keys: keys, calls: map[string]func(*testing.B){
		"GetOrLoadMany": func(b *testing.B) {
			if got, err := loader.GetOrLoadMany(b.Context(), keys, loadMany); len(got) != len(keys) || err != nil {
				b.Fatalf("%d values, %v", len(got), err)
			}
		},
		"loop of GetOrLoad": func(b *testing.B) {
			for _, key := range keys {
				if _, err := loader.GetOrLoad(b.Context(), key, load); err != nil {
					b.Fatal(err)
				}
			}
		},
	}}
	m.calls["GetOrLoadMany"](b)
	return m
}
