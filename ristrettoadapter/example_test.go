package ristrettoadapter_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

func ExampleNew() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{
		NumCounters: 1e4, MaxCost: 1000, BufferItems: 64,
		IgnoreInternalCost: true, // MaxCost counts values, not bytes
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{})
	ctx := context.Background()
	err = adapter.Set(ctx, "greeting", &corral.Entry[string]{
		Value: "hello", LoadedAt: time.Now(), TTL: time.Minute, Keep: 10 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
	}
	e, err := adapter.Get(ctx, "greeting")
	if err != nil || e == nil {
		fmt.Println("missed", err)
		return
	}
	fmt.Println(e.Value)
	// Output: hello
}

// A cache of bare values that the program has had for long.
func ExamplePlain() {
	cache, err := ristretto.NewCache(&ristretto.Config[int, string]{NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	cache.Set(7, "an old value", 1)
	cache.Wait()

	adapter := ristrettoadapter.Plain(cache, ristrettoadapter.Options[string]{
		Cost: func(v string) int64 { return int64(len(v)) },
	})
	ctx := context.Background()
	if err := adapter.SetValue(ctx, 8, "a new value", time.Minute); err != nil {
		fmt.Println(err)
	}
	for _, key := range []int{7, 8, 9} {
		value, life, ok, err := adapter.GetValue(ctx, key)
		fmt.Printf("%q found=%v endless=%v err=%v\n", value, ok, life < 0, err)
	}
	// Output:
	// "an old value" found=true endless=true err=<nil>
	// "a new value" found=true endless=false err=<nil>
	// "" found=false endless=false err=<nil>
}

// Ristretto decides about a new key after Set has returned.
func ExampleCache_Settle() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{
		NumCounters: 100, MaxCost: 10, BufferItems: 64, // too small for its own 56 for each entry
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{})
	ctx := context.Background()
	err = adapter.Set(ctx, "k", &corral.Entry[string]{Value: "v", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	fmt.Println("set:", err)
	err = adapter.Settle(ctx, "k")
	fmt.Println("refused:", errors.Is(err, corral.ErrRefused), adapter.Stats().Refused)
	// Output:
	// set: <nil>
	// refused: true 1
}

func ExampleCache_Check() {
	var cache *ristretto.Cache[string, ristrettoadapter.Item[string]] // forgotten
	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{})
	fmt.Println(adapter.Check())
	// Output: ristrettoadapter: the *ristretto.Cache is nil
}

func ExampleCache_Stats() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{NumCounters: 100, MaxCost: 10, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{
		Cost: func(v string) int64 { return int64(len(v)) },
	})
	err = adapter.Set(context.Background(), "k", &corral.Entry[string]{Value: "much too long", LoadedAt: time.Now(), Keep: time.Minute})
	fmt.Println(errors.Is(err, corral.ErrRefused), adapter.Stats())
	// Output: true {1 0 0}
}

func ExamplePlainCache_Stats() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, int]{NumCounters: 100, MaxCost: 100, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	adapter := ristrettoadapter.Plain(cache, ristrettoadapter.Options[int]{})
	err = adapter.SetValue(context.Background(), "k", 1, time.Minute)
	fmt.Printf("%v %+v\n", err, adapter.Stats())
	// Output: <nil> {Refused:0 Contended:0 Swept:0}
}

// What a cache held that was filled around the adapter is read like any other.
func ExampleItemOf() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{NumCounters: 100, MaxCost: 1000, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	cache.Set("k", ristrettoadapter.ItemOf(&corral.Entry[string]{Value: "v", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute}), 1)
	cache.Wait()
	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{})
	e, err := adapter.Get(context.Background(), "k")
	fmt.Println(e.Value, err)
	// Output: v <nil>
}

func ExampleItem_Entry() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{
		NumCounters: 100, MaxCost: 1000, BufferItems: 64,
		OnExit: func(it ristrettoadapter.Item[string]) {
			if e := it.Entry(); e != nil { // Ristretto tells of its own records of a deletion too
				fmt.Println("gone:", e.Value)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{})
	ctx := context.Background()
	err = adapter.Set(ctx, "k", &corral.Entry[string]{Value: "v", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	fmt.Println(err)
	fmt.Println(adapter.Delete(ctx, "k"))
	// Output:
	// <nil>
	// gone: v
	// <nil>
}

// A Loader calls Glance. Its value stands in Ristretto's own map only if it is a
// pointer.
func ExampleCache_Glance() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[*int]]{NumCounters: 100, MaxCost: 1000, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[*int]{})
	ctx, value := context.Background(), 7
	err = adapter.Set(ctx, "k", &corral.Entry[*int]{Value: &value, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	if err == nil {
		err = adapter.Settle(ctx, "k")
	}
	g, failed := adapter.Glance(ctx, "k")
	fmt.Println(g.Quiet, g.Value == &value, g.Entry.TTL, err, failed)
	// Output: true true 1m0s <nil> <nil>
}

func ExampleCache_ScanPage() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	adapter := ristrettoadapter.New(cache, ristrettoadapter.Options[string]{Enumerable: true})
	ctx := context.Background()
	_ = adapter.Set(ctx, "ann", &corral.Entry[string]{Value: "Ann", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	items, next, err := adapter.ScanPage(ctx, "", 1000, false)
	fmt.Println(items[0].Key, items[0].Entry.Value, next == "", err)
	// Output: ann Ann true <nil>
}

func ExampleCache_CheckScan() {
	cache, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[string]]{NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()
	fmt.Println(ristrettoadapter.New(cache, ristrettoadapter.Options[string]{}).CheckScan())
	// Output: corral: ristrettoadapter.Options.Enumerable is false: must be true: Ristretto tells no keys
}
