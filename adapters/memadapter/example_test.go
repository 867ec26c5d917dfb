package memadapter_test

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

func ExampleNew() {
	ctx := context.Background()
	cache := memadapter.New[string, int]()
	_ = cache.Set(ctx, "answer", &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	e, _ := cache.Get(ctx, "answer")
	fmt.Println(e.Value)
	// Output: 42
}

func ExampleCache_Get() {
	e, err := memadapter.New[string, int]().Get(context.Background(), "nobody")
	fmt.Println(e, err)
	// Output: <nil> <nil>
}

func ExampleCache_Set() {
	ctx := context.Background()
	cache := memadapter.New[string, int]()
	// The source has no such key: that is an entry too.
	_ = cache.Set(ctx, "nobody", &corral.Entry[int]{Absent: true, LoadedAt: time.Now(), Keep: time.Second})
	e, _ := cache.Get(ctx, "nobody")
	fmt.Println(e.Absent)
	// Output: true
}

func ExampleCache_Delete() {
	ctx := context.Background()
	cache := memadapter.New[string, int]()
	_ = cache.Set(ctx, "answer", &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	_ = cache.Delete(ctx, "answer")
	e, _ := cache.Get(ctx, "answer")
	fmt.Println(e)
	// Output: <nil>
}

func ExamplePlain() {
	ctx := context.Background()
	cache := memadapter.Plain[string, int]()
	_ = cache.SetValue(ctx, "answer", 42, time.Minute)
	value, life, ok, _ := cache.GetValue(ctx, "answer")
	fmt.Println(value, life.Round(time.Minute), ok)
	// Output: 42 1m0s true
}

func ExamplePlainCache_GetValue() {
	_, _, ok, err := memadapter.Plain[string, int]().GetValue(context.Background(), "nobody")
	fmt.Println(ok, err)
	// Output: false <nil>
}

func ExamplePlainCache_SetValue() {
	ctx := context.Background()
	cache := memadapter.Plain[string, int]()
	_ = cache.SetValue(ctx, "answer", 42, 292*365*24*time.Hour)
	_, life, _, _ := cache.GetValue(ctx, "answer")
	fmt.Println(life > 0)
	_ = cache.SetValue(ctx, "answer", 42, 0) // no life left
	_, _, ok, _ := cache.GetValue(ctx, "answer")
	fmt.Println(ok)
	// Output:
	// true
	// false
}

func ExamplePlainCache_Get() {
	ctx := context.Background()
	cache := memadapter.Plain[string, int]()
	_ = cache.SetValue(ctx, "answer", 42, time.Minute)
	e, _ := cache.Get(ctx, "answer")
	fmt.Println(e.Value, e.LoadedAt.IsZero())
	// Output: 42 true
}

func ExamplePlainCache_Set() {
	ctx := context.Background()
	cache := memadapter.Plain[string, int]()
	_ = cache.Set(ctx, "answer", &corral.Entry[int]{Value: 42, LoadedAt: time.Now().Add(-time.Minute), Keep: time.Hour})
	_, life, _, _ := cache.GetValue(ctx, "answer")
	fmt.Println(life.Round(time.Minute))
	// Output: 59m0s
}

func ExamplePlainCache_Delete() {
	ctx := context.Background()
	cache := memadapter.Plain[string, int]()
	_ = cache.SetValue(ctx, "answer", 42, time.Minute)
	_ = cache.Delete(ctx, "answer")
	_, _, ok, _ := cache.GetValue(ctx, "answer")
	fmt.Println(ok)
	// Output: false
}

// A Loader calls Glance: a fresh entry is quiet until its early refresh may come.
func ExampleCache_Glance() {
	ctx, c := context.Background(), memadapter.New[string, string]()
	err := c.Set(ctx, "k", &corral.Entry[string]{Value: "v", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Hour})
	g, failed := c.Glance(ctx, "k")
	fmt.Println(g.Entry.Value, g.Quiet, err, failed)
	// Output: v true <nil> <nil>
}

func ExampleCache_ScanPage() {
	ctx := context.Background()
	cache := memadapter.New[string, int]()
	for i, key := range []string{"ann", "bob", "cid"} {
		_ = cache.Set(ctx, key, &corral.Entry[int]{Value: i, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	}
	sum := 0
	for cursor := ""; ; {
		items, next, err := cache.ScanPage(ctx, cursor, 2, false)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, it := range items {
			sum += it.Entry.Value
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	fmt.Println(sum)
	// Output: 3
}

func ExamplePlainCache_ScanPage() {
	ctx := context.Background()
	cache := memadapter.Plain[string, int]()
	_ = cache.SetValue(ctx, "ann", 7, time.Minute)
	items, next, err := cache.ScanPage(ctx, "", 100, false)
	fmt.Println(items[0].Key, items[0].Entry.Value, next == "", err)
	// Output: ann 7 true <nil>
}

func ExampleProcess_ScanPage() {
	ctx := context.Background()
	store := memadapter.NewShared[string, int](0)
	_ = store.Process().Set(ctx, "ann", &corral.Entry[int]{Value: 7, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	items, _, err := store.Process().ScanPage(ctx, "", 100, true) // only keys
	fmt.Println(items[0].Key, items[0].Entry, err)
	// Output: ann <nil> <nil>
}
