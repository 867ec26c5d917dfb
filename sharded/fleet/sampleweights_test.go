package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// Shards are weighed by their keys if these are known of all, also of one that is empty,
// and else by their weights.
func TestSample_KnowsWhatShardsHold(t *testing.T) {
	from := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{{ID: "a"}, {ID: "b", Weight: 3}, {ID: "c"}}}
	to := fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "b", Weight: 3}, {ID: "c"}}} // all of a moves
	f, inner := open(t, from, fleet.Options[string]{}, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
	for _, key := range stocked(t, f, 4000) {
		must(t, inner[2].(corral.Cache[string, string]).Delete(t.Context(), key))
	}
	for name, c := range map[string]struct {
		counts map[string]int64
		share  float64
	}{
		"no Count":             {nil, .25},
		"all are known":        {map[string]int64{"a": 5000, "b": 5000}, .5},
		"one is not":           {map[string]int64{"b": 5000}, .25},
		"one cannot be so few": {map[string]int64{"a": -1, "b": 5000}, .25},
	} {
		opts := fleet.SampleOptions{Keys: 100}
		if c.counts != nil {
			opts.Count = func(_ context.Context, s fleet.Shard, _ any) (int64, error) { return c.counts[s.ID], nil }
		}
		e, err := f.Sample(t.Context(), to, opts)
		if must(t, err); e.Share != c.share || e.Shards["c"] != (fleet.SampledShard{Whole: true}) {
			t.Errorf("%s: a share of %v, want %v: %+v", name, e.Share, c.share, e.Shards)
		}
		for id, s := range e.Shards {
			if s.Keys != max(0, c.counts[id]) {
				t.Errorf("%s: %s has %d keys, by Count %d", name, id, s.Keys, c.counts[id])
			}
		}
	}
}

// A group holds what the replica holds that has evicted least. One that cannot be counted
// leaves that open.
func TestSample_CountsAGroup(t *testing.T) {
	r := newRegion(time.Minute)
	f, _ := r.process(t, "east", replicated(1, 2, "east", "west"), fleet.Options[string]{})
	for _, id := range []string{"g0 east", "g0 west", "g1 east", "g1 west"} {
		for _, key := range heldBy(t, f, id, 30) {
			must(t, f.Set(t.Context(), key, fresh("value")))
		}
	}
	counts := map[string]int64{"g0 east": 100, "g0 west": 300, "g1 east": 400, "g1 west": 200}
	var broken string
	count := func(_ context.Context, s fleet.Shard, cache any) (int64, error) {
		if _, ok := cache.(*probe); !ok {
			t.Errorf("Count is given a %T, want what open returned", cache)
		}
		if s.ID == broken {
			return 0, errCut
		}
		return counts[s.ID], nil
	}
	e, err := f.Sample(t.Context(), replicated(2, 3, "east", "west"), fleet.SampleOptions{Keys: 10, Count: count})
	if must(t, err); e.Shards["g0"].Keys != 300 || e.Shards["g1"].Keys != 400 {
		t.Errorf("%+v", e.Shards)
	}
	for _, broken = range []string{"g0 east", "g0 west"} {
		e, err = f.Sample(t.Context(), replicated(2, 3, "east", "west"), fleet.SampleOptions{Keys: 10, Count: count})
		if must(t, err); !errors.Is(e.NotSampled["g0"], errCut) || len(e.Shards) != 1 {
			t.Errorf("%s fails: %+v, and not %v", broken, e.Shards, e.NotSampled)
		}
	}
}

// Sample returns with its context, whatever hangs, and with what was found until then.
func TestSample_ReturnsWithItsContext(t *testing.T) {
	for _, hangs := range []string{"a scan", "a count"} {
		t.Run(hangs, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				free, cause := make(chan struct{}), errors.New("the caller went home")
				var slow *faulty
				f, _ := open(t, equal(2), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
					slow = newFaulty()
					return slow
				})
				stocked(t, f, 400)
				opts := fleet.SampleOptions{Keys: 10}
				if hangs == "a scan" {
					slow.do(func(context.Context) error { <-free; return nil })
				} else {
					opts.Count = func(_ context.Context, s fleet.Shard, _ any) (int64, error) {
						if s.ID == "s01" {
							<-free
						}
						return 200, nil
					}
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				start := time.Now()
				to := equal(3)
				to.Epoch = 2
				e, err := f.Sample(ctx, to, opts)
				if err != cause || time.Since(start) != time.Second {
					t.Errorf("%v after %v, want the cause after 1s", err, time.Since(start))
				}
				if e.Shards["s00"].Sampled != 10 || e.NotSampled["s01"] == nil || len(e.Shards) != 1 {
					t.Errorf("%+v, and not %v; want what was found", e.Shards, e.NotSampled)
				}
				close(free)
			})
		})
	}
}
