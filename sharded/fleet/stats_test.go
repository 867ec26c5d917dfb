package fleet_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// Each key of each call counts once by what it was placed, each call of a shard at that.
func TestStats_Routes(t *testing.T) {
	pins := memoryPins[string](t, 0)
	f, caches := faultyFleet(t, 3, fleet.Options[string]{Pins: pins})
	keys := keysOn(f, 3, 4)
	pinned := keys[0][0]
	_, _, err := pins.GetOrPin(t.Context(), pinned, "s02")
	must(t, err)

	for range 5 {
		_, err := f.Get(t.Context(), pinned)
		must(t, err)
	}
	must(t, f.Set(t.Context(), keys[0][1], fresh("value")))
	must(t, f.Delete(t.Context(), keys[1][0]))
	_, err = f.GetMany(t.Context(), append(append([]string{pinned}, keys[0][1:]...), keys[1]...))
	must(t, err)
	must(t, f.DeleteMany(t.Context(), keys[2]))
	_ = f.Owner(pinned)
	_, err = f.Explain(t.Context(), keys[0][1])
	must(t, err)

	s := f.Stats()
	if want := (fleet.RouteStats{Computed: 2 + 3 + 4 + 4, Pinned: 6}); s.Routes != want || s.Pins.Pins != 1 {
		t.Errorf("the routes are %+v, want %+v; the pins %+v", s.Routes, want, s.Pins)
	}
	for id, calls := range map[string]uint64{"s00": 2, "s01": 2, "s02": 7} {
		if got := s.Shards[id]; got.Calls != calls || got.Errors+got.Refused != 0 || got.Latency != (corral.Histogram{}) || got.OverAll != (fleet.CallStats{}) {
			t.Errorf("%s: %+v, want %d calls", id, got, calls)
		}
	}

	caches[1].do(func(context.Context) error { return errBroken })
	_, err = f.Get(t.Context(), keys[1][0])
	wantIs(t, err, errBroken)
	_, err = f.GetMany(t.Context(), keys[1])
	wantIs(t, err, errBroken)
	if got := f.Stats().Shards["s01"]; got.Calls != 4 || got.Errors != 2 {
		t.Errorf("with two that failed: %+v", got)
	}
}

// A key whose pin is of a shard that is gone is computed, until it is pinned anew.
func TestStats_Repinned(t *testing.T) {
	pins := memoryPins[string](t, 0)
	_, _, err := pins.GetOrPin(t.Context(), "key", "gone")
	must(t, err)
	f, _ := faultyFleet(t, 3, fleet.Options[string]{Pins: pins})
	for range 3 {
		_, err := f.Get(t.Context(), "key")
		must(t, err)
	}
	s := f.Stats()
	if s.Repinned != 1 || s.Routes != (fleet.RouteStats{Pinned: 3}) || s.Pins.Moved != 1 {
		t.Errorf("%+v", s)
	}
}

// While the topology changes a pin of a shard that is gone stays, and places nothing.
func TestStats_RoutesWhileTheTopologyChanges(t *testing.T) {
	pins := memoryPins[string](t, 0)
	for key, shard := range map[string]string{"lost": "gone", "kept": "s01"} {
		_, _, err := pins.GetOrPin(t.Context(), key, shard)
		must(t, err)
	}
	f, _ := faultyFleet(t, 3, fleet.Options[string]{Pins: pins, MaxLife: time.Minute})
	next := equal(2)
	next.Epoch = 2
	_, err := f.Apply(t.Context(), next)
	must(t, err)
	for _, key := range []string{"lost", "kept"} {
		_, err := f.Get(t.Context(), key)
		must(t, err)
	}
	if s := f.Stats(); s.Routes.Computed != 1 || s.Routes.Pinned != 1 || s.Repinned != 0 {
		t.Errorf("%+v, %d pins moved", s.Routes, s.Repinned)
	}
}

// What a Loader reads and stores in the gutter is counted, and every call there is one.
func TestStats_Fallback(t *testing.T) {
	for _, kind := range gutterKinds[:2] {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newProcess(t, equal(4), withGutter(10*time.Second), func(string) corral.Cache[string, string] { return kind.make() })
				owner, gutter := p.where(t, "key")
				p.drain(t, owner)
				for range 3 {
					p.read(t, "key")
				}
				s := p.Fleet.Stats()
				// two looks and what was loaded, then a hit each
				if s.Routes.Fallback != 5 || s.Shards[gutter].Calls != 5 || s.Shards[owner].Calls != 0 || s.Gutter.Hits != 2 || p.loads != 1 {
					t.Errorf("%d loads, %+v, %+v, at the gutter %+v", p.loads, s.Routes, s.Gutter, s.Shards[gutter])
				}
			})
		})
	}
}

// A page of ScanPage counts as one of Scan does.
func TestStats_OfScanPage(t *testing.T) {
	f, caches, _, _ := filled(t, 2, 3)
	page := func() (err error) {
		_, _, err = f.ScanPage(t.Context(), "", 10, true)
		return err
	}
	must(t, page())
	if got := f.Stats().Shards["s00"]; got.Calls != 0 || got.OverAll.Calls != 1 || got.OverAll.Items != 3 || got.OverAll.Errors != 0 {
		t.Errorf("%+v", got)
	}
	caches[0].do(func(context.Context) error { return errBroken })
	wantIs(t, page(), errBroken)
	if got := f.Stats().Shards["s00"].OverAll; got.Calls != 2 || got.Errors != 1 {
		t.Errorf("with one that failed: %+v", got)
	}
}

// What a far shard takes, what it fails, and what it is not asked once it is out.
func TestStats_OfAShardThatIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 4, withGutter(10*time.Second))
		slow := func(context.Context, string) error { time.Sleep(3 * time.Millisecond); return nil }
		h.patients[1].do(slow)
		key := h.keys[1][0]
		must(t, h.get(1, 5))
		must(t, h.Set(t.Context(), key, fresh("value")))
		got := h.Stats().Shards["s01"]
		if got.Calls != 6 || got.Errors != 0 || got.Latency.Sum != 18*time.Millisecond || got.Latency.Counts[12] != 6 || got.Latency.Bound(12) < 3*time.Millisecond {
			t.Errorf("%+v", got)
		}

		h.patients[1].fails(errDown)
		_ = h.get(1, 3)
		if err := h.Delete(t.Context(), key); err == nil {
			t.Error("a Delete at a shard that fails is none")
		}
		must(t, h.get(1, 7)) // nothing is in its gutter
		_, err := h.GetMany(t.Context(), h.keys[1][:5])
		must(t, err)
		synctest.Wait()
		s := h.Stats()
		if got := s.Shards["s01"]; got.Calls != 6+3+1 || got.Errors != 3+1 || got.Refused != 7+1 {
			t.Errorf("of the shard that is out: %+v", got)
		}
		if s.Routes.Fallback != 7+5 || s.Changes < 2 || s.Changes != uint64(len(h.changes)) {
			t.Errorf("%+v, %d changes of health, told of %q", s.Routes, s.Changes, h.changes)
		}
	})
}

// movedKinds are what keys move between.
var movedKinds = map[string]func() corral.Cache[string, string]{
	"memory": func() corral.Cache[string, string] { return memadapter.New[string, string]() },
	"values": func() corral.Cache[string, string] { return memadapter.Plain[string, string]() },
	"leases": func() corral.Cache[string, string] {
		return memadapter.NewShared[string, string](time.Second).Process()
	},
}

// Keys that move are counted where they were asked for, found and stored.
func TestStats_Moved(t *testing.T) {
	for kind, shard := range movedKinds {
		for _, migrate := range []bool{false, true} {
			name := kind
			if migrate {
				name += "/migrated"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, err := fleet.New(t.Context(), oneShard(1, "a"), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
						return shard(), nil
					}, fleet.Options[string]{MaxLife: time.Minute})
					must(t, err)
					l, err := corral.New(f, corral.Options{TTL: time.Minute})
					must(t, err)
					read := func(key string) {
						_, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { return key, nil })
						must(t, err)
						synctest.Wait()
					}
					for _, key := range []string{"one", "two", "three"} {
						read(key)
					}
					change, err := f.Apply(t.Context(), oneShard(2, "b"))
					must(t, err)
					if migrate {
						_, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
						must(t, err)
					}
					for _, key := range []string{"one", "two", "three", "one", "two", "three"} {
						read(key)
					}
					s := f.Stats()
					asked := uint64(3)
					if migrate {
						asked = 0
					}
					if s.Moved != (fleet.MovedStats{Found: 3, Copied: 3}) || s.Routes.OldOwner != asked || l.Stats().Loads != 3 {
						t.Errorf("%+v; %+v; %d loads", s.Moved, s.Routes, l.Stats().Loads)
					}
					must(t, l.Close(t.Context()))
					must(t, f.Close(t.Context()))
					<-change.Done()
				})
			})
		}
	}
}

// A copy that a write overtakes is found, and refused: between stores in memory the write
// detaches it, else it takes its lease.
func TestStats_ACopyThatIsRefused(t *testing.T) {
	want := fleet.MovedStats{Found: 1, Refused: 1}
	synctest.Test(t, func(t *testing.T) {
		old := gate{memadapter.New[string, string](), new(sync.Map)}
		f, err := fleet.New(t.Context(), oneShard(1, "a"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if s.ID == "a" {
				return old, nil
			}
			return memadapter.New[string, string](), nil
		}, fleet.Options[string]{MaxLife: time.Minute})
		must(t, err)
		defer f.Close(context.Background())
		must(t, f.Set(t.Context(), "k", kept("old", time.Minute)))
		_, err = f.Apply(t.Context(), oneShard(2, "b"))
		must(t, err)
		copying := make(chan struct{})
		old.shut.Store("Get", copying) // it has been read, and is not stored
		go func() {
			synctest.Wait()
			must(t, f.Delete(t.Context(), "k"))
			close(copying)
		}()
		_, err = f.Get(t.Context(), "k")
		if must(t, err); f.Stats().Moved != want {
			t.Errorf("memory: %+v", f.Stats().Moved)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(oneShard(1, "a"), fleet.Options[string]{})
		must(t, f.Set(t.Context(), "k", kept("old", time.Minute)))
		_, err := f.Apply(t.Context(), oneShard(2, "b"))
		must(t, err)
		s.during(func(call, id string) {
			if call == "fill" && id == "b" {
				must(t, f.Delete(t.Context(), "k"))
			}
		})
		_, err = f.Acquire(t.Context(), "k", corral.LeaseRequest[string]{Token: "t"})
		if must(t, err); f.Stats().Moved != want {
			t.Errorf("leases: %+v", f.Stats().Moved)
		}
	})
}

// A call that a replica which is out was spared counts once, however the key ranks it, and one
// of many keys as one.
func TestStats_OfAReplicaThatIsOut(t *testing.T) {
	r := newRegion(time.Minute)
	f, _ := r.process(t, "west", replicated(1, 1, "east", "north", "west"), fleet.Options[string]{})
	must(t, f.SetState(t.Context(), "g0 west", fleet.StateUnhealthy))
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprint("key", i))
		_, err := f.Get(t.Context(), keys[i])
		must(t, err)
		_, stop := f.Watch(keys[i])
		stop()
	}
	_, err := f.GetMany(t.Context(), keys)
	must(t, err)
	if s := f.Stats().Shards["g0 west"]; s.Calls != 0 || s.Refused != 21 {
		t.Errorf("%d calls, %d refused; want 0 and 21", s.Calls, s.Refused)
	}
	for _, id := range []string{"g0 east", "g0 north", "g0 west"} {
		must(t, f.SetState(t.Context(), id, fleet.StateUnhealthy))
	}
	before := f.Stats().Shards
	_, err = f.Get(t.Context(), "key")
	wantIs(t, err, fleet.ErrUnhealthy)
	for id, s := range f.Stats().Shards {
		if s.Refused != before[id].Refused+1 {
			t.Errorf("all are out, and %s was spared %d calls", id, s.Refused-before[id].Refused)
		}
	}
}

// What the gutter does not take was not filled.
func TestStats_AFillThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 3, withGutter(10*time.Second))
		l := loader(t, h.Fleet)
		must(t, h.SetState(t.Context(), "s00", fleet.StateUnhealthy))
		for _, refuse := range []bool{true, false} {
			for _, p := range h.patients {
				p.do(func(_ context.Context, call string) error {
					if refuse && call == "set" {
						return corral.ErrRefused
					}
					return nil
				})
			}
			load, _ := numberedLoads()
			_, err := l.GetOrLoad(t.Context(), h.keys[0][0], load)
			must(t, err)
			synctest.Wait()
		}
		if s := h.Stats().Gutter; s != (fleet.GutterStats{Fills: 1}) {
			t.Errorf("%+v, want one fill", s)
		}
		must(t, l.Close(t.Context()))
	})
}

// That a read waits until the shard has said which it is makes it no slower.
func TestStats_LatencyIsThatOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 1)
		f := farm.process(fleet.Options[string]{}, plainly)
		farm.servers[0].do(func(_ context.Context, call string) error {
			if call == "incarnation" {
				time.Sleep(400 * time.Millisecond)
			} else {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		_, err := f.Get(t.Context(), farm.keys[0][0])
		must(t, err)
		if s, h := f.Stats().Shards["s00"], f.Health()[0]; s.Latency.Sum != time.Millisecond || h.State != fleet.StateHealthy {
			t.Errorf("it is %v, and took %v", h.State, s.Latency.Sum)
		}
	})
}

// Each key of each call counts once, also of a write that is made again as the topology
// changed meanwhile.
func TestStats_AWriteThatIsMadeAgain(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, f *fleet.Fleet[string, string]) error{
		"Set": func(ctx context.Context, f *fleet.Fleet[string, string]) error {
			return f.Set(ctx, "k", fresh("value"))
		},
		"SetMany": func(ctx context.Context, f *fleet.Fleet[string, string]) error {
			return f.SetMany(ctx, []string{"k"}, []*corral.Entry[string]{fresh("value")})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := new(door)
			f, err := fleet.New(t.Context(), oneShard(1, "a"), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
				return doorMemory{memadapter.New[string, string](), d}, nil
			}, fleet.Options[string]{MaxLife: time.Minute})
			must(t, err)
			defer func() { must(t, f.Close(context.Background())) }()
			open := make(chan struct{})
			d.shut.Store(&open)
			go func() {
				defer close(open)
				synctest.Wait()
				_, err := f.Apply(t.Context(), oneShard(2, "b"))
				if err != nil {
					t.Error(err)
				}
			}()
			must(t, write(t.Context(), f))
			if s := f.Stats(); s.Routes != (fleet.RouteStats{Computed: 1}) || s.Shards["a"].Calls < 2 {
				t.Errorf("%s: %+v, %+v", name, s.Routes, s.Shards)
			}
		})
	}
}
