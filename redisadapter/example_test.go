package redisadapter_test

import (
	"context"
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
	// Output: corral: the cache refused the entry: 1075 bytes, MaxValueBytes is 1000
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
