package layered_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

type User struct{ Name string }

func loadUser(_ context.Context, id string) (User, error) {
	fmt.Println("loading", id)
	return User{Name: "Ann"}, nil
}

// Ristretto in front of Redis.
func Example() {
	ctx := context.Background()
	server, _ := miniredis.Run()
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	c, _ := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[User]]{NumCounters: 1e5, MaxCost: 1e4, BufferItems: 64})
	defer c.Close()

	users, err := corral.New(layered.New(
		ristrettoadapter.New(c, ristrettoadapter.Options[User]{}),
		redisadapter.New(client, redisadapter.Options[string, User]{Prefix: "users"}),
		layered.Options{}), corral.Options{TTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = users.Close(ctx) }()
	for range 3 {
		u, err := users.GetOrLoad(ctx, "ann", loadUser)
		fmt.Println(u.Name, err)
	}
	// Output:
	// loading ann
	// Ann <nil>
	// Ann <nil>
	// Ann <nil>
}

// fleet returns the caches of two processes over one store.
func fleet() (one, other *layered.Cache[string, int]) {
	store := memadapter.NewShared[string, int](2 * time.Second)
	join := func() *layered.Cache[string, int] {
		return layered.New(memadapter.New[string, int](), store.Process(), layered.Options{})
	}
	return join(), join()
}

func answer(value int) *corral.Entry[int] {
	return &corral.Entry[int]{Value: value, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute}
}

func ExampleNew() {
	store := memadapter.NewShared[string, int](2 * time.Second)
	cache := layered.New(memadapter.New[string, int](), store.Process(), layered.Options{
		Unheard:   500 * time.Millisecond,
		NearError: func(err error) { fmt.Println("near:", err) },
	})
	fmt.Println(cache.Check())
	// Output: <nil>
}

func ExampleCache_Check() {
	near := memadapter.New[string, int]()
	_, err := corral.New(layered.New(near, near, layered.Options{}), corral.Options{TTL: time.Minute})
	fmt.Println(err)
	// Output: corral: layered.New: far is not a far cache (*memadapter.Cache[string,int]): must say that it is far, or near saves nothing
}

func ExampleCache_Get() {
	ctx := context.Background()
	one, other := fleet()
	_ = one.Set(ctx, "answer", answer(42))
	e, err := other.Get(ctx, "answer") // from far, and copied
	fmt.Println(e.Value, err)
	// Output: 42 <nil>
}

func ExampleCache_Set() {
	ctx := context.Background()
	cache, _ := fleet()
	fmt.Println(cache.Set(ctx, "answer", answer(42)))
	near, _ := cache.Layers()
	e, _ := near.Get(ctx, "answer")
	fmt.Println(e.Value)
	// Output:
	// <nil>
	// 42
}

func ExampleCache_Delete() {
	ctx := context.Background()
	cache, _ := fleet()
	_ = cache.Set(ctx, "answer", answer(42))
	fmt.Println(cache.Delete(ctx, "answer"))
	e, _ := cache.Get(ctx, "answer")
	fmt.Println(e)
	// Output:
	// <nil>
	// <nil>
}

// A Loader listens by itself, until its Close.
func ExampleCache_Listen() {
	ctx, cancel := context.WithCancel(context.Background())
	one, other := fleet()
	near, _ := one.Layers()
	_ = one.Listen(ctx, func(keys ...string) {
		if len(keys) == 0 { // it hears from now on
			_ = one.Set(ctx, "answer", answer(41))
			_ = other.Set(ctx, "answer", answer(42))
			return
		}
		e, _ := near.Get(ctx, "answer")
		fmt.Println(keys, e)
		cancel()
	})
	// Output: [answer] <nil>
}

func ExampleCache_Layers() {
	ctx := context.Background()
	one, other := fleet()
	_ = other.Set(ctx, "answer", answer(42))
	near, far := one.Layers()
	e, _ := near.Get(ctx, "answer")
	fmt.Println(e)
	e, _ = far.Get(ctx, "answer")
	fmt.Println(e.Value)
	e, _ = near.Get(ctx, "answer")
	fmt.Println(e.Value)
	// Output:
	// <nil>
	// 42
	// 42
}

func ExampleCache_Far() {
	cache, _ := fleet()
	fmt.Println(cache.Far())
	// Output: true
}

func ExampleCache_Settle() {
	ctx := context.Background()
	cache, _ := fleet()
	_ = cache.Set(ctx, "answer", answer(42))
	fmt.Println(cache.Settle(ctx, "answer"))
	// Output: <nil>
}

func ExampleCache_LeaseLife() {
	cache, _ := fleet()
	fmt.Println(cache.LeaseLife())
	// Output: 2s
}

func ExampleCache_Acquire() {
	ctx := context.Background()
	one, other := fleet()
	lease, _ := one.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of one"})
	fmt.Println(lease.State == corral.LeaseHeld)
	lease, _ = other.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of the other"})
	fmt.Println(lease.State == corral.LeaseBusy)
	// Output:
	// true
	// true
}

func ExampleCache_Renew() {
	ctx := context.Background()
	cache, _ := fleet()
	_, _ = cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	fmt.Println(cache.Renew(ctx, "answer", "t"))
	// Output: <nil>
}

func ExampleCache_Fill() {
	ctx := context.Background()
	cache, _ := fleet()
	_, _ = cache.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	_ = cache.Delete(ctx, "answer") // ends the lease
	fmt.Println(cache.Fill(ctx, "answer", "t", answer(41)))
	// Output: corral: the lease is lost
}

func ExampleCache_Release() {
	ctx := context.Background()
	one, other := fleet()
	_, _ = one.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of one"})
	_ = one.Release(ctx, "answer", "of one")
	lease, _ := other.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "of the other"})
	fmt.Println(lease.State == corral.LeaseHeld)
	// Output: true
}

func ExampleCache_Watch() {
	ctx := context.Background()
	one, other := fleet()
	_, _ = one.Acquire(ctx, "answer", corral.LeaseRequest[int]{Token: "t"})
	ended, stop := other.Watch("answer")
	defer stop()
	_ = one.Fill(ctx, "answer", "t", answer(42))
	<-ended
	e, _ := other.Get(ctx, "answer")
	fmt.Println(e.Value)
	// Output: 42
}

func ExampleCache_ScanPage() {
	ctx := context.Background()
	far := memadapter.NewShared[string, string](time.Second)
	cache := layered.New(memadapter.New[string, string](), far.Process(), layered.Options{})
	_ = far.Process().Set(ctx, "ann", &corral.Entry[string]{Value: "Ann", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	items, next, err := cache.ScanPage(ctx, "", 100, false)
	fmt.Println(items[0].Key, items[0].Entry.Value, next == "", err)
	// Output: ann Ann true <nil>
}

func ExampleCache_CheckScan() {
	far := memadapter.NewShared[string, string](time.Second).Process()
	fmt.Println(layered.New(memadapter.New[string, string](), far, layered.Options{}).CheckScan())
	// Output: <nil>
}
