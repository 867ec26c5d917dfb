//go:build !race

package ristrettoadapter_test

import (
	"context"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
)

// The race detector makes Ristretto's own sync.Pool forget, so that its Get
// allocates now and then.
func TestAllocsGetMany(t *testing.T) {
	c, _ := entries(t, nil)
	keys, list := numbered(100)
	ctx := context.Background()
	must(t, c.SetMany(ctx, keys[:50], list[:50]))
	for _, key := range keys {
		must(t, c.Settle(ctx, key))
	}
	if n := testing.AllocsPerRun(50, func() { _, _ = c.GetMany(ctx, keys) }); n != 1 {
		t.Errorf("GetMany of 50 hits and 50 misses allocates %v times, want once", n)
	}
}

// A hit allocates nothing, whatever V is.
func TestAllocsHit(t *testing.T) {
	ctx := context.Background()
	pointers := ristrettoadapter.New(open[ristrettoadapter.Item[*int]](t, nil), ristrettoadapter.Options[*int]{})
	structs := ristrettoadapter.New(open[ristrettoadapter.Item[[8]int]](t, nil), ristrettoadapter.Options[[8]int]{})
	plain, _ := values(t, nil)
	must(t, pointers.Set(ctx, "k", &corral.Entry[*int]{Value: new(int), LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}))
	must(t, pointers.Settle(ctx, "k"))
	must(t, structs.Set(ctx, "k", &corral.Entry[[8]int]{LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}))
	must(t, structs.Settle(ctx, "k"))
	must(t, plain.SetValue(ctx, "k", 1, time.Hour))
	must(t, plain.Settle(ctx, "k"))
	for name, call := range map[string]func(){
		"Get of pointers":    func() { _, _ = pointers.Get(ctx, "k") },
		"Glance at pointers": func() { _, _ = pointers.Glance(ctx, "k") },
		"Get of structs":     func() { _, _ = structs.Get(ctx, "k") },
		"Glance at structs":  func() { _, _ = structs.Glance(ctx, "k") },
		"GetValue":           func() { _, _, _, _ = plain.GetValue(ctx, "k") },
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
}
