package fleet_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

func TestZones_TopologiesThatCannotWork(t *testing.T) {
	with := func(s ...fleet.Shard) fleet.Topology { return fleet.Topology{Shards: s} }
	long := string(make([]byte, 256))
	for name, c := range map[string]struct {
		topology fleet.Topology
		field    string
		value    any
	}{
		"a group named as another shard": {with(fleet.Shard{ID: "a"}, fleet.Shard{ID: "b", Group: "a"}), "Topology.Shards[1].Group", `"a"`},
		"other weights in a group":       {with(fleet.Shard{ID: "a", Group: "g"}, fleet.Shard{ID: "b", Group: "g", Weight: 2}), "Topology.Shards[1].Weight", 2},
		"a long group":                   {with(fleet.Shard{ID: "a", Group: long}), "Topology.Shards[0].Group", "256 bytes long"},
		"bytes for a zone":               {with(fleet.Shard{ID: "a", Zone: "\xff"}), "Topology.Shards[0].Zone", `"\xff"`},
	} {
		t.Run(name, func(t *testing.T) { wantOption(t, c.topology.Validate(), c.field, c.value) })
	}
	must(t, with(fleet.Shard{ID: "a", Group: "a"}, fleet.Shard{ID: "b", Group: "a", Weight: 1}).Validate())
	_, err := fleet.New(t.Context(), equal(1), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}, fleet.Options[string]{Zone: long})
	wantOption(t, err, "Options.Zone", fmt.Sprintf("%q", long))
}

// Replicas are of caches that processes share, and that give leases: without them a copy
// could bring back what a Delete has ended.
func TestZones_ReplicasThatGiveNoLeases(t *testing.T) {
	for name, cache := range map[string]corral.Cache[string, string]{
		"memory":         memadapter.New[string, string](),
		"values":         memadapter.Plain[string, string](),
		"far, no leases": memadapter.NewShared[string, string](0).Process(),
		"Redis": redisadapter.New(redistest.Client(t, nil), redisadapter.Options[string, string]{
			Prefix: "p", NoLease: true,
		}),
		"values on Redis": redisadapter.Plain(redistest.Client(t, nil), redisadapter.Options[string, string]{
			Prefix: "p", NoLease: true,
		}),
	} {
		_, err := fleet.New(t.Context(), replicated(1, 1, "east", "west"), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
			return cache, nil
		}, fleet.Options[string]{})
		var lacks *fleet.AbilityError
		if !errors.As(err, &lacks) || lacks.Ability != "Leaser whose leases are on" {
			t.Errorf("%s: New = %v, want what the replicas lack", name, err)
		}
	}
}

func TestZones_Digest(t *testing.T) {
	topology := replicated(1, 2, "east", "west")
	const golden = "7dacfb276135b62353589bec4a65fbb58547ef9816c6f8d168ecd7082eb4bec6"
	sum := topology.Digest()
	if got := hex.EncodeToString(sum[:]); got != golden {
		t.Errorf("the digest is %s, want %s", got, golden)
	}
	for name, change := range map[string]func(s []fleet.Shard){
		"another zone":    func(s []fleet.Shard) { s[0].Zone = "north" },
		"no zone":         func(s []fleet.Shard) { s[0].Zone = "" },
		"another group":   func(s []fleet.Shard) { s[0].Group = "g9" },
		"zone for group":  func(s []fleet.Shard) { s[0].Zone, s[0].Group = s[0].Group, s[0].Zone },
		"letters between": func(s []fleet.Shard) { s[0].Zone, s[0].Group = "eastg", "0" },
	} {
		other := topology
		other.Shards = slices.Clone(topology.Shards)
		if change(other.Shards); other.Digest() == sum {
			t.Errorf("%s: the digest is the same", name)
		}
	}
	text, err := json.Marshal(fleet.Topology{Shards: []fleet.Shard{{ID: "a", Zone: "z", Group: "g"}}})
	if must(t, err); string(text) != `{"epoch":0,"shards":[{"id":"a","zone":"z","group":"g"}]}` {
		t.Errorf("the JSON is %s", text)
	}
}

// Placement is by groups: a shard that gets replicas keeps its keys.
func TestZones_AShardGetsReplicas(t *testing.T) {
	r := newRegion(time.Minute)
	before, _ := r.process(t, "", named(1, "a", "b", "c"), fleet.Options[string]{})
	after := fleet.Topology{Epoch: 2}
	for _, id := range []string{"a", "b", "c"} {
		after.Shards = append(after.Shards, fleet.Shard{ID: id, Group: id}, fleet.Shard{ID: id + "2", Group: id, Zone: "west"})
	}
	f, _ := r.process(t, "west", after, fleet.Options[string]{})
	first := map[bool]int{}
	for i := range 300 {
		key := fmt.Sprint("key:", i)
		e, err := f.Explain(t.Context(), key)
		must(t, err)
		if owner := before.Owner(key).ID; e.Owner != owner || f.Owner(key).ID != owner+"2" || len(e.Replicas) != 2 {
			t.Fatalf("%s was at %s; is at %q, %v, and read at %s", key, owner, e.Owner, e.Replicas, f.Owner(key).ID)
		}
		first[e.Replicas[0] == e.Owner]++
	}
	if first[true] < 100 || first[false] < 100 {
		t.Errorf("holders are %v: not evenly spread", first)
	}
}

func TestZones_ApplyKeepsAShardsGroup(t *testing.T) {
	r := newRegion(time.Minute)
	f, _ := r.process(t, "east", replicated(1, 2, "east", "west"), fleet.Options[string]{MaxLife: time.Minute})
	to := replicated(2, 2, "east", "west")
	to.Shards[0].Group = "g1"
	_, err := f.Apply(t.Context(), to)
	wantOption(t, err, "Topology.Shards[0].Group", `"g1"`)
	to = replicated(2, 2, "east", "west")
	to.Shards[0].Zone = "west"
	_, err = f.Apply(t.Context(), to)
	wantOption(t, err, "Topology.Shards[0].Zone", `"west"`)
}

// No change of the replicas costs a load, while the group keeps one and its zone another.
func TestZones_ApplyCostsNoLoad(t *testing.T) {
	all := replicated(1, 2, "east", "west")
	less, more := all, replicated(2, 2, "east", "west", "north")
	less.Epoch, less.Shards = 2, slices.Delete(slices.Clone(all.Shards), 1, 2)
	wider := replicated(2, 3, "east", "west")
	for name, c := range map[string]struct{ from, to fleet.Topology }{
		"a replica goes": {all, less}, "a replica comes": {again(less, 1), again(all, 2)}, "a zone comes": {all, more},
		"a group comes": {all, wider}, "a group goes": {again(wider, 1), again(all, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegion(10 * time.Second)
				east, _ := r.process(t, "east", c.from, fleet.Options[string]{MaxLife: 10 * time.Minute})
				l, err := corral.New(east, corral.Options{TTL: 10 * time.Minute})
				must(t, err)
				loads := 0
				read := func() {
					for i := range 100 {
						_, err := l.GetOrLoad(t.Context(), fmt.Sprint("key:", i), func(context.Context, string) (string, error) { loads++; return "value", nil })
						must(t, err)
					}
				}
				read()
				change, err := east.Apply(t.Context(), c.to)
				must(t, err)
				for range 3 {
					time.Sleep(time.Minute)
					read()
				}
				if loads != 100 {
					t.Errorf("%d loads of 100 keys", loads)
				}
				<-change.Done()
				must(t, l.Close(t.Context()))
			})
		})
	}
}

func again(t fleet.Topology, epoch uint64) fleet.Topology {
	t.Epoch = epoch
	return t
}

// A zone that is ejected is not needed for a Delete, and holds nothing when it is taken
// back.
func TestZones_EjectingAZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion(10 * time.Second)
		f, ways := r.process(t, "east", replicated(1, 3, "east", "west"), fleet.Options[string]{
			MaxLife: time.Minute, Epochs: &fleet.MemoryEpochs{}, EpochLife: time.Second,
		})
		var keys []string
		for i := range 60 {
			keys = append(keys, fmt.Sprint("key:", i))
			must(t, f.Set(t.Context(), keys[i], fresh("old")))
		}
		for id, p := range ways {
			if id[3:] == "west" {
				p.do(func(context.Context, string) error { return errCut })
			}
		}
		wantIs(t, f.Delete(t.Context(), keys[0]), errCut)
		change, err := f.Apply(t.Context(), replicated(2, 3, "east")) // returns when every process goes by it
		must(t, err)
		time.Sleep(100 * time.Millisecond)
		for _, key := range keys {
			must(t, f.Delete(t.Context(), key))
		}
		if err := change.Abort(t.Context()); err == nil {
			t.Error("the zone was taken back though it has missed deletes")
		}
		report, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
		if must(t, err); report.Ended || len(report.NotScannable) != 3 {
			t.Errorf("a migration ended the change: %+v", report)
		}
		<-change.Done()
		change, err = f.Apply(t.Context(), replicated(3, 3, "east", "west"))
		must(t, err)
		for _, key := range keys {
			if e, err := f.Get(t.Context(), key); e != nil {
				t.Errorf("%s is %q, %v", key, e.Value, err)
			}
		}
		<-change.Done()
	})
}

func TestContract_A6_Conformance_ZonesOfRedis(t *testing.T) {
	s, opts := newServers(), redisadapter.Options[string, string]{Prefix: "p"}
	topology := replicated(1, 2, "east", "west")
	at := map[string]int{}
	for i, shard := range topology.Shards {
		at[shard.ID] = i
	}
	process := func(t *testing.T, zone string, open func(i int) corral.Cache[string, string]) corral.Cache[string, string] {
		caches := map[string]corral.Cache[string, string]{}
		for _, shard := range topology.Shards {
			caches[shard.ID] = open(at[shard.ID])
		}
		f, err := fleet.New(t.Context(), topology, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			return caches[s.ID], nil
		}, fleet.Options[string]{Zone: zone})
		must(t, err)
		t.Cleanup(func() { must(t, f.Close(context.Background())) })
		return f
	}
	cfg := s.config(adaptertest.Config[string, string]{})
	cfg.New = func(t *testing.T) corral.Cache[string, string] {
		return process(t, "east", func(i int) corral.Cache[string, string] { return redisadapter.New(s.start(t, i), opts) })
	}
	cfg.Other = func(t *testing.T) corral.Cache[string, string] {
		return process(t, "west", func(i int) corral.Cache[string, string] { return redisadapter.New(s.another(t, i), opts) })
	}
	adaptertest.Run(t, cfg)
}
