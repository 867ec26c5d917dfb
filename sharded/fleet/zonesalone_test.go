package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// lonely are shards without replicas that say where they are.
func lonely(epoch uint64, zones ...string) fleet.Topology {
	t := fleet.Topology{Epoch: epoch}
	for _, z := range zones {
		t.Shards = append(t.Shards, fleet.Shard{ID: "of " + z, Zone: z})
	}
	return t
}

// A zone that holds no replica of what another has is none that can be done without: what
// is there is brought over, as from any shard that leaves.
func TestZones_TheOnlyShardOfAZoneLeaves(t *testing.T) {
	for _, kind := range []struct {
		name string
		make func() corral.Cache[string, string]
	}{
		{"memory", func() corral.Cache[string, string] { return memadapter.New[string, string]() }},
		{"values", func() corral.Cache[string, string] { return memadapter.Plain[string, string]() }},
		{"leases", func() corral.Cache[string, string] {
			return memadapter.NewShared[string, string](2 * time.Second).Process()
		}},
		{"far, no leases", func() corral.Cache[string, string] { return memadapter.NewShared[string, string](0).Process() }},
		{"layers", func() corral.Cache[string, string] {
			return layered.New(memadapter.New[string, string](), memadapter.NewShared[string, string](2*time.Second).Process(), layered.Options{})
		}},
	} {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, err := fleet.New(t.Context(), lonely(1, "east", "west"), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
					return kind.make(), nil
				}, fleet.Options[string]{MaxLife: time.Hour})
				must(t, err)
				l, err := corral.New(f, corral.Options{TTL: time.Hour})
				must(t, err)
				loads := 0
				read := func(key string) {
					_, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { loads++; return "value", nil })
					must(t, err)
				}
				for i := range 20 {
					read(fmt.Sprint("key:", i))
				}
				change, err := f.Apply(t.Context(), lonely(2, "east"))
				must(t, err)
				for i := range 20 {
					read(fmt.Sprint("key:", i))
				}
				if loads != 20 {
					t.Errorf("%d loads of 20 keys", loads)
				}
				near, far := corral.Cache[string, string](f), corral.Cache[string, string](f)
				if c, ok := f.AsCache().(corral.Layered[string, string]); ok {
					near, far = c.Layers()
				}
				for i := range 20 {
					key := fmt.Sprint("key:", i)
					must(t, far.Delete(t.Context(), key))
					must(t, near.Delete(t.Context(), key))
				}
				report, err := fleet.Migrate(t.Context(), f, migrate{})
				must(t, err)
				if report.Ended != (kind.name != "far, no leases") {
					t.Errorf("%+v", report)
				}
				must(t, l.Close(t.Context()))
				must(t, f.Close(t.Context()))
				<-change.Done()
			})
		})
	}
}

// Owner asks nobody: not a replica that is out, either, whether it is well.
func TestZones_OwnerAsksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion(time.Minute)
		opts := fleet.Options[string]{Health: fleet.HealthOptions{Failures: 1}}
		f, ways := r.process(t, "east", replicated(1, 2, "east", "west"), opts)
		key := heldBy(t, f, "g0 east", 1)[0]
		ways["g0 east"].do(func(context.Context, string) error { return errCut })
		_, _ = f.Get(t.Context(), key)
		time.Sleep(time.Minute) // a probe is due
		before := ways["g0 east"].calls.Load()
		if id := f.Owner(key).ID; id != "g0 west" {
			t.Errorf("the owner is %s", id)
		}
		synctest.Wait()
		if n := ways["g0 east"].calls.Load() - before; n != 0 {
			t.Errorf("%d calls of a replica", n)
		}
	})
}

// A group leaves, and with it a zone that has nothing else: its keys are not brought over at
// once, since then the change would end while that zone still holds what it missed deletes of.
func TestZones_AGroupLeavesWithAZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxLife = 10 * time.Minute
		r := newRegion(time.Second)
		before := replicated(1, 1, "east", "west")
		before.Shards = append(before.Shards, fleet.Shard{ID: "g1 east", Group: "g1", Zone: "east"})
		f, _ := r.process(t, "east", before, fleet.Options[string]{MaxLife: maxLife})
		left := fleet.Topology{Epoch: 2, Shards: before.Shards[2:]}
		change, err := f.Apply(t.Context(), left)
		must(t, err)
		start := time.Now()
		report, err := fleet.Migrate(t.Context(), f, migrate{})
		must(t, err)
		if report.Ended || len(report.NotScannable) != 1 || report.NotScannable["g0"] == nil {
			t.Errorf("the report is %+v", report)
		}
		if <-change.Done(); time.Since(start) < maxLife {
			t.Errorf("the change ended after %v, before MaxLife of %v", time.Since(start), maxLife)
		}
	})
}
