package fleet_test

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// What a process in one zone stores, those in the other find.
func ExampleShard_zones() {
	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{
		{ID: "a east", Group: "a", Zone: "east"}, {ID: "a west", Group: "a", Zone: "west"},
		{ID: "b east", Group: "b", Zone: "east"}, {ID: "b west", Group: "b", Zone: "west"},
	}}
	servers := map[string]*memadapter.Shared[string, string]{}
	for _, s := range t.Shards {
		servers[s.ID] = memadapter.NewShared[string, string](2 * time.Second)
	}
	open := func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		return servers[s.ID].Process(), nil
	}
	ctx := context.Background()
	for _, zone := range []string{"east", "west"} {
		f, err := fleet.New(ctx, t, open, fleet.Options[string]{Zone: zone})
		if err != nil {
			fmt.Println(err)
			return
		}
		users, err := corral.New(f, corral.Options{TTL: time.Minute})
		if err != nil {
			fmt.Println(err)
			return
		}
		name, err := users.GetOrLoad(ctx, "7", func(context.Context, string) (string, error) {
			fmt.Println("loaded in the", zone)
			return "Ada", nil
		})
		fmt.Println(name, err, "in the", f.Owner("7").Zone)
		_ = users.Close(ctx)
		_ = f.Close(ctx)
	}
	// Output:
	// loaded in the east
	// Ada <nil> in the east
	// Ada <nil> in the west
}
