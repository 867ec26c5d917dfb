package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// process is a fleet as one process sees it, over stores that it may share.
type process struct {
	*fleet.Fleet[string, string]
	*corral.Loader[string, string]
	loads int
}

// town is stores that processes share, one for each shard.
type town map[string]*memadapter.Shared[string, string]

func newTown(topology fleet.Topology, life time.Duration) town {
	stores := town{}
	for _, s := range topology.Shards {
		stores[s.ID] = memadapter.NewShared[string, string](life)
	}
	return stores
}

func (stores town) process(t *testing.T, topology fleet.Topology, opts fleet.Options[string]) *process {
	t.Helper()
	return newProcess(t, topology, opts, func(id string) corral.Cache[string, string] { return stores[id].Process() })
}

func newProcess(t *testing.T, topology fleet.Topology, opts fleet.Options[string], shard func(id string) corral.Cache[string, string]) *process {
	t.Helper()
	f, err := fleet.New(t.Context(), topology, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		return shard(s.ID), nil
	}, opts)
	must(t, err)
	l, err := corral.New(f, corral.Options{TTL: time.Minute, CacheTimeout: 5 * time.Second})
	must(t, err)
	t.Cleanup(func() {
		must(t, l.Close(context.Background()))
		must(t, f.Close(context.Background()))
	})
	return &process{f, l, 0}
}

// read returns a value, which is the number of its load if it had to be loaded.
func (p *process) read(t *testing.T, key string) string {
	t.Helper()
	v, err := p.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) {
		p.loads++
		return fmt.Sprint(p.loads), nil
	})
	must(t, err)
	synctest.Wait()
	return v
}

// drain takes a shard for out.
func (p *process) drain(t *testing.T, id string) {
	t.Helper()
	must(t, p.SetState(t.Context(), id, fleet.StateUnhealthy))
}

// where returns the owner of key and its gutter.
func (p *process) where(t *testing.T, key string) (owner, gutter string) {
	t.Helper()
	e, err := p.Explain(t.Context(), key)
	must(t, err)
	return e.Owner, e.Gutter
}

func withGutter(life time.Duration) fleet.Options[string] {
	return fleet.Options[string]{Health: fleet.HealthOptions{Gutter: fleet.GutterOptions{Life: life}}}
}

// gutterKinds are what shards are made of.
var gutterKinds = []struct {
	name string
	make func() corral.Cache[string, string]
}{
	{"memory", func() corral.Cache[string, string] { return memadapter.New[string, string]() }},
	{"values", func() corral.Cache[string, string] { return memadapter.Plain[string, string]() }},
	{"leases", func() corral.Cache[string, string] {
		return memadapter.NewShared[string, string](2 * time.Second).Process()
	}},
	{"far, no leases", func() corral.Cache[string, string] { return memadapter.NewShared[string, string](0).Process() }},
}

// A shard is lost: without a gutter the source meets every call of its keys, with one it
// meets each key now and then.
func TestGutter_SparesTheSource(t *testing.T) {
	for _, kind := range gutterKinds {
		for _, many := range []bool{false, true} {
			t.Run(fmt.Sprint(kind.name, "/many=", many), func(t *testing.T) {
				loads := map[time.Duration]int{}
				calls := 0
				for _, life := range []time.Duration{0, 10 * time.Second} {
					synctest.Test(t, func(t *testing.T) { loads[life], calls = lostShard(t, life, many, kind.make) })
				}
				t.Logf("%d calls in 10 s of keys whose shard, one of 4, is lost: %d loads, with a gutter %d", calls, loads[0], loads[10*time.Second])
				if loads[0] != calls || calls < 1500 || loads[10*time.Second] > calls/8 {
					t.Errorf("%v loads of %d calls, want all, and at most an eighth with a gutter", loads, calls)
				}
			})
		}
	}
}

// lostShard returns how often keys were loaded, and asked for, of the shard that was lost.
func lostShard(t *testing.T, life time.Duration, many bool, shard func() corral.Cache[string, string]) (loads, calls int) {
	p := newProcess(t, equal(4), withGutter(life), func(string) corral.Cache[string, string] { return shard() })
	lost := p.Owner("key:0").ID
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, 1499)
	for i := range 20_000 {
		if i == 10_000 {
			p.drain(t, lost)
		}
		key, before := fmt.Sprint("key:", zipf.Uint64()), p.loads
		if many {
			p.readTwo(t, key, "another")
		} else {
			p.read(t, key)
		}
		if i >= 10_000 && p.Owner(key).ID == lost {
			calls++
			loads += p.loads - before
		}
		time.Sleep(time.Millisecond)
	}
	for _, s := range p.Health() {
		if s.Out != (s.Shard.ID == lost) {
			t.Errorf("%s: out is %v", s.Shard.ID, s.Out)
		}
	}
	if s := p.Fleet.Stats().Gutter; (s.Hits > 0) != (life > 0) || (s.Fills > 0) != (life > 0) {
		t.Errorf("with a life of %v: %+v", life, s)
	}
	return loads, calls
}

// readTwo reads two keys, and counts the loads of the first.
func (p *process) readTwo(t *testing.T, key, other string) {
	t.Helper()
	got, err := p.GetOrLoadMany(t.Context(), []string{key, other}, func(_ context.Context, keys []string) (map[string]string, error) {
		values := map[string]string{}
		for _, k := range keys {
			if k == key {
				p.loads++
			}
			values[k] = "value"
		}
		return values, nil
	})
	if must(t, err); got[key] == "" || got[other] == "" {
		t.Fatalf("%v was got", got)
	}
	synctest.Wait()
}

// The loss of one shard does not become that of the next: at most so many fills a second.
func TestGutter_FillsAreBounded(t *testing.T) {
	for _, kind := range gutterKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := withGutter(30 * time.Second)
				opts.Health.Gutter.Fills = 20
				p := newProcess(t, equal(2), opts, func(string) corral.Cache[string, string] { return kind.make() })
				p.drain(t, "s00")
				n := 0
				for i := range 10_000 {
					if key := fmt.Sprint("key:", i); p.Owner(key).ID == "s00" {
						p.read(t, key)
						n++
						time.Sleep(time.Millisecond)
					}
				}
				s, seconds := p.Fleet.Stats().Gutter, n/1000
				if want := 20 * (seconds + 1); int(s.Fills) > want+2 || int(s.Fills) < want-20 || int(s.Fills+s.Refused) != n || p.loads != n {
					t.Errorf("%+v and %d loads of %d keys in %d s, want about %d fills", s, p.loads, n, seconds, want)
				}
			})
		})
	}
}

// What is deleted or set is gone from the gutter, whoever does it: other processes take
// other shards for out.
func TestGutter_WritesDeleteThere(t *testing.T) {
	writes := map[string]func(p *process, key string) error{
		"delete": func(p *process, key string) error { return p.Loader.Delete(context.Background(), key) },
		"set":    func(p *process, key string) error { return p.Loader.Set(context.Background(), key, "set") },
		"delete many": func(p *process, key string) error {
			return p.Loader.Delete(context.Background(), "other", key, "key:2")
		},
		"set many": func(p *process, key string) error {
			return p.Fleet.SetMany(context.Background(), []string{key, "key:2"}, []*corral.Entry[string]{fresh("set"), fresh("other")})
		},
	}
	roomy := withGutter(10 * time.Second)
	roomy.Health.Gutter.Fills = 1000
	deletesOnly := withGutter(10 * time.Second)
	deletesOnly.Health.Gutter.DeletesOnly = true
	for _, life := range []time.Duration{0, 2 * time.Second} {
		for name, write := range writes {
			for who, opts := range map[string]fleet.Options[string]{"by who reads it": roomy, "by who only deletes": deletesOnly} {
				t.Run(fmt.Sprint(name, " ", who, "/leases of ", life), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						stores := newTown(equal(3), life)
						p, q := stores.process(t, equal(3), roomy), stores.process(t, equal(3), opts)
						for i := range 30 {
							key := fmt.Sprint("key:", i)
							owner, _ := p.where(t, key)
							p.drain(t, owner)
							first := p.read(t, key)
							if v := p.read(t, key); v != first {
								t.Fatalf("%s was loaded twice", key)
							}
							must(t, write(q, key))
							if v := p.read(t, key); v == first {
								t.Errorf("%s is still %s in the gutter after a write", key, v)
							}
							must(t, p.SetState(t.Context(), owner, fleet.StateHealthy))
						}
					})
				})
			}
		}
	}
}

// A value is in the gutter for Life at the most, at the next shard in rank that is not its
// own, and nowhere if that is out too. Who only deletes keeps nothing there.
func TestGutter_IsTheNextShardForAMoment(t *testing.T) {
	for _, kind := range gutterKinds {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				caches := map[string]corral.Cache[string, string]{}
				for _, s := range equal(5).Shards {
					caches[s.ID] = kind.make()
				}
				opts := withGutter(10 * time.Second)
				opts.Pins = memoryPins[string](t, 0)
				p := newProcess(t, equal(5), opts, func(id string) corral.Cache[string, string] { return caches[id] })
				for i := range 10 {
					key := fmt.Sprint("key:", i)
					if i%2 == 0 {
						e, err := p.Explain(t.Context(), key)
						must(t, err)
						_, _, err = opts.Pins.GetOrPin(t.Context(), key, e.Ranking[i/2])
						must(t, err)
					}
					e, err := p.Explain(t.Context(), key)
					must(t, err)
					if want := e.Ranking[map[bool]int{false: 0, true: 1}[e.Owner == e.Ranking[0]]]; e.Gutter != want {
						t.Fatalf("%s is at %s and its gutter %s, of %v: want %s", key, e.Owner, e.Gutter, e.Ranking, want)
					}
					p.drain(t, e.Owner)
					first := p.read(t, key)
					for id, c := range caches {
						if got, err := c.Get(t.Context(), key); err != nil || (got != nil) != (id == e.Gutter) {
							t.Errorf("%s, of which %s is the gutter, has %v, %v", id, e.Gutter, got, err)
						}
					}
					time.Sleep(10*time.Second - time.Millisecond)
					if v := p.read(t, key); v != first {
						t.Errorf("%s was gone before its time", key)
					}
					time.Sleep(time.Millisecond)
					if v := p.read(t, key); v == first {
						t.Errorf("%s is %s after 10 s", key, v)
					}
					must(t, p.Loader.Delete(t.Context(), key))
					p.drain(t, e.Gutter)
					if first = p.read(t, key); p.read(t, key) == first {
						t.Errorf("%s was stored while its shard and the next are out", key)
					}
					must(t, p.SetState(t.Context(), e.Owner, fleet.StateHealthy))
					must(t, p.SetState(t.Context(), e.Gutter, fleet.StateHealthy))
				}
			})
		})
	}
	t.Run("deletes only", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			opts := withGutter(10 * time.Second)
			opts.Health.Gutter.DeletesOnly = true
			p := newTown(equal(2), 0).process(t, equal(2), opts)
			p.drain(t, p.Owner("key").ID)
			if first := p.read(t, "key"); p.read(t, "key") == first || p.Fleet.Stats().Gutter != (fleet.GutterStats{}) {
				t.Errorf("%+v", p.Fleet.Stats().Gutter)
			}
		})
	})
}

// A user's Set of a shard that is out is tried there, and not stored in the gutter: else
// its older value would be found when it is back. If it is not well, that is an error.
func TestGutter_TakesNoSetOfAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := withGutter(10 * time.Second)
		opts.Health.MinPause = time.Hour
		h := newHospital(t, 2, opts)
		key := h.keys[0][0]
		must(t, h.Set(t.Context(), key, fresh("old")))
		h.putOut(0)
		for _, write := range []func() error{
			func() error { return h.Set(t.Context(), key, fresh("new")) },
			func() error { return h.Delete(t.Context(), key) },
		} {
			if err := write(); !errors.Is(err, errDown) {
				t.Errorf("err = %v", err)
			}
			if e, err := h.Get(t.Context(), key); e != nil || err != nil {
				t.Errorf("%v, %v is in the gutter", e, err)
			}
		}
		h.patients[0].fails(nil)
		must(t, h.SetState(t.Context(), "s00", fleet.StateHealthy))
		if e, err := h.Get(t.Context(), key); e != nil || err != nil {
			t.Errorf("%v, %v is where it was to be gone", e, err)
		}
		h.patients[1].fails(errDown)
		if err := h.Delete(t.Context(), key); !errors.Is(err, errDown) {
			t.Errorf("err = %v of a Delete that failed in the gutter", err)
		}
	})
}

// A shard that is slow itself takes nothing for others.
func TestGutter_SparesASlowShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, withGutter(10*time.Second))
		must(t, h.SetState(t.Context(), "s00", fleet.StateUnhealthy))
		l, err := corral.New(h, corral.Options{TTL: time.Minute})
		must(t, err)
		defer func() { must(t, l.Close(context.Background())) }()
		load := func(key string) {
			t.Helper()
			_, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { return "value", nil })
			must(t, err)
			synctest.Wait()
		}
		load(h.keys[0][0])
		h.patients[1].do(func(context.Context, string) error { time.Sleep(60 * time.Millisecond); return nil })
		for range 20 {
			must(t, h.get(1, 1))
		}
		if s := h.Health()[1]; s.State != fleet.StateDegraded {
			t.Fatalf("%+v", s)
		}
		load(h.keys[0][1])
		if s := h.Fleet.Stats().Gutter; s.Fills != 1 || s.Refused != 1 {
			t.Errorf("%+v, want one fill, before it was slow", s)
		}
	})
}

// settled is a cache that buffers its writes.
type settled struct {
	*memadapter.Cache[string, string]
	keys *[]string
}

func (s settled) Settle(_ context.Context, key string) error {
	*s.keys = append(*s.keys, key)
	return nil
}

// What was stored in the gutter settles there.
func TestGutter_Settles(t *testing.T) {
	var keys [2][]string
	f, _ := open(t, equal(2), withGutter(time.Second), func(i int) corral.Cache[string, string] {
		return settled{memadapter.New[string, string](), &keys[i]}
	})
	on := keysOn(f, 2, 1)
	must(t, f.Settle(t.Context(), on[0][0]))
	must(t, f.SetState(t.Context(), "s00", fleet.StateUnhealthy))
	must(t, f.Settle(t.Context(), on[0][0]))
	if len(keys[0]) != 1 || len(keys[1]) != 1 {
		t.Errorf("%v settled, want the key at each", keys)
	}
}

func TestGutter_BadOptions(t *testing.T) {
	for _, c := range []struct {
		g     fleet.GutterOptions
		field string
		value any
	}{
		{fleet.GutterOptions{Life: -1}, "Life", "-1ns"},
		{fleet.GutterOptions{Life: 61 * time.Second}, "Life", "1m1s"},
		{fleet.GutterOptions{Life: time.Second, Fills: -1}, "Fills", -1},
		{fleet.GutterOptions{Life: time.Second, Fills: 1_000_001}, "Fills", 1_000_001},
		{fleet.GutterOptions{Fills: 1}, "Fills", 1},
		{fleet.GutterOptions{DeletesOnly: true}, "DeletesOnly", true},
	} {
		_, err := fleet.New(t.Context(), equal(1), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
			return memadapter.New[string, string](), nil
		}, fleet.Options[string]{Health: fleet.HealthOptions{Gutter: c.g}})
		wantOption(t, err, "Options.Health.Gutter."+c.field, c.value)
	}
}
