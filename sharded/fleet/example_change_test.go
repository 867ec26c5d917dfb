package fleet_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// A shard is added while the fleet is in use. What moves to it is brought over when it
// is asked for, and is not loaded again.
func ExampleFleet_Apply() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	f, err := fleet.New(ctx, fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}}}, open,
		fleet.Options[string]{MaxLife: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close(ctx)
	loader, err := corral.New(f, corral.Options{TTL: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer loader.Close(ctx)
	loads := 0
	load := func(_ context.Context, key string) (string, error) {
		loads++
		return "the value of " + key, nil
	}
	read := func() {
		for i := range 1000 {
			if _, err := loader.GetOrLoad(ctx, fmt.Sprint("user:", i), load); err != nil {
				fmt.Println(err)
			}
		}
	}
	read()
	change, err := f.Apply(ctx, fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}, {ID: "c"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	read()
	fmt.Printf("%.0f %% of the keys move, to %v\n", 100*change.Plan().Share, change.Plan().Added)
	fmt.Println(loads, "loads")
	// Output:
	// 33 % of the keys move, to [c]
	// 1000 loads
}

// The new shard turns out to be a bad one: the old topology comes back.
func ExampleChange_Abort() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	f, err := fleet.New(ctx, fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}}}, open,
		fleet.Options[string]{MaxLife: 50 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close(ctx)
	change, err := f.Apply(ctx, fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "b"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Owner("key").ID)
	if err := change.Abort(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(f.Owner("key").ID)
	<-change.Done()
	fmt.Println(change.Err())
	// Output:
	// b
	// a
	// fleet: the change was aborted
}

func ExampleNewPlan() {
	from := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	to := fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "a", Weight: 2}, {ID: "c"}, {ID: "d"}}}
	p, err := fleet.NewPlan(from, to)
	fmt.Println(p.Added, p.Removed, p.Reweighted, err)
	fmt.Printf("%.0f %% of the keys move\n", 100*p.Share)
	// Output:
	// [d] [b] [a] <nil>
	// 42 % of the keys move
}

// Two processes of which the second starts with an old topology.
func ExampleMemoryEpochs() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	epochs := &fleet.MemoryEpochs{}
	for _, t := range []fleet.Topology{
		{Epoch: 2, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}}},
		{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}}},
	} {
		f, err := fleet.New(ctx, t, open, fleet.Options[string]{Epochs: epochs})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer f.Close(ctx)
		current, _ := f.Topology()
		fmt.Println(current.Epoch, len(current.Shards))
	}
	published, _ := epochs.Load(ctx)
	text, _ := json.Marshal(published)
	fmt.Println(string(text))
	// Output:
	// 2 2
	// 2 2
	// {"revision":1,"phase":0,"topology":{"epoch":2,"shards":[{"id":"a"},{"id":"b"}]}}
}
