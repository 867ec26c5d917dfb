package sharded_test

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral/sharded"
)

type user struct{ Name string }

func loadUser(context.Context) (user, error) { return user{"Ada"}, nil }

func ExampleNewGroup() {
	type key struct{ Tenant, ID int } // keys need not be strings
	users := sharded.NewGroup[key, user](sharded.Options[key]{Timeout: 5 * time.Second})
	u, _, err := users.Do(context.Background(), key{1, 7}, loadUser)
	fmt.Println(u.Name, err)
	// Output: Ada <nil>
}

func ExampleGroup_Do() {
	users := sharded.NewGroup[int, user](sharded.Options[int]{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // say, a request's
	defer cancel()
	u, shared, err := users.Do(ctx, 7, loadUser)
	fmt.Println(u.Name, shared, err)
	// Output: Ada false <nil>
}

func ExampleGroup_DoChan() {
	users := sharded.NewGroup[int, user](sharded.Options[int]{})
	ready := make(chan struct{})
	load := func(ctx context.Context) (user, error) { <-ready; return loadUser(ctx) }
	first := users.DoChan(context.Background(), 7, load)
	second := users.DoChan(context.Background(), 7, load)
	close(ready)
	fmt.Println(<-first)
	fmt.Println(<-second)
	// Output:
	// {{Ada} true <nil>}
	// {{Ada} true <nil>}
}

func ExampleGroup_Forget() {
	users := sharded.NewGroup[int, user](sharded.Options[int]{})
	ready := make(chan struct{})
	old := users.DoChan(context.Background(), 7, func(ctx context.Context) (user, error) { <-ready; return loadUser(ctx) })
	users.Forget(7) // say, because user 7 was just renamed
	u, _, _ := users.Do(context.Background(), 7, func(context.Context) (user, error) { return user{"Augusta Ada"}, nil })
	close(ready)
	fmt.Println(u.Name)
	fmt.Println((<-old).Value.Name)
	// Output:
	// Augusta Ada
	// Ada
}

func ExampleGroup_InFlight() {
	users := sharded.NewGroup[int, user](sharded.Options[int]{})
	ready := make(chan struct{})
	result := users.DoChan(context.Background(), 7, func(ctx context.Context) (user, error) { <-ready; return loadUser(ctx) })
	for id, flight := range users.InFlight() {
		fmt.Println(id, flight.Waiters, time.Since(flight.Since) < time.Minute)
	}
	close(ready)
	<-result
	// Output: 7 1 true
}

func ExampleGroup_Shards() {
	users := sharded.NewGroup[int, user](sharded.Options[int]{Shards: 2, Shard: func(id int) uint64 { return uint64(id) }})
	for id := range 5 {
		users.Do(context.Background(), id, loadUser)
	}
	for _, shard := range users.Shards() {
		fmt.Println(shard.Started)
	}
	// Output:
	// 3
	// 2
}

func ExampleKey() {
	fmt.Println(sharded.Key("ab", "c"))
	fmt.Println(sharded.Key("a", "bc"))
	// Output:
	// 2:ab1:c
	// 1:a2:bc
}
