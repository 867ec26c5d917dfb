package memadapter_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// Two processes, of which one loads: a Loader does these steps for each key.
func ExampleNewShared() {
	ctx := context.Background()
	store := memadapter.NewShared[string, int](2 * time.Second)
	one, other := store.Process(), store.Process()

	held, _ := one.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of one"})
	fmt.Println(held.State == corral.LeaseHeld)
	lease, _ := other.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of the other"})
	fmt.Println(lease.State == corral.LeaseBusy)

	_ = one.Fill(ctx, "answer", held.Token, &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	lease, _ = other.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of the other"})
	fmt.Println(lease.State == corral.LeaseChanged, lease.Entry.Value)
	// Output:
	// true
	// true
	// true 42
}

func ExampleShared_Process() {
	ctx := context.Background()
	var store memadapter.Shared[string, int]
	one, other := store.Process(), store.Process()
	_ = one.Set(ctx, "answer", &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	e, _ := other.Get(ctx, "answer")
	fmt.Println(e.Value)
	// Output: 42
}

func ExampleProcess_Get() {
	e, err := memadapter.NewShared[string, int](0).Process().Get(context.Background(), "nobody")
	fmt.Println(e, err)
	// Output: <nil> <nil>
}

func ExampleProcess_Set() {
	ctx := context.Background()
	store := memadapter.NewShared[string, int](2 * time.Second)
	loads, writes := store.Process(), store.Process()
	lease, _ := loads.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	_ = writes.Set(ctx, "answer", &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	// What was loaded meanwhile may be older.
	err := loads.Fill(ctx, "answer", lease.Token, &corral.Entry[int]{Value: 41, LoadedAt: time.Now(), Keep: time.Minute})
	fmt.Println(errors.Is(err, corral.ErrLeaseLost))
	// Output: true
}

func ExampleProcess_Delete() {
	ctx := context.Background()
	store := memadapter.NewShared[string, int](2 * time.Second)
	loads, deletes := store.Process(), store.Process()
	lease, _ := loads.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	_ = deletes.Delete(ctx, "answer")
	fmt.Println(loads.Renew(ctx, "answer", lease.Token))
	// Output: corral: the lease is lost
}

func ExampleProcess_Far() {
	fmt.Println(memadapter.NewShared[string, int](0).Process().Far())
	// Output: true
}

func ExampleProcess_Check() {
	_, err := corral.New(memadapter.NewShared[string, int](-time.Second).Process(), corral.Options{TTL: time.Minute})
	fmt.Println(err)
	// Output: memadapter: the life of leases is -1s: it must not be below zero
}

func ExampleProcess_LeaseLife() {
	fmt.Println(memadapter.NewShared[string, int](2 * time.Second).Process().LeaseLife())
	// Output: 2s
}

// A stale entry is loaded by one, unless somebody has stored another since.
func ExampleProcess_Acquire() {
	ctx := context.Background()
	cache := memadapter.NewShared[string, int](2 * time.Second).Process()
	_ = cache.Set(ctx, "answer", &corral.Entry[int]{Value: 41, LoadedAt: time.Now(), Keep: time.Minute})
	stale, _ := cache.Get(ctx, "answer")

	lease, _ := cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t", Seen: stale})
	fmt.Println(lease.State == corral.LeaseHeld, lease.Empty)

	_ = cache.Set(ctx, "answer", &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	lease, _ = cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t", Seen: stale})
	fmt.Println(lease.State == corral.LeaseChanged, lease.Entry.Value)
	// Output:
	// true false
	// true 42
}

func ExampleProcess_Renew() {
	ctx := context.Background()
	cache := memadapter.NewShared[string, int](2 * time.Second).Process()
	lease, _ := cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	fmt.Println(cache.Renew(ctx, "answer", lease.Token))
	fmt.Println(cache.Renew(ctx, "answer", "of nobody"))
	// Output:
	// <nil>
	// corral: the lease is lost
}

func ExampleProcess_Fill() {
	ctx := context.Background()
	cache := memadapter.NewShared[string, int](2 * time.Second).Process()
	lease, _ := cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	e := &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute}
	fmt.Println(cache.Fill(ctx, "answer", lease.Token, e))
	fmt.Println(cache.Fill(ctx, "answer", lease.Token, e)) // the reply was lost
	// Output:
	// <nil>
	// <nil>
}

func ExampleProcess_Release() {
	ctx := context.Background()
	cache := memadapter.NewShared[string, int](2 * time.Second).Process()
	lease, _ := cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	_ = cache.Release(ctx, "answer", lease.Token) // the load failed
	lease, _ = cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of the next"})
	fmt.Println(lease.State == corral.LeaseHeld)
	// Output: true
}

func ExampleProcess_Watch() {
	ctx := context.Background()
	store := memadapter.NewShared[string, int](2 * time.Second)
	loads, waits := store.Process(), store.Process()
	lease, _ := loads.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	ended, stop := waits.Watch("answer")
	defer stop()
	_ = loads.Fill(ctx, "answer", lease.Token, &corral.Entry[int]{Value: 42, LoadedAt: time.Now(), Keep: time.Minute})
	<-ended
	e, _ := waits.Get(ctx, "answer")
	fmt.Println(e.Value)
	// Output: 42
}

func ExampleProcess_Listen() {
	ctx, cancel := context.WithCancel(context.Background())
	store := memadapter.NewShared[string, int](0)
	one, other := store.Process(), store.Process()
	err := one.Listen(ctx, func(keys ...string) {
		fmt.Println(len(keys), "keys")
		if len(keys) > 0 {
			cancel()
			return
		}
		_ = other.Delete(ctx, "answer") // now that one hears
	})
	fmt.Println(err)
	// Output:
	// 0 keys
	// 1 keys
	// context canceled
}
