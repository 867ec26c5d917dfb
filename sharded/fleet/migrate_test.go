package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

type (
	migrate    = fleet.MigrateOptions
	fleetOfAll = fleet.Fleet[string, string]
)

// stocked sets so many keys, and returns them.
func stocked(t testing.TB, f *fleetOfAll, n int) (keys []string) {
	t.Helper()
	for i := range n {
		key := fmt.Sprint("key:", i)
		keys = append(keys, key)
		must(t, f.Set(t.Context(), key, fresh("value of "+key)))
	}
	return keys
}

// movers returns those of keys that move from one shard to another.
func movers(t testing.TB, from, to fleet.Topology, keys []string) (moved []string) {
	from, to = sortedByID(from), sortedByID(to)
	a, b := route(t, fleet.Rendezvous(), from), route(t, fleet.Rendezvous(), to)
	for _, key := range keys {
		if from.Shards[pick(a, hash(t, key))].ID != to.Shards[pick(b, hash(t, key))].ID {
			moved = append(moved, key)
		}
	}
	return moved
}

// Every key that moves is copied once, is where it belongs and nowhere else, and the
// change is over before its time.
func TestMigrate(t *testing.T) {
	for _, kind := range reshardKinds[:3] {
		for _, r := range reshardings {
			t.Run(kind.name+"/"+r.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var caches sync.Map
					f, err := fleet.New(t.Context(), r.from, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
						c := kind.make()
						caches.Store(s.ID, c)
						return c, nil
					}, fleet.Options[string]{MaxLife: time.Hour})
					must(t, err)
					defer func() { must(t, f.Close(context.Background())) }()
					keys := stocked(t, f, 1000)
					moved := movers(t, r.from, r.to, keys)
					change, err := f.Apply(t.Context(), r.to)
					must(t, err)
					start := time.Now()
					report, err := fleet.Migrate(t.Context(), f, migrate{Batch: 50})
					must(t, err)
					bytes := 0
					for _, key := range moved {
						bytes += len("value of " + key)
					}
					want := fleet.ShardReport{Stayed: len(keys) - len(moved), Copied: len(moved), Retired: len(moved), Bytes: int64(bytes), Done: true}
					if report.ShardReport != want || !report.Ended || report.Swept != 0 || len(report.Shards) != len(r.from.Shards) {
						t.Errorf("the report is %+v, want %+v and its end", report, want)
					}
					if leases := kind.name == "leases"; time.Since(start) != map[bool]time.Duration{true: 4 * time.Second}[leases] {
						t.Errorf("it took %v", time.Since(start))
					}
					select {
					case <-change.Done():
						must(t, change.Err())
					default:
						t.Error("the change goes on")
					}
					for _, key := range keys {
						var at []string
						for id, c := range caches.Range {
							if e, _ := c.(corral.Cache[string, string]).Get(t.Context(), key); e != nil {
								at = append(at, id.(string))
							}
						}
						if owner := f.Owner(key).ID; !slices.Equal(at, []string{owner}) {
							t.Fatalf("%s is at %v, want %s", key, at, owner)
						}
					}
					if s := f.Stats(); s.Migrations != (fleet.Ends{OK: 1}) {
						t.Errorf("the migrations that ended are %+v", s.Migrations)
					}
				})
			})
		}
	}
}

// Between processes a migration waits until all read by the new topology, and the end
// until all know of it. What was left at an old shard is swept.
func TestMigrate_BetweenProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		one, other := s.process(two, s.together()), s.process(two, s.together())
		keys := stocked(t, one, 200)
		moved := movers(t, two, three, keys)
		_, err := other.Apply(t.Context(), three)
		must(t, err)
		start := time.Now()
		left := moves(t, two, three, "a", "c")
		s.during(func(call, id string) {
			if call == "scan" && s.epochs != nil {
				if p, _ := s.epochs.Load(t.Context()); p.Phase == fleet.PhaseClose {
					s.during(func(string, string) {})
					must(t, s.store("a").Set(t.Context(), left, fresh("left behind")))
				}
			}
		})
		report, err := fleet.Migrate(t.Context(), one, migrate{})
		must(t, err)
		if report.Copied != len(moved) || report.Swept != 1 || !report.Ended {
			t.Errorf("the report is %+v, want %d copied and one swept", report, len(moved))
		}
		if took, want := time.Since(start), stageGrace+4*time.Second; took < want || took > want+stageGrace {
			t.Errorf("it took %v, want from %v to %v", took, want, want+stageGrace)
		}
		time.Sleep(stageEpoch)
		for _, f := range []*fleetOfAll{one, other} {
			for _, key := range keys {
				if e, err := f.Get(t.Context(), key); err != nil || e == nil {
					t.Fatalf("%s is %v, %v", key, e, err)
				}
			}
			if now, before := f.Topology(); now.Epoch != 2 || before != nil {
				t.Errorf("the topology is %d, and before that %v", now.Epoch, before)
			}
		}
		if at := s.where(left); slices.Contains(at, "a") {
			t.Errorf("what was left is at %v", at)
		}
	})
}

// Whatever call a migration is ended before, another process goes on from the
// checkpoint, and all is as if nothing had been.
func TestMigrate_GoesOnAfterACrash(t *testing.T) {
	calls := crashAfter(t, 1<<30)
	for n := 1; n <= calls; n++ {
		if crashAfter(t, n) == 0 {
			t.Fatalf("it was not ended before call %d", n)
		}
	}
	t.Logf("ended before each of %d calls", calls)
}

func crashAfter(t *testing.T, n int) int {
	var calls atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, s.together())
		keys := stocked(t, f, 150)
		moved := movers(t, two, three, keys)
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		ctx, crash := context.WithCancelCause(t.Context())
		defer crash(nil)
		s.during(func(string, string) {
			if calls.Add(1) == int64(n) {
				crash(errCrash)
			}
		})
		checkpoints := &fleet.MemoryCheckpoints{}
		opts := migrate{Checkpoints: checkpoints, Workers: 1, Batch: 20}
		report, err := fleet.Migrate(ctx, f, opts)
		s.during(func(string, string) {})
		if calls.Load() >= int64(n) && !report.Ended {
			if !errors.Is(err, errCrash) {
				t.Fatalf("ended before call %d, the error is %v", n, err)
			}
			time.Sleep(3 * time.Second) // the leases of who died
			report, err = fleet.Migrate(t.Context(), s.process(two, s.together()), opts)
		}
		must(t, err)
		if !report.Ended {
			t.Errorf("ended before call %d, the report at the end is %+v", n, report)
		}
		for _, key := range keys {
			at := s.where(key)
			if want := s.ownerIn(three, key); !slices.Equal(at, []string{want}) {
				t.Fatalf("ended before call %d, %s is at %v, want %s; %d move", n, key, at, want, len(moved))
			}
		}
		if c, _ := checkpoints.Load(t.Context()); c.From != "" {
			t.Errorf("ended before call %d, there is still a checkpoint: %+v", n, c)
		}
	})
	return int(calls.Load())
}

var errCrash = errors.New("crash")

func (s *stage) ownerIn(topology fleet.Topology, key string) string {
	topology = sortedByID(topology)
	return topology.Shards[pick(route(s.t, fleet.Rendezvous(), topology), hash(s.t, key))].ID
}

func TestMigrate_WhatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		if _, err := fleet.Migrate(t.Context(), f, migrate{}); !errors.Is(err, fleet.ErrNotChanging) {
			t.Errorf("without a change the error is %v", err)
		}
		for field, opts := range map[string]migrate{
			"Workers": {Workers: -1}, "Batch": {Batch: 4097}, "Latency": {Latency: 2 * time.Minute}, "BytesPerSecond": {BytesPerSecond: -1},
		} {
			_, err := fleet.Migrate(t.Context(), f, opts)
			var option *corral.OptionError
			if !errors.As(err, &option) || option.Field != "fleet.MigrateOptions."+field {
				t.Errorf("the error of %s is %v", field, err)
			}
		}
		_, err := fleet.Migrate(t.Context(), (*fleet.Fleet[string, int])(nil), fleet.MigrateOptions{BytesPerSecond: 1})
		wantOption(t, err, "MigrateOptions.Size", "nil")
		change, err := f.Apply(t.Context(), three)
		must(t, err)
		foreign := &fleet.MemoryCheckpoints{}
		must(t, foreign.Save(t.Context(), fleet.Checkpoint{From: "x", To: "y"}))
		var other *fleet.CheckpointError
		if _, err := fleet.Migrate(t.Context(), f, migrate{Checkpoints: foreign}); !errors.As(err, &other) || other.Found.From != "x" || other.To == "" {
			t.Errorf("with the checkpoint of another migration the error is %v", err)
		}
		stocked(t, f, 1)
		key := moves(t, two, three, "a", "c")
		must(t, s.store("a").Set(t.Context(), key, fresh("value")))
		s.during(func(call, _ string) {
			if call == "acquire" {
				s.during(func(string, string) {})
				must(t, change.Abort(t.Context()))
			}
		})
		if _, err := fleet.Migrate(t.Context(), f, migrate{}); !errors.Is(err, fleet.ErrAborted) {
			t.Errorf("when the change is aborted the error is %v", err)
		}
		if n := f.Stats().Migrations; n != (fleet.Ends{Failed: 7}) {
			t.Errorf("the migrations that ended are %+v", n)
		}
	})
}

// A shard that cannot be scanned is in the report, and keeps the change going.
func TestMigrate_NotScannable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if s.ID == "a" {
				return single{memadapter.New[string, string]()}, nil
			}
			return memadapter.New[string, string](), nil
		}, fleet.Options[string]{MaxLife: time.Hour})
		must(t, err)
		defer func() { must(t, f.Close(context.Background())) }()
		keys := stocked(t, f, 300)
		change, err := f.Apply(t.Context(), three)
		must(t, err)
		report, err := fleet.Migrate(t.Context(), f, migrate{})
		must(t, err)
		var lacks *fleet.AbilityError
		if report.Ended || len(report.Shards) != 1 || !errors.As(report.NotScannable["a"], &lacks) {
			t.Errorf("the report is %+v", report)
		}
		for _, key := range keys {
			if e, err := f.Get(t.Context(), key); err != nil || e == nil {
				t.Fatalf("%s is %v, %v", key, e, err)
			}
		}
		<-change.Done()
	})
}

// twisted is a store that gives other values back than it got.
type twisted struct {
	*memadapter.Process[string, string]
}

func (c twisted) FillMany(ctx context.Context, keys, tokens []string, entries []*corral.Entry[string]) error {
	wrong := slices.Clone(entries)
	for i, e := range entries {
		if e != nil {
			other := *e
			other.Value += "!"
			wrong[i] = &other
		}
	}
	return c.Process.FillMany(ctx, keys, tokens, wrong)
}

// What is another value when it is read back is deleted, and stays where it was.
func TestMigrate_Mismatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := map[string]*memadapter.Process[string, string]{}
		for _, id := range []string{"a", "b", "c"} {
			stores[id] = memadapter.NewShared[string, string](2 * time.Second).Process()
		}
		f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if s.ID == "c" {
				return twisted{stores["c"]}, nil
			}
			return stores[s.ID], nil
		}, fleet.Options[string]{MaxLife: time.Hour})
		must(t, err)
		defer func() { must(t, f.Close(context.Background())) }()
		moved := movers(t, two, three, stocked(t, f, 100))
		_, err = f.Apply(t.Context(), three)
		must(t, err)
		report, err := fleet.Migrate(t.Context(), f, migrate{KeepWindow: true})
		must(t, err)
		if report.Mismatched != len(moved) || report.Copied != 0 || report.Retired != 0 {
			t.Errorf("the report is %+v, want %d mismatches", report, len(moved))
		}
		for _, key := range moved {
			if e, _ := stores["c"].Get(t.Context(), key); e != nil {
				t.Fatalf("%s is %q at the new shard", key, e.Value)
			}
		}
	})
}

// W1: a Set that began before the change, and is held up until it is over, leaves
// nothing where it stored: a later change would find it.
func TestMigrate_AWriteThatStallsLeavesNothing(t *testing.T) {
	for name, set := range map[string]func(f *fleetOfAll, key string) error{
		"Set": func(f *fleetOfAll, key string) error { return f.Set(context.Background(), key, fresh("stalled")) },
		"SetMany": func(f *fleetOfAll, key string) error {
			return f.SetMany(context.Background(), []string{key}, []*corral.Entry[string]{fresh("stalled")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				caches := map[string]*faulty{}
				f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
					mu.Lock()
					defer mu.Unlock()
					caches[s.ID] = newFaulty()
					return stalling{caches[s.ID]}, nil
				}, fleet.Options[string]{MaxLife: time.Hour})
				must(t, err)
				defer func() { must(t, f.Close(context.Background())) }()
				key := moves(t, two, three, "a", "c")
				var held atomic.Bool
				caches["a"].do(func(context.Context) error {
					if held.CompareAndSwap(false, true) {
						time.Sleep(10 * time.Minute)
					}
					return nil
				})
				returned := make(chan error)
				go func() { returned <- set(f, key) }()
				time.Sleep(time.Minute)
				_, err = f.Apply(t.Context(), three)
				must(t, err)
				report, err := fleet.Migrate(t.Context(), f, migrate{})
				if must(t, err); !report.Ended {
					t.Fatalf("the report is %+v", report)
				}
				must(t, <-returned)
				if e, _ := caches["a"].Cache.Get(t.Context(), key); e != nil {
					t.Errorf("%q is at the old shard", e.Value)
				}
				if e, err := f.Get(t.Context(), key); err != nil || e == nil {
					t.Errorf("the key is %v, %v", e, err)
				}
			})
		})
	}
}

// Who migrated and died while the change closed is replaced by time, or by another.
func TestMigrate_DiesWhileItCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, s.together())
		stocked(t, f, 50)
		change, err := f.Apply(t.Context(), three)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), stageGrace)
		defer cancel()
		if _, err := fleet.Migrate(ctx, f, migrate{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the error is %v", err)
		}
		start := time.Now()
		<-change.Done()
		if took := time.Since(start); took < stageLife-stageGrace || took > stageLife+stageGrace {
			t.Errorf("the change went on for %v, want about %v", took, stageLife)
		}
	})
}

func TestMigrate_ReportsOfShardsAreTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		stocked(t, f, 500)
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		report, err := fleet.Migrate(t.Context(), f, migrate{})
		must(t, err)
		var all fleet.ShardReport
		for _, id := range slices.Sorted(maps.Keys(report.Shards)) {
			r := report.Shards[id]
			all.Stayed, all.Copied, all.Retired, all.Bytes = all.Stayed+r.Stayed, all.Copied+r.Copied, all.Retired+r.Retired, all.Bytes+r.Bytes
		}
		if all.Done = true; all != report.ShardReport {
			t.Errorf("the whole is %+v, and the shards together %+v", report.ShardReport, all)
		}
	})
}

// Each Migrate ends with one event, also one whose options cannot work.
func TestMigrateThatCannotWorkEnds(t *testing.T) {
	var told []fleet.End
	f, _ := open(t, equal(1), fleet.Options[string]{Hooks: fleet.Hooks{
		End: func(_ context.Context, e fleet.End) { told = append(told, e) },
	}}, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
	_, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{Workers: -1})
	wantOption(t, err, "MigrateOptions.Workers", -1)
	if len(told) != 1 || told[0].Op != fleet.OpMigrate || told[0].Outcome != fleet.Failed || told[0].Err != err {
		t.Errorf("the ends are %+v", told)
	}
	if n := f.Stats().Migrations; n != (fleet.Ends{Failed: 1}) {
		t.Errorf("the migrations that ended are %+v", n)
	}
	_, err = fleet.Migrate[string, string](t.Context(), nil, fleet.MigrateOptions{})
	wantOption(t, err, "Migrate: f", "nil")
}
