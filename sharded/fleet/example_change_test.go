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
		fleet.Options[string]{MaxLife: time.Second})
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
	fmt.Println(loads, "loads")
	<-change.Done()
	fmt.Println("the change is over")
	// Output:
	// 1000 loads
	// the change is over
}

// over returns a fleet whose keys are looked for where they were for 50 ms.
func over(ids ...string) *fleet.Fleet[string, string] {
	t := fleet.Topology{Epoch: 1}
	for _, id := range ids {
		t.Shards = append(t.Shards, fleet.Shard{ID: id})
	}
	f, err := fleet.New(context.Background(), t, func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}, fleet.Options[string]{MaxLife: 50 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	return f
}

func ExampleChange_Plan() {
	f := over("a", "b")
	defer f.Close(context.Background())
	change, err := f.Apply(context.Background(), fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "a"}, {ID: "b"}, {ID: "c"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.0f %% of the keys move, to %v\n", 100*change.Plan().Share, change.Plan().Added)
	// Output: 33 % of the keys move, to [c]
}

// While a change is under way there can be no other one.
func ExampleChange_Done() {
	ctx := context.Background()
	f := over("a", "b")
	defer f.Close(ctx)
	change, err := f.Apply(ctx, fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "b"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	third := fleet.Topology{Epoch: 3, Shards: []fleet.Shard{{ID: "b"}, {ID: "c"}}}
	_, err = f.Apply(ctx, third)
	fmt.Println(err)
	<-change.Done()
	_, err = f.Apply(ctx, third)
	fmt.Println(err)
	// Output:
	// fleet: the topology is changing
	// <nil>
}

func ExampleChange_Err() {
	f := over("a", "b")
	change, err := f.Apply(context.Background(), fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "b"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(change.Err())
	f.Close(context.Background())
	<-change.Done()
	fmt.Println(change.Err())
	// Output:
	// <nil>
	// fleet: the fleet is closed
}

// The new shard turns out to be a bad one: the old topology comes back.
func ExampleChange_Abort() {
	ctx := context.Background()
	f := over("a")
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

// Of two that publish after the same revision, one does.
func ExampleMemoryEpochs_Publish() {
	ctx := context.Background()
	epochs := &fleet.MemoryEpochs{}
	first := fleet.Published{Revision: 1, Topology: fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}}}}
	for range 2 {
		ok, err := epochs.Publish(ctx, 0, first)
		fmt.Println(ok, err)
	}
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleMemoryEpochs_Load() {
	published, err := new(fleet.MemoryEpochs).Load(context.Background())
	fmt.Println(published.Revision, err)
	// Output: 0 <nil>
}

// Before the topology changes: what would move?
func ExampleFleet_Sample() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	f, err := fleet.New(ctx, named(1, "a", "b"), open, fleet.Options[string]{MaxLife: time.Hour})
	if err != nil {
		panic(err)
	}
	defer f.Close(ctx)
	for i := range 1000 {
		e := &corral.Entry[string]{Value: "value", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute}
		_ = f.Set(ctx, fmt.Sprint("key:", i), e)
	}
	e, err := f.Sample(ctx, named(2, "a", "b", "c"), fleet.SampleOptions{})
	fmt.Printf("%.0f %% of the keys, %.0f %% of the bytes, %v\n", 100*e.Share, 100*e.ByteShare, err)
	for _, m := range e.Moves {
		fmt.Println(m.From, "to", m.To, m.Keys, "keys,", m.Bytes, "bytes")
	}
	// Output:
	// 33 % of the keys, 33 % of the bytes, <nil>
	// a to c 176 keys, 880 bytes
	// b to c 153 keys, 765 bytes
}
