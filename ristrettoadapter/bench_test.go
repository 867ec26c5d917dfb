package ristrettoadapter_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral/ristrettoadapter"
)

// BenchmarkHit is one hot key: the adapters beside Ristretto itself, which
// reads the clock for an entry with a TTL.
func BenchmarkHit(b *testing.B) {
	hit := func(get func() bool) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if !get() {
						b.Error("missed")
						return
					}
				}
			})
		}
	}
	ctx := b.Context()
	c, raw := entries(b, nil)
	p, rawValues := values(b, nil)
	rawValues.SetWithTTL("ending", 1, 1, time.Hour)
	must(b, c.Set(ctx, "k", lasting(1, time.Hour)))
	must(b, c.Settle(ctx, "k"))
	must(b, p.SetValue(ctx, "k", 1, time.Hour))
	must(b, p.Settle(ctx, "k"))

	b.Run("ristretto/no TTL", hit(func() bool { _, ok := raw.Get("k"); return ok }))
	b.Run("ristretto/TTL", hit(func() bool { _, ok := rawValues.Get("ending"); return ok }))
	b.Run("ristretto/TTL and GetTTL", hit(func() bool {
		_, ok := rawValues.Get("ending")
		_, ok2 := rawValues.GetTTL("ending")
		return ok && ok2
	}))
	b.Run("New", hit(func() bool { e, _ := c.Get(ctx, "k"); return e != nil }))
	b.Run("Plain", hit(func() bool { _, _, ok, _ := p.GetValue(ctx, "k"); return ok }))
}

// BenchmarkSet is a new key and its settling, beside what Ristretto needs for
// the same.
func BenchmarkSet(b *testing.B) {
	c, raw := entries(b, nil)
	e := lasting(1, time.Hour)
	b.Run("ristretto/Set and Wait", func(b *testing.B) {
		for b.Loop() {
			raw.Set("k", ristrettoadapter.ItemOf(e), 1)
			raw.Wait()
			raw.Del("k")
		}
	})
	b.Run("New/Set and Settle", func(b *testing.B) {
		for b.Loop() {
			must(b, c.Set(b.Context(), "k", e))
			must(b, c.Settle(b.Context(), "k"))
			raw.Del("k")
		}
	})
}
