package fleet_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// A replica that is dead keeps a migration from nothing that another one holds. That it was
// not looked at is told, and made up for when it is back.
func TestZones_MigratingWithADeadReplica(t *testing.T) {
	for _, dead := range []string{"g0 east", "g0 north", "g0 west"} {
		t.Run(dead, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegion(time.Minute)
				zones := []string{"east", "north", "west"}
				f, ways := r.process(t, "west", replicated(1, 1, zones...), fleet.Options[string]{MaxLife: time.Hour})
				keys := stocked(t, f, 300)
				holder := map[string]string{}
				for _, key := range keys {
					e, err := f.Explain(t.Context(), key)
					must(t, err)
					holder[key] = e.Replicas[0]
				}
				change, err := f.Apply(t.Context(), replicated(2, 2, zones...))
				must(t, err)
				ways[dead].scan = errDown
				ways[dead].do(func(context.Context, string) error { return errDown })
				report, err := fleet.Migrate(t.Context(), f, migrate{Batch: 50})
				some := (*fleet.ShardErrors)(nil)
				if !errors.As(err, &some) || !errors.Is(some.Errors["g0"], errDown) && !errors.Is(err, fleet.ErrUnhealthy) || report.Done {
					t.Fatalf("the report is %+v, %v", report, err)
				}
				away := 0
				for _, key := range keys {
					e, err := f.Explain(t.Context(), key)
					if must(t, err); e.Owner == "g0" {
						continue
					}
					if found := r.has(e.Replicas[0], key) != ""; found == (holder[key] == dead) {
						t.Errorf("%s, which was held by %s, is at its new holder: %v", key, holder[key], found)
					}
					away++
				}
				if report.Copied == 0 || report.Copied >= away {
					t.Errorf("%d of %d keys were copied", report.Copied, away)
				}
				ways[dead].scan = nil
				ways[dead].do(nil)
				if outOf(f, dead) {
					_, err = fleet.Migrate(t.Context(), f, migrate{Batch: 50})
					wantIs(t, err, fleet.ErrUnhealthy)
				}
				for i := 0; outOf(f, dead); i++ {
					_, _ = f.Get(t.Context(), keys[i%len(keys)])
					time.Sleep(100 * time.Millisecond)
				}
				if _, err = fleet.Migrate(t.Context(), f, migrate{Batch: 50}); err != nil {
					t.Fatal(err)
				}
				for _, key := range keys {
					wantGet(t, f, key, "value of "+key, "when the replica is back")
				}
				<-change.Done()
			})
		})
	}
}

func outOf(f *fleetOfAll, id string) bool {
	return slices.ContainsFunc(f.Health(), func(h fleet.ShardHealth) bool { return h.Shard.ID == id && h.Out })
}

// A page of a group whose replicas are all dead fails, and one that cannot be of it too.
func TestZones_ScanningNoReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion(time.Minute)
		f, ways := r.process(t, "west", replicated(1, 1, "east", "west"), fleet.Options[string]{MaxLife: time.Hour})
		stocked(t, f, 10)
		for _, way := range ways {
			way.scan = errDown
		}
		e, err := f.Sample(t.Context(), replicated(2, 2, "east", "west"), fleet.SampleOptions{})
		if must(t, err); !errors.Is(e.NotSampled["g0"], errDown) {
			t.Errorf("of dead replicas: %+v", e)
		}
		ways["g0 west"].scan = nil
		e, err = f.Sample(t.Context(), replicated(2, 2, "east", "west"), fleet.SampleOptions{})
		if must(t, err); !errors.Is(e.NotSampled["g0"], errDown) || e.Shards["g0"].Sampled > 0 {
			t.Errorf("of one that is left: %+v", e)
		}
	})
}
