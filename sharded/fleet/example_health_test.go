package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// unplugged is a cache whose server is gone.
type unplugged struct{ corral.Cache[string, string] }

func (unplugged) Get(context.Context, string) (*corral.Entry[string], error) {
	return nil, errors.New("no route to host")
}

// After three failures a shard is left alone. Its keys are loaded.
func ExampleFleet_Health() {
	ctx := context.Background()
	open := func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		if s.ID == "b" {
			return unplugged{memadapter.New[string, string]()}, nil
		}
		return memadapter.New[string, string](), nil
	}
	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}}}
	f, err := fleet.New(ctx, t, open, fleet.Options[string]{
		Hooks: fleet.Hooks{HealthChange: func(_ context.Context, e fleet.HealthChange) {
			if e.Out {
				fmt.Printf("%s is out: %v\n", e.Shard.ID, e.Err)
			}
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close(ctx)
	for i := range 20 {
		_, _ = f.Get(ctx, fmt.Sprint("user:", i))
	}
	for _, s := range f.Health() {
		fmt.Println(s.Shard.ID, s.State, s.Out)
	}
	// Output:
	// b is out: no route to host
	// a healthy false
	// b unhealthy true
}

// An operator drains a shard whose server is to be restarted.
func ExampleFleet_SetState() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}}}
	f, err := fleet.New(ctx, t, open, fleet.Options[string]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close(ctx)
	if err := f.SetState(ctx, "b", fleet.StateUnhealthy); err != nil {
		fmt.Println(err)
	}
	fmt.Println(f.Health()[1].State, f.Health()[1].Out)
	// … the restart …
	if err := f.SetState(ctx, "b", fleet.StateUnknown); err != nil { // it is asked when probes go well
		fmt.Println(err)
	}
	fmt.Println(f.SetState(ctx, "c", fleet.StateUnknown))
	// Output:
	// unhealthy true
	// corral: fleet.SetState: id is "c": must be the ID of a shard of the fleet
}

// What an application knows of its servers' errors.
func ExampleClassifyFault() {
	classify := func(err error) fleet.Fault {
		if err.Error() == "READONLY" { // a replica: no use to ask it three times
			return fleet.HardFault
		}
		return fleet.ClassifyFault(err)
	}
	fmt.Println(classify(errors.New("READONLY")), classify(errors.New("EOF")), classify(corral.ErrUndecodable))
	// Output: 2 1 0
}

// While a shard is out, what was loaded is kept at the next one.
func ExampleGutterOptions() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	f, err := fleet.New(ctx, t, open, fleet.Options[string]{
		Health: fleet.HealthOptions{Gutter: fleet.GutterOptions{Life: 10 * time.Second}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close(ctx)
	users, err := corral.New(f, corral.Options{TTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer users.Close(ctx)
	if err := f.SetState(ctx, f.Owner("ada").ID, fleet.StateUnhealthy); err != nil {
		fmt.Println(err)
	}
	for range 1000 {
		_, _ = users.GetOrLoad(ctx, "ada", func(context.Context, string) (string, error) {
			fmt.Println("loaded")
			return "Ada Lovelace", nil
		})
	}
	e, err := f.Explain(ctx, "ada")
	fmt.Println(e.Owner, e.Out, e.Gutter, err)
	// Output:
	// loaded
	// c true b <nil>
}
