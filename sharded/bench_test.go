package sharded_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral/sharded"
	xsync "golang.org/x/sync/singleflight"
)

// BenchmarkDo is the price of a call beside x/sync's singleflight, for a load
// that costs nothing. In background and cancellable each goroutine has keys of
// its own, so that every call is a load; in hot 64 goroutines per CPU ask for one
// key. cancellable/xsync-dochan-select is how a caller that heeds its context
// uses x/sync.
func BenchmarkDo(b *testing.B) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.Run("background/corral", func(b *testing.B) { benchmarkCorral(b, context.Background(), 1, distinct) })
	b.Run("background/xsync", func(b *testing.B) { benchmarkXSync(b, 1, distinct) })
	b.Run("cancellable/corral", func(b *testing.B) { benchmarkCorral(b, cancellable, 1, distinct) })
	b.Run("cancellable/xsync-dochan-select", func(b *testing.B) { benchmarkXSyncSelect(b, cancellable, 1, distinct) })
	b.Run("hot/corral", func(b *testing.B) { benchmarkCorral(b, context.Background(), 64, same) })
	b.Run("hot/xsync", func(b *testing.B) { benchmarkXSync(b, 64, same) })
	b.Run("hot-cancellable/corral", func(b *testing.B) { benchmarkCorral(b, cancellable, 64, same) })
	b.Run("hot-cancellable/xsync-dochan-select", func(b *testing.B) { benchmarkXSyncSelect(b, cancellable, 64, same) })
}

// distinct and same return the keys of goroutine n; a power of two of them.
func distinct(n int64) []string {
	keys := make([]string, 256)
	for i := range keys {
		keys[i] = sharded.Key("user", strconv.FormatInt(n, 10), strconv.Itoa(i))
	}
	return keys
}

func same(int64) []string { return []string{"user"} }

// parallel calls do with the keys of one goroutine after another.
func parallel(b *testing.B, goroutines int, keys func(n int64) []string, do func(key string)) {
	var n atomic.Int64
	b.SetParallelism(goroutines)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		keys := keys(n.Add(1))
		for i := 0; pb.Next(); i++ {
			do(keys[i&(len(keys)-1)])
		}
	})
}

func benchmarkCorral(b *testing.B, ctx context.Context, goroutines int, keys func(int64) []string) {
	g := sharded.NewGroup[string, int](sharded.Options[string]{})
	fn := func(context.Context) (int, error) { return 1, nil }
	parallel(b, goroutines, keys, func(key string) { g.Do(ctx, key, fn) })
}

func benchmarkXSync(b *testing.B, goroutines int, keys func(int64) []string) {
	var g xsync.Group
	fn := func() (any, error) { return 1, nil }
	parallel(b, goroutines, keys, func(key string) { g.Do(key, fn) })
}

func benchmarkXSyncSelect(b *testing.B, ctx context.Context, goroutines int, keys func(int64) []string) {
	var g xsync.Group
	fn := func() (any, error) { return 1, nil }
	parallel(b, goroutines, keys, func(key string) {
		select {
		case <-g.DoChan(key, fn):
		case <-ctx.Done():
		}
	})
}
