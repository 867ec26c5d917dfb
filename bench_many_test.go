package corral_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// BenchmarkMany is a batch beside a loop of single calls, over caches in memory,
// where a batch saves no round trip: all hits, and half of them misses that are
// never stored. That of redisadapter is over a server.
func BenchmarkMany(b *testing.B) {
	for _, n := range []int{10, 1000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint("key:", i)
		}
		for _, misses := range []bool{false, true} {
			for _, over := range []string{"memory", "Ristretto"} {
				name := fmt.Sprintf("%s/%d/%s", over, n, map[bool]string{false: "hits", true: "half"}[misses])
				b.Run(name+"/batch", func(b *testing.B) { benchMany(b, over, keys, misses, true) })
				b.Run(name+"/loop", func(b *testing.B) { benchMany(b, over, keys, misses, false) })
			}
		}
	}
}

func benchMany(b *testing.B, over string, keys []string, misses, batch bool) {
	var cache corral.Cache[string, int] = memadapter.New[string, int]()
	if over == "Ristretto" {
		cache = ristrettoadapter.New(roomy[ristrettoadapter.Item[int]](b), ristrettoadapter.Options[int]{})
	}
	l, err := corral.New(cache, corral.Options{TTL: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	missing := map[string]bool{}
	for i, key := range keys {
		if missing[key] = misses && i%2 == 1; !missing[key] {
			if err := l.Set(ctx, key, i); err != nil {
				b.Fatal(err)
			}
		}
	}
	many := func(ctx context.Context, keys []string) (map[string]int, error) {
		values := make(map[string]int, len(keys))
		for _, key := range keys {
			values[key] = 1
			if c, ok := corral.FromContextKey[string, int](ctx, key); ok {
				c.NoStore()
			}
		}
		return values, nil
	}
	one := func(ctx context.Context, _ string) (int, error) {
		if c, ok := corral.FromContext[int](ctx); ok {
			c.NoStore()
		}
		return 1, nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if batch {
			if got, err := l.GetOrLoadMany(ctx, keys, many); err != nil || len(got) != len(keys) {
				b.Fatal(len(got), err)
			}
			continue
		}
		got := make(map[string]int, len(keys))
		for _, key := range keys {
			if got[key], err = l.GetOrLoad(ctx, key, one); err != nil {
				b.Fatal(err)
			}
		}
	}
}
