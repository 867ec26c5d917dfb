package fleet_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// people is a fleet of three shards that hold some.
func people() *fleet.Fleet[string, string] {
	ctx := context.Background()
	f, err := fleet.New(ctx, equal(3), inMemory, fleet.Options[string]{})
	if err != nil {
		panic(err)
	}
	for _, name := range []string{"Ann", "Bob", "Cid", "Dan", "Eve"} {
		_ = f.Set(ctx, name, fresh(name))
	}
	return f
}

// Shards that fail do not keep the others from being asked.
func ExampleFleet_Broadcast() {
	f := people()
	results, err := f.Broadcast(context.Background(), fleet.Policy{BestEffort: true},
		func(ctx context.Context, s fleet.Shard, cache corral.Cache[string, string]) error {
			if s.ID == "s01" {
				return errors.New("no route")
			}
			return cache.Delete(ctx, "Ann")
		})
	fmt.Println(results["s00"], results["s01"], results["s02"])
	fmt.Println(err)
	// Output:
	// <nil> no route <nil>
	// fleet: 1 shards failed: "s01": no route
}

func ExampleFleet_Scan() {
	var names []string
	for it, err := range people().Scan(context.Background(), fleet.ScanOptions[string, string]{
		Policy: fleet.Policy{QuorumPct: 60},
		Filter: func(it fleet.Item[string, string]) bool { return it.Key < "D" },
		Unique: true,
	}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		names = append(names, it.Entry.Value)
	}
	slices.Sort(names)
	fmt.Println(names)
	// Output: [Ann Bob Cid]
}

// To find one is to leave the loop: the scans of all shards end.
func ExampleFleet_Scan_first() {
	for it, err := range people().Scan(context.Background(), fleet.ScanOptions[string, string]{
		KeysOnly: true,
		Filter:   func(it fleet.Item[string, string]) bool { return it.Key > "D" },
	}) {
		fmt.Println(it.Key > "D", err)
		break
	}
	// Output: true <nil>
}

// Each shard's keys are put in order, and the shards are merged.
func ExampleMerge() {
	ctx := context.Background()
	f := people()
	ordered := func(shard string) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			var keys []string
			for it, err := range f.Scan(ctx, fleet.ScanOptions[string, string]{Policy: fleet.Policy{Shards: []string{shard}}, KeysOnly: true}) {
				if err != nil {
					yield("", err)
					return
				}
				keys = append(keys, it.Key)
			}
			slices.Sort(keys)
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
		}
	}
	for key, err := range fleet.Merge(ctx, cmp.Compare[string], 0, ordered("s00"), ordered("s01"), ordered("s02")) {
		fmt.Print(key, " ", err, "; ")
	}
	// Output: Ann <nil>; Bob <nil>; Cid <nil>; Dan <nil>; Eve <nil>;
}

func ExampleFleet_Stats() {
	f := people()
	for range f.Scan(context.Background(), fleet.ScanOptions[string, string]{}) {
	}
	s := f.Stats()
	fmt.Println(s.Scans.OK, s.Scans.Failed, s.Shards["s00"].OverAll.Calls)
	// Output: 1 0 1
}

func ExampleFleet_Observe() {
	f := people()
	ctx := f.Observe(context.Background())
	numbers := func(yield func(int, error) bool) {
		_ = yield(1, nil) && yield(2, nil)
	}
	for range fleet.Merge(ctx, cmp.Compare[int], 0, numbers, numbers) {
	}
	fmt.Println(f.Stats().Merges.OK)
	// Output: 1
}
