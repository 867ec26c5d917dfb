package fleet_test

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// inMemory opens a shard that needs no server.
func inMemory(_ context.Context, _ fleet.Shard) (corral.Cache[string, string], error) {
	return memadapter.New[string, string](), nil
}

func ExampleNew() {
	ctx := context.Background()
	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b", Weight: 2}, {ID: "c"}}}
	users, err := fleet.New(ctx, t, inMemory, fleet.Options[string]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	loader, err := corral.New(users, corral.Options{TTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	ann, err := loader.GetOrLoad(ctx, "ann", func(context.Context, string) (string, error) { return "Ann", nil })
	fmt.Println(ann, err)
	fmt.Println("on shard", users.Owner("ann").ID)
	// Output:
	// Ann <nil>
	// on shard c
}

func ExampleFleet_Owner() {
	f, _ := fleet.New(context.Background(), equal(3), inMemory, fleet.Options[string]{})
	for _, key := range []string{"ann", "bob", "cid"} {
		fmt.Println(key, f.Owner(key).ID)
	}
	// Output:
	// ann s02
	// bob s02
	// cid s00
}

func ExampleFleet_Explain() {
	ctx := context.Background()
	pins, _ := fleet.NewMemoryPins[string](0)
	f, _ := fleet.New(ctx, equal(3), inMemory, fleet.Options[string]{Pins: pins})
	_, _, _ = pins.GetOrPin(ctx, "ann", "s00")
	e, err := f.Explain(ctx, "ann")
	fmt.Printf("%016x %v, pinned to %s: on %s, %v\n", e.Hash, e.Ranking, e.Pin, e.Owner, err)
	// Output: 0b41beba40346ebe [s02 s00 s01], pinned to s00: on s00, <nil>
}

func ExampleFleet_Topology() {
	f, _ := fleet.New(context.Background(), equal(3), inMemory, fleet.Options[string]{})
	current, previous := f.Topology()
	fmt.Println(current.Epoch, len(current.Shards), previous)
	// Output: 1 3 <nil>
}

// What opened the shards' clients closes them.
func ExampleFleet_Close() {
	ctx := context.Background()
	f, _ := fleet.New(ctx, equal(1), inMemory, fleet.Options[string]{
		Close: func(_ context.Context, s fleet.Shard, _ any) error {
			fmt.Println("closed", s.ID)
			return nil
		},
	})
	fmt.Println(f.Close(ctx))
	fmt.Println(f.Delete(ctx, "ann"))
	// Output:
	// closed s00
	// <nil>
	// fleet: the fleet is closed
}

// A fleet of caches of bare values is one itself.
func ExampleFleet_AsCache() {
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.Plain[string, string](), nil
	}
	f, _ := fleet.New(context.Background(), equal(3), open, fleet.Options[string]{})
	_, plain := f.AsCache().(corral.PlainCache[string, string])
	_, far := f.AsCache().(corral.Far)
	fmt.Println(plain, far)
	// Output: true false
}
