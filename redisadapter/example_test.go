package redisadapter_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
)

// connect returns a client of a server that lives in this process.
func connect() (*redis.Client, func()) {
	server := miniredis.NewMiniRedis()
	client := redis.NewClient(&redis.Options{
		Addr:   "127.0.0.1:6379",
		Dialer: func(context.Context, string, string) (net.Conn, error) { return server.Dial() },
	})
	return client, func() {
		_ = client.Close()
		server.Close()
	}
}

// The result of New goes to corral.New.
func ExampleNew() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()

	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	ann := &corral.Entry[User]{Value: User{Name: "Ann"}, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Hour}
	fmt.Println(users.Set(ctx, 42, ann))
	e, err := users.Get(ctx, 42)
	fmt.Println(e.Value.Name, e.TTL, err)
	fmt.Println(client.Keys(ctx, "*").Val())
	// Output:
	// <nil>
	// Ann 1m0s <nil>
	// [users:{42}]
}

// Keys that another program writes are read as they are.
func ExamplePlain() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	client.Set(ctx, "user:42", `{"Name":"Ann"}`, time.Minute)

	users := redisadapter.Plain(client, redisadapter.Options[int, User]{Prefix: "user:"})
	ann, life, ok, err := users.GetValue(ctx, 42)
	fmt.Println(ann.Name, life > 0, ok, err)
	// Output: Ann true true <nil>
}

func ExampleCache_Check() {
	client, closeAll := connect()
	defer closeAll()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "{users}"})
	fmt.Println(users.Check())
	// Output: corral: redisadapter.Options.Prefix is "{users}": must hold no brace: those around the key choose its hash slot
}

func ExampleCache_Get() {
	client, closeAll := connect()
	defer closeAll()
	users := redisadapter.New(client, redisadapter.Options[string, User]{Prefix: "users"})
	e, err := users.Get(context.Background(), "nobody")
	fmt.Println(e, err)
	// Output: <nil> <nil>
}

func ExampleCache_Set() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", MaxValueBytes: 1000})
	large := &corral.Entry[User]{Value: User{Name: fmt.Sprintf("%1000s", "Ann")}, LoadedAt: time.Now(), Keep: time.Hour}
	fmt.Println(users.Set(ctx, 42, large))
	// Output: corral: the cache refused the entry: 1043 bytes, MaxValueBytes is 1000
}

func ExampleCache_Delete() {
	client, closeAll := connect()
	defer closeAll()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	fmt.Println(users.Delete(context.Background(), 42))
	// Output: <nil>
}

func ExampleCache_Far() {
	users := redisadapter.New(nil, redisadapter.Options[int, User]{})
	fmt.Println(users.Far())
	// Output: true
}

func ExamplePlainCache_Check() {
	type point struct{ x, y int }
	client, closeAll := connect()
	defer closeAll()
	tiles := redisadapter.Plain(client, redisadapter.Options[point, []byte]{
		Prefix: "tile:",
		Key:    func(p point) string { return fmt.Sprintf("%d,%d", p.x, p.y) },
	})
	fmt.Println(tiles.Check())
	// Output: <nil>
}

func ExamplePlainCache_SetValue() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	fmt.Println(names.SetValue(ctx, 42, "Ann", time.Minute))
	fmt.Println(client.Get(ctx, "name:42").Val())
	// Output:
	// <nil>
	// Ann
}

func ExamplePlainCache_GetValue() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	client.Set(ctx, "name:42", "Ann", 0) // for ever
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	name, life, ok, err := names.GetValue(ctx, 42)
	fmt.Println(name, life < 0, ok, err)
	// Output: Ann true true <nil>
}

func ExamplePlainCache_Get() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	client.Set(ctx, "name:42", "Ann", time.Hour)
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	e, err := names.Get(ctx, 42)
	fmt.Println(e.Value, e.Keep > 59*time.Minute, e.LoadedAt.IsZero(), err)
	// Output: Ann true true <nil>
}

func ExamplePlainCache_Set() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	client.Set(ctx, "name:42", "Ann", time.Hour)
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	fmt.Println(names.Set(ctx, 42, &corral.Entry[string]{Absent: true})) // a bare value cannot say that there is none
	fmt.Println(client.Exists(ctx, "name:42").Val())
	// Output:
	// <nil>
	// 0
}

func ExamplePlainCache_Delete() {
	client, closeAll := connect()
	defer closeAll()
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	fmt.Println(names.Delete(context.Background(), 42))
	// Output: <nil>
}

func ExamplePlainCache_Far() {
	names := redisadapter.Plain(nil, redisadapter.Options[int, string]{})
	fmt.Println(names.Far())
	// Output: true
}

// Leases last two seconds unless they are renewed or Options.Lease says otherwise.
func ExampleCache_LeaseLife() {
	client, closeAll := connect()
	defer closeAll()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	alone := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", NoLease: true})
	fmt.Println(users.LeaseLife(), alone.LeaseLife())
	// Output: 2s 0s
}

// Of two who miss a key, one gets its lease and loads.
func ExampleCache_Acquire() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	first, err := users.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: rand.Text()})
	fmt.Println(first.State == corral.LeaseHeld, err)
	second, err := users.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: rand.Text()})
	fmt.Println(second.State == corral.LeaseBusy, second.Left > time.Second, err)
	// Output:
	// true <nil>
	// true true <nil>
}

// A load that takes longer than the lease renews it.
func ExampleCache_Renew() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	fmt.Println(errors.Is(users.Renew(ctx, 42, "nobody's"), corral.ErrLeaseLost))
	// Output: true
}

// What was loaded before a Delete is not stored after it.
func ExampleCache_Fill() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	token := rand.Text()
	_, _ = users.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: token})
	old := &corral.Entry[User]{Value: User{Name: "Ann"}, LoadedAt: time.Now(), Keep: time.Hour}
	_ = users.Delete(ctx, 42) // in any process
	fmt.Println(errors.Is(users.Fill(ctx, 42, token, old), corral.ErrLeaseLost))
	// Output: true
}

func ExampleCache_Release() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	_, _ = users.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: "mine"})
	fmt.Println(users.Release(ctx, 42, "not mine"), client.Exists(ctx, "users:{42}:lease").Val())
	fmt.Println(users.Release(ctx, 42, "mine"), client.Exists(ctx, "users:{42}:lease").Val())
	// Output:
	// <nil> 1
	// <nil> 0
}

func ExampleCache_Watch() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	users := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
	_, _ = users.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: "first"})

	ended, stop := users.Watch(42)
	defer stop()
	<-ended // the subscription began: the lease may have ended before
	_ = users.Release(ctx, 42, "first")
	<-ended
	l, err := users.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: "second"})
	fmt.Println(l.State == corral.LeaseHeld, err)
	// Output: true <nil>
}

// A near cache drops what other processes write.
func ExampleCache_Listen() {
	client, closeAll := connect()
	defer closeAll()
	ctx, cancel := context.WithCancel(context.Background())
	opts := redisadapter.Options[int, User]{Prefix: "users"}
	here, there := redisadapter.New(client, opts), redisadapter.New(client, opts)

	err := here.Listen(ctx, func(keys ...int) {
		if len(keys) == 0 { // it hears: what was written until now it has not heard of
			_ = there.Delete(ctx, 42)
			return
		}
		fmt.Println("another process wrote", keys)
		cancel()
	})
	fmt.Println(err)
	// Output:
	// another process wrote [42]
	// context canceled
}

func ExamplePlainCache_LeaseLife() {
	names := redisadapter.Plain(nil, redisadapter.Options[int, string]{Lease: time.Minute})
	fmt.Println(names.LeaseLife())
	// Output: 1m0s
}

// A value that somebody stored since is returned in place of the lease.
func ExamplePlainCache_Acquire() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	client.Set(ctx, "name:42", "Ann", time.Hour)
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	l, err := names.Acquire(ctx, 42, corral.LeaseRequest[string]{Token: rand.Text()})
	fmt.Println(l.State == corral.LeaseChanged, l.Entry.Value, err)
	// Output: true Ann <nil>
}

func ExamplePlainCache_Renew() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	_, _ = names.Acquire(ctx, 42, corral.LeaseRequest[string]{Token: "mine"})
	fmt.Println(names.Renew(ctx, 42, "mine"))
	// Output: <nil>
}

// The lease's key is beside the value's, in the same hash slot.
func ExamplePlainCache_Fill() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	_, _ = names.Acquire(ctx, 42, corral.LeaseRequest[string]{Token: "mine"})
	fmt.Println(client.Keys(ctx, "*").Val())
	fmt.Println(names.Fill(ctx, 42, "mine", &corral.Entry[string]{Value: "Ann", LoadedAt: time.Now(), Keep: time.Hour}))
	fmt.Println(client.Keys(ctx, "*").Val())
	// Output:
	// [corral{name:42}]
	// <nil>
	// [name:42]
}

func ExamplePlainCache_Release() {
	client, closeAll := connect()
	defer closeAll()
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	fmt.Println(names.Release(context.Background(), 42, "not mine"))
	// Output: <nil>
}

func ExamplePlainCache_Watch() {
	client, closeAll := connect()
	defer closeAll()
	names := redisadapter.Plain(client, redisadapter.Options[int, string]{Prefix: "name:"})
	ended, stop := names.Watch(42)
	defer stop()
	<-ended
	fmt.Println("ask Acquire again")
	// Output: ask Acquire again
}

// Keys that are no text need the way back.
func ExamplePlainCache_Listen() {
	type point struct{ x, y int }
	client, closeAll := connect()
	defer closeAll()
	tiles := redisadapter.Plain(client, redisadapter.Options[point, []byte]{
		Prefix: "tile:",
		Key:    func(p point) string { return fmt.Sprintf("%d,%d", p.x, p.y) },
	})
	err := tiles.Listen(context.Background(), func(...point) {})
	var fault *corral.OptionError
	fmt.Println(errors.As(err, &fault), fault.Field)
	// Output: true redisadapter.Options.ParseKey
}

func ExampleCache_ScanPage() {
	ctx := context.Background()
	client, closeAll := connect()
	defer closeAll()
	cache := redisadapter.New(client, redisadapter.Options[string, string]{Prefix: "users"})
	_ = cache.Set(ctx, "ann", &corral.Entry[string]{Value: "Ann", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute})
	items, next, err := cache.ScanPage(ctx, "", 1000, false)
	fmt.Println(items[0].Key, items[0].Entry.Value, next == "", err)
	// Output: ann Ann true <nil>
}

func ExampleCache_CheckScan() {
	client, closeAll := connect()
	defer closeAll()
	users := redisadapter.New(client, redisadapter.Options[User, string]{Key: func(u User) string { return u.Name }})
	fmt.Println(users.CheckScan())
	// Output: corral: redisadapter.Options.ParseKey is nil: required to scan, unless Key is nil and the key's kind is string or integer; the key is a redisadapter_test.User
}

// What other programs wrote is visited too.
func ExamplePlainCache_ScanPage() {
	client, closeAll := connect()
	defer closeAll()
	ctx := context.Background()
	client.Set(ctx, "user:42", `{"Name":"Ann"}`, time.Minute)
	users := redisadapter.Plain(client, redisadapter.Options[int, User]{Prefix: "user:"})
	items, next, err := users.ScanPage(ctx, "", 1000, false)
	fmt.Println(items[0].Key, items[0].Entry.Value.Name, next == "", err)
	// Output: 42 Ann true <nil>
}

func ExamplePlainCache_CheckScan() {
	client, closeAll := connect()
	defer closeAll()
	fmt.Println(redisadapter.Plain(client, redisadapter.Options[int, User]{Prefix: "user:"}).CheckScan())
	// Output: <nil>
}
