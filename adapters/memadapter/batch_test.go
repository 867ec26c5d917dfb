package memadapter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// Slices of different lengths are an error before anything is done.
func TestManyKeysWithOtherNumbersOfEntries(t *testing.T) {
	p := memadapter.NewShared[string, int](time.Second).Process()
	ctx, keys := context.Background(), []string{"a", "b"}
	one := []*corral.Entry[int]{{Value: 1, Keep: time.Minute}}
	_, acquire := p.AcquireMany(ctx, keys, make([]corral.LeaseRequest[int], 3))
	for name, err := range map[string]error{
		"Cache.SetMany":      memadapter.New[string, int]().SetMany(ctx, keys, one),
		"PlainCache.SetMany": memadapter.Plain[string, int]().SetMany(ctx, keys, one),
		"SetMany":            p.SetMany(ctx, keys, one),
		"AcquireMany":        acquire,
		"RenewMany":          p.RenewMany(ctx, keys, []string{"t"}),
		"FillMany, tokens":   p.FillMany(ctx, keys, nil, append(one, one...)),
		"FillMany, entries":  p.FillMany(ctx, keys, []string{"t", "t"}, one),
		"ReleaseMany":        p.ReleaseMany(ctx, keys, make([]string, 4)),
	} {
		if err == nil || !strings.Contains(err.Error(), "for 2 keys: want as many") {
			t.Errorf("%s: error %v, want one that names both numbers", name, err)
		}
	}
	if e, _ := p.Get(ctx, "a"); e != nil {
		t.Error("a call that failed stored an entry")
	}
}

// What a single call refuses is refused for its key alone.
func TestManyKeysWithOneBadOne(t *testing.T) {
	p := memadapter.NewShared[string, int](time.Second).Process()
	ctx, keys := context.Background(), []string{"a", "b"}
	good := &corral.Entry[int]{Value: 1, Keep: time.Minute}
	leases, acquire := p.AcquireMany(ctx, keys, []corral.LeaseRequest[int]{{Token: "t"}, {}})
	for name, err := range map[string]error{
		"Cache.SetMany":      memadapter.New[string, int]().SetMany(ctx, keys, []*corral.Entry[int]{good, nil}),
		"PlainCache.SetMany": memadapter.Plain[string, int]().SetMany(ctx, keys, []*corral.Entry[int]{good, nil}),
		"AcquireMany":        acquire,
		"SetMany":            p.SetMany(ctx, keys, []*corral.Entry[int]{good, nil}),
	} {
		var some *corral.KeyErrors[string]
		if !errors.As(err, &some) || len(some.Errors) != 1 || some.Errors["b"] == nil {
			t.Errorf("%s: error %v, want one of b alone", name, err)
		}
	}
	if len(leases) != 2 || leases[0].Token == "" {
		t.Errorf("leases %v, want that of a", leases)
	}
	if e, _ := p.Get(ctx, "a"); e == nil {
		t.Error("a is not stored")
	}
}

// Each call of a Process is one step: nobody sees half of it.
func TestManyKeysOfASharedAreOneStep(t *testing.T) {
	store, ctx := memadapter.NewShared[int, int](time.Second), context.Background()
	keys, same := make([]int, 200), make([]*corral.Entry[int], 200)
	var rounds atomic.Int64
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := range 300 {
			for i := range keys {
				keys[i], same[i] = i, &corral.Entry[int]{Value: n, Keep: time.Minute}
			}
			if err := store.Process().SetMany(ctx, keys, same); err != nil {
				t.Error(err)
			}
			rounds.Store(int64(n + 1))
		}
	})
	defer writer.Wait()
	for rounds.Load() < 300 {
		entries, err := store.Process().GetMany(ctx, []int{0, 60, 120, 199})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if (e == nil) != (entries[0] == nil) || e != nil && e.Value != entries[0].Value {
				t.Fatalf("found %v and %v, want those of one SetMany", entries[0], e)
			}
		}
	}
}
