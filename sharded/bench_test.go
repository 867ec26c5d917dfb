package sharded_test

import (
	"context"
	"testing"

	"github.com/corralcache/corral/sharded"
	xsync "golang.org/x/sync/singleflight"
)

func BenchmarkDo(b *testing.B) {
	fn := func(context.Context) (int, error) { return 1, nil }
	xfn := func() (any, error) { return 1, nil }
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = sharded.Key("user", string(rune('a'+i%26)), string(rune(i)))
	}
	b.Run("background/corral", func(b *testing.B) {
		g := sharded.NewGroup[string, int](sharded.Options[string]{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				g.Do(context.Background(), keys[i%len(keys)], fn)
			}
		})
	})
	b.Run("background/xsync", func(b *testing.B) {
		var g xsync.Group
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				g.Do(keys[i%len(keys)], xfn)
			}
		})
	})
	b.Run("cancellable/corral", func(b *testing.B) {
		g := sharded.NewGroup[string, int](sharded.Options[string]{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				g.Do(cancellable, keys[i%len(keys)], fn)
			}
		})
	})
	b.Run("cancellable/xsync", func(b *testing.B) {
		var g xsync.Group
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				select {
				case <-g.DoChan(keys[i%len(keys)], xfn):
				case <-cancellable.Done():
				}
			}
		})
	})
}
