package layered_test

import (
	"context"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// What a hit costs over near's own Get.
func BenchmarkNearHit(b *testing.B) {
	ctx := context.Background()
	e := &corral.Entry[int]{Value: 1, LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}
	near := ristrettoadapter.New(openRistretto[int](b), ristrettoadapter.Options[int]{})
	c := layered.New(near, memadapter.NewShared[string, int](0).Process(), layered.Options{Unheard: time.Hour})
	must(b, c.Set(ctx, "k", e))
	must(b, near.Settle(ctx, "k"))
	layer, _ := c.Layers()
	listen := func(b *testing.B) {
		ctx, cancel := context.WithCancel(context.Background())
		heard := make(chan struct{})
		go func() { _ = c.Listen(ctx, func(...string) { close(heard) }) }()
		<-heard
		must(b, c.Set(ctx, "k", e))
		b.Cleanup(cancel)
	}
	for _, bm := range []struct {
		name  string
		cache corral.Cache[string, int]
		setup func(b *testing.B)
	}{
		{"near alone", near, func(*testing.B) {}},
		{"layered, unheard", layer, func(*testing.B) {}},
		{"layered, heard", layer, listen},
	} {
		b.Run(bm.name, func(b *testing.B) {
			bm.setup(b)
			b.ReportAllocs()
			for b.Loop() {
				if e, _ := bm.cache.Get(ctx, "k"); e == nil {
					b.Fatal("missed")
				}
			}
		})
	}
}
