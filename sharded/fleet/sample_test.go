package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// Looked at whole, the estimate is what moves; of a part of the keys, it is about that.
func TestSample_IsWhatMoves(t *testing.T) {
	for _, kind := range []string{"memory", "values in memory"} {
		for _, r := range reshardings {
			for _, sample := range []int{20_000, 1000} {
				t.Run(fmt.Sprint(kind, "/", r.name, "/", sample, " keys"), func(t *testing.T) {
					f, _ := open(t, r.from, fleet.Options[string]{MaxLife: time.Hour}, func(int) corral.Cache[string, string] {
						if kind == "memory" {
							return memadapter.New[string, string]()
						}
						return memadapter.Plain[string, string]()
					})
					keys := stocked(t, f, 20_000)
					counts := map[string]int64{}
					for _, key := range keys {
						counts[f.Owner(key).ID]++
					}
					e, err := f.Sample(t.Context(), r.to, fleet.SampleOptions{Keys: sample, Count: func(_ context.Context, s fleet.Shard, _ any) (int64, error) {
						return counts[s.ID], nil
					}})
					must(t, err)
					want := float64(len(movers(t, r.from, r.to, keys))) / float64(len(keys))
					within := map[bool]float64{true: 1e-9, false: .03}[sample == 20_000]
					if math.Abs(e.Share-want) > within || math.Abs(e.ByteShare-want) > within+.001 || len(e.NotSampled) > 0 || len(e.Plan.From.Shards) != len(r.from.Shards) {
						t.Errorf("%.4f of the keys and %.4f of the bytes, want %.4f", e.Share, e.ByteShare, want)
					}
					var all, bytes int64
					for _, m := range e.Moves {
						if all, bytes = all+m.Keys, bytes+m.Bytes; m.From == m.To || m.Sampled == 0 {
							t.Errorf("%+v", m)
						}
					}
					if math.Abs(float64(all)/20_000-want) > within+1e-4 || bytes < all*int64(len("value of key:")) {
						t.Errorf("%d keys and %d bytes, want %.0f keys", all, bytes, want*20_000)
					}
					for id, s := range e.Shards {
						if s.Keys != counts[id] || s.Sampled > sample || s.Whole != (sample > 1000) {
							t.Errorf("%s: %+v, of %d keys", id, s, counts[id])
						}
					}
				})
			}
		}
	}
}

// Shards are weighed by what they hold, if that is known, else by their weights.
func TestSample_WeighsShards(t *testing.T) {
	f, inner := open(t, named(1, "a", "b"), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
	stocked(t, f, 4000)
	counts := map[any]int64{inner[0]: 3_000_000, inner[1]: 1_000_000}
	count := func(_ context.Context, _ fleet.Shard, cache any) (int64, error) { return counts[cache], nil }
	to := named(2, "a") // all of b moves
	e, err := f.Sample(t.Context(), to, fleet.SampleOptions{Keys: 100, Count: count})
	if must(t, err); e.Share != .25 || len(e.Moves) != 1 || e.Moves[0].Keys != 1_000_000 || e.Moves[0].Share != 1 || e.Moves[0].Sampled != 100 {
		t.Errorf("%+v", e)
	}
	e, err = f.Sample(t.Context(), to, fleet.SampleOptions{Keys: 100})
	if must(t, err); e.Share != .5 || e.Moves[0].Keys != 0 || e.Moves[0].Bytes != 0 || e.Moves[0].SampledBytes == 0 {
		t.Errorf("without Count: %+v", e)
	}
}

// What is pinned moves if its shard does; what is only left at a shard is none of its.
func TestSample_MindsPinsAndStrays(t *testing.T) {
	pins := memoryPins[string](t, 0)
	f, inner := open(t, named(1, "a", "b"), fleet.Options[string]{Pins: pins}, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
	for i := range 50 {
		_, _, err := pins.GetOrPin(t.Context(), fmt.Sprint("key:", i), map[bool]string{true: "a", false: "b"}[i < 20])
		must(t, err)
	}
	stocked(t, f, 50)
	for i := range 50 { // strays at b
		must(t, inner[1].(corral.Cache[string, string]).Set(t.Context(), fmt.Sprint("key:", i), fresh("stray")))
	}
	e, err := f.Sample(t.Context(), named(2, "b", "c"), fleet.SampleOptions{Size: func(any) int { return 100 }})
	must(t, err)
	moved := 0
	for _, m := range e.Moves {
		if moved += int(m.Keys); m.From != "a" {
			t.Errorf("%+v moves, though it is pinned to b", m)
		}
	}
	if moved != 20 || e.Share != .4 || e.Shards["b"].Sampled != 30 || e.Shards["b"].SampledBytes != 3000 {
		t.Errorf("%d move: %+v", moved, e)
	}
	if shard, _, _ := pins.Get(t.Context(), "key:0"); shard != "a" {
		t.Errorf("the pin was moved to %s", shard)
	}
}

func TestSample_Failures(t *testing.T) {
	ctx := t.Context()
	var broken *faulty
	f, _ := open(t, equal(4), fleet.Options[string]{MaxLife: time.Hour}, func(i int) corral.Cache[string, string] {
		switch c := newFaulty(); i {
		case 0:
			return single{c}
		case 1:
			broken = c
			return c
		default:
			return c
		}
	})
	stocked(t, f, 400)
	broken.do(func(context.Context) error { return errDown })
	must(t, f.SetState(ctx, "s02", fleet.StateUnhealthy))
	to := equal(3)
	to.Epoch = 2
	e, err := f.Sample(ctx, to, fleet.SampleOptions{})
	must(t, err)
	var lacks *fleet.AbilityError
	if len(e.NotSampled) != 3 || !errors.As(e.NotSampled["s00"], &lacks) || !errors.Is(e.NotSampled["s01"], errDown) ||
		!errors.Is(e.NotSampled["s02"], fleet.ErrUnhealthy) || len(e.Shards) != 1 || e.Share == 0 {
		t.Errorf("%+v", e)
	}
	for name, opts := range map[string]fleet.SampleOptions{
		"Size":  {Size: func(any) int { panic("boom") }},
		"Count": {Keys: 1, Count: func(context.Context, fleet.Shard, any) (int64, error) { return 0, errDown }},
	} {
		if e, err := f.Sample(ctx, to, opts); err != nil || len(e.NotSampled) != 4 || len(e.Shards) != 0 {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
	}
	for _, n := range []int{-1, 10_000_001} {
		_, err := f.Sample(ctx, to, fleet.SampleOptions{Keys: n})
		wantOption(t, err, "SampleOptions.Keys", n)
	}
	_, err = f.Sample(ctx, fleet.Topology{}, fleet.SampleOptions{})
	wantOption(t, err, "Topology.Shards", "0 shards")
	ended, cancel := context.WithCancel(ctx)
	broken.do(func(ctx context.Context) error { cancel(); <-ctx.Done(); return ctx.Err() })
	if _, err := f.Sample(ended, to, fleet.SampleOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v of a context that ended", err)
	}
	broken.do(func(context.Context) error { return nil })
	_, err = f.Apply(ctx, to)
	must(t, err)
	if _, err := f.Sample(ctx, to, fleet.SampleOptions{}); !errors.Is(err, fleet.ErrChanging) {
		t.Errorf("err = %v during a change", err)
	}
	must(t, f.Close(ctx))
	if _, err := f.Sample(ctx, to, fleet.SampleOptions{}); !errors.Is(err, fleet.ErrClosed) {
		t.Errorf("err = %v when closed", err)
	}
}

// A group of one is that shard, whatever the names: what stays in it does not move.
func TestSample_GroupsOfOne(t *testing.T) {
	group := func(epoch uint64, names ...string) fleet.Topology {
		all := fleet.Topology{Epoch: epoch}
		for _, name := range names {
			all.Shards = append(all.Shards, fleet.Shard{ID: name + " east", Group: name})
		}
		return all
	}
	r := newRegion(time.Minute)
	f, ways := r.process(t, "", group(1, "a", "b"), fleet.Options[string]{MaxLife: time.Minute})
	for i := range 300 {
		must(t, f.Set(t.Context(), fmt.Sprint("key:", i), fresh("value")))
	}
	to := group(2, "a", "b", "c")
	to.Shards = append(to.Shards, fleet.Shard{ID: "a west", Group: "a"})
	e, err := f.Sample(t.Context(), to, fleet.SampleOptions{})
	if must(t, err); e.Share < .2 || e.Share > .5 || len(e.Moves) != 2 || e.Moves[0].From != "a" || e.Moves[0].To != "c" {
		t.Errorf("a share of %.2f, %+v", e.Share, e.Moves)
	}
	ways["a east"].scan = errCut
	e, err = f.Sample(t.Context(), to, fleet.SampleOptions{})
	if must(t, err); len(e.Shards) != 1 || !errors.Is(e.NotSampled["a"], errCut) {
		t.Errorf("%+v were sampled, and not %v", e.Shards, e.NotSampled)
	}
}

// oddScan is a cache that visits each key twice, and once more without its entry a key that
// is gone; and with stuck has no end.
type oddScan struct {
	*memadapter.Cache[string, string]
	gone  string
	stuck bool
}

func (o oddScan) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []anItem, next string, err error) {
	if o.stuck {
		return nil, "again", nil
	}
	items, next, err = o.Cache.ScanPage(ctx, cursor, count, keysOnly)
	return append(append(items, items...), anItem{Key: o.gone}), next, err
}

// A key counts once, and not if it is gone; a scan without an end is an error of its shard.
func TestSample_OfOddScans(t *testing.T) {
	odd := &oddScan{Cache: memadapter.New[string, string](), gone: "gone"}
	f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return odd })
	stocked(t, f, 40)
	to := equal(2)
	to.Epoch = 2
	e, err := f.Sample(t.Context(), to, fleet.SampleOptions{})
	if must(t, err); e.Shards["s00"].Sampled != 40 || e.Shards["s00"].Keys != 40 {
		t.Errorf("of 40 keys: %+v", e.Shards)
	}
	odd.stuck = true
	ctx, end := context.WithTimeout(t.Context(), 10*time.Second)
	defer end()
	if e, err := f.Sample(ctx, to, fleet.SampleOptions{}); err != nil || e.NotSampled["s00"] == nil {
		t.Errorf("of a scan without an end: %+v, %v", e, err)
	}
}
