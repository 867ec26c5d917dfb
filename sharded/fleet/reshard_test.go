package fleet_test

import (
	"container/list"
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/internal/draw"
	"github.com/corralcache/corral/sharded/fleet"
)

// reshardings are the changes of a topology that a fleet lives through.
var reshardings = []struct {
	name     string
	from, to fleet.Topology
}{
	{"growing from 4 to 5", named(1, "a", "b", "c", "d"), named(2, "a", "b", "c", "d", "e")},
	{"shrinking from 5 to 4", named(1, "a", "b", "c", "d", "e"), named(2, "a", "b", "c", "d")},
	{"replacing one of 4", named(1, "a", "b", "c", "d"), named(2, "a", "b", "x", "d")},
	{"weighing one of 4 three times", named(1, "a", "b", "c", "d"), weighted(named(2, "a", "b", "c", "d"), "d", 3)},
}

func named(epoch uint64, ids ...string) fleet.Topology {
	t := fleet.Topology{Epoch: epoch}
	for _, id := range ids {
		t.Shards = append(t.Shards, fleet.Shard{ID: id})
	}
	return t
}

func weighted(t fleet.Topology, id string, weight uint32) fleet.Topology {
	for i := range t.Shards {
		if t.Shards[i].ID == id {
			t.Shards[i].Weight = weight
		}
	}
	return t
}

// reshardKinds are what shards are made of.
var reshardKinds = []struct {
	name string
	make func() corral.Cache[string, string]
}{
	{"memory", func() corral.Cache[string, string] { return memadapter.New[string, string]() }},
	{"values in memory", func() corral.Cache[string, string] { return memadapter.Plain[string, string]() }},
	{"leases", func() corral.Cache[string, string] {
		return memadapter.NewShared[string, string](2 * time.Second).Process()
	}},
	{"far, no leases", func() corral.Cache[string, string] { return memadapter.NewShared[string, string](0).Process() }},
}

// traffic is the calls of one reader, who goes on through a change.
type traffic struct {
	keys          int
	before, after int // calls, one each millisecond
	opts          corral.Options
	shard         func() corral.Cache[string, string]
}

// aLoad is when a key was loaded, since the traffic began.
type aLoad struct {
	key string
	at  time.Duration
}

// change changes a fleet from one topology to another while it is in use, and
// returns the fleet that is used from then on.
type change func(t *testing.T, f *fleet.Fleet[string, string], open fleet.OpenFunc[string, string], to fleet.Topology) *fleet.Fleet[string, string]

func applied(t *testing.T, f *fleet.Fleet[string, string], _ fleet.OpenFunc[string, string], to fleet.Topology) *fleet.Fleet[string, string] {
	_, err := f.Apply(t.Context(), to)
	must(t, err)
	return f
}

// swapped is what a user does who has no Apply: another fleet over the same caches.
func swapped(t *testing.T, f *fleet.Fleet[string, string], open fleet.OpenFunc[string, string], to fleet.Topology) *fleet.Fleet[string, string] {
	next, err := fleet.New(t.Context(), to, open, fleet.Options[string]{})
	must(t, err)
	return next
}

func unchanged(_ *testing.T, f *fleet.Fleet[string, string], _ fleet.OpenFunc[string, string], _ fleet.Topology) *fleet.Fleet[string, string] {
	return f
}

// run returns the loads of the traffic, and how many there were before the change.
// Of the draws for an early refresh each depends on the key, on when its value was
// loaded, and on how often it was asked for since.
func (tr traffic) run(t *testing.T, from, to fleet.Topology, change change) (loads []aLoad, before int) {
	synctest.Test(t, func(t *testing.T) {
		caches := map[string]corral.Cache[string, string]{}
		var turn = make(chan struct{}, 1)
		open := func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			turn <- struct{}{}
			defer func() { <-turn }()
			if caches[s.ID] == nil {
				caches[s.ID] = tr.shard()
			}
			return caches[s.ID], nil
		}
		f, err := fleet.New(t.Context(), from, open, fleet.Options[string]{MaxLife: time.Hour})
		must(t, err)
		l, err := corral.New(f, tr.opts)
		must(t, err)
		start := time.Now()
		calls, loadedAt := map[string]int{}, map[string]time.Duration{}
		load := func(_ context.Context, key string) (string, error) {
			loads = append(loads, aLoad{key, time.Since(start)})
			loadedAt[key], calls[key] = time.Since(start), 0
			time.Sleep(100 * time.Microsecond)
			return "value of " + key, nil
		}
		var key string
		defer draw.Choose(func() float64 {
			return (float64(maphash.Comparable(seed, fmt.Sprint(key, loadedAt[key], calls[key]))>>11) + 1) / (1 << 53)
		})()
		zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(tr.keys-1))
		for i := range tr.before + tr.after {
			if i == tr.before {
				before = len(loads)
				next := change(t, f, open, to)
				if next != f {
					must(t, l.Close(t.Context()))
					l, err = corral.New(next, tr.opts)
					must(t, err)
					defer func() { must(t, next.Close(context.Background())) }()
				}
			}
			key = fmt.Sprint("key:", zipf.Uint64())
			calls[key]++
			v, err := l.GetOrLoad(t.Context(), key, load)
			if must(t, err); v != "value of "+key {
				t.Fatalf("%s is %q", key, v)
			}
			synctest.Wait() // for what it started
			time.Sleep(time.Millisecond)
		}
		must(t, l.Close(t.Context()))
		must(t, f.Close(context.Background()))
	})
	return loads, before
}

var seed = maphash.MakeSeed()

// A change of the topology costs no load: with it the same keys are loaded at the same
// times as in a fleet that was so from the beginning. Without, the source meets a herd.
func TestReshard_CostsNoLoads(t *testing.T) {
	for _, o := range []struct {
		name string
		opts corral.Options
	}{
		{"TTL", corral.Options{TTL: time.Minute}},
		{"refreshed early and when stale", corral.Options{TTL: 6 * time.Second, StaleFor: 20 * time.Second, EarlyExpiry: 100}},
	} {
		for _, kind := range reshardKinds {
			for _, r := range reshardings {
				t.Run(o.name+"/"+kind.name+"/"+r.name, func(t *testing.T) {
					tr := traffic{keys: 1500, before: 15_000, after: 15_000, opts: o.opts, shard: kind.make}
					control, before := tr.run(t, r.to, r.to, unchanged)
					apply, _ := tr.run(t, r.from, r.to, applied)
					swap, _ := tr.run(t, r.from, r.to, swapped)
					soon := func(loads []aLoad) (n int) { // in the first second after the change
						for _, l := range loads[before:] {
							if l.at < loads[before-1].at+time.Second {
								n++
							}
						}
						return n
					}
					t.Logf("loads in the second after the change, and in all: control %d of %d, plain swap %d of %d, Apply %d of %d",
						soon(control), len(control), soon(swap), len(swap), soon(apply), len(apply))
					if !slices.Equal(apply, control) {
						t.Errorf("%d loads with Apply, of which the first that differs is %v, want those of the control, %d",
							len(apply), firstOther(apply, control), len(control))
					}
					if o.opts.EarlyExpiry == 0 && soon(swap) < 3*max(1, soon(control)) {
						t.Errorf("a plain swap loads %d in a second, want at least three times the control's %d: else the test shows nothing", soon(swap), soon(control))
					}
				})
			}
		}
	}
}

func firstOther(a, b []aLoad) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%v, want %v", a[i], b[i])
		}
	}
	return "that one has more"
}

// Over a full fleet a change costs no more loads than there were in a fleet that had
// had the smaller capacity all along.
func TestReshard_OverAFullFleet(t *testing.T) {
	for _, r := range reshardings[:2] {
		t.Run(r.name, func(t *testing.T) {
			smaller := r.from
			if len(r.to.Shards) < len(smaller.Shards) {
				smaller = r.to
			}
			tr := traffic{keys: 1500, before: 15_000, after: 15_000, opts: corral.Options{TTL: time.Minute},
				shard: func() corral.Cache[string, string] { return &lru{most: 60, byKey: map[string]*list.Element{}} }}
			control, before := tr.run(t, smaller, smaller, unchanged)
			apply, beforeApply := tr.run(t, r.from, r.to, applied)
			t.Logf("loads after the change: Apply %d, a fleet of the smaller capacity %d", len(apply)-beforeApply, len(control)-before)
			if len(apply)-beforeApply > len(control)-before {
				t.Errorf("%d loads after the change, want at most %d", len(apply)-beforeApply, len(control)-before)
			}
		})
	}
}

// lru is a cache that holds so many entries, those that were used last. One reader
// uses it.
type lru struct {
	most  int
	byKey map[string]*list.Element
	order list.List // of *held, the last used in front
}

type held struct {
	key   string
	entry *corral.Entry[string]
}

func (c *lru) Get(_ context.Context, key string) (*corral.Entry[string], error) {
	e := c.byKey[key]
	if e == nil {
		return nil, nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*held).entry, nil
}

func (c *lru) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	_ = c.Delete(ctx, key)
	c.byKey[key] = c.order.PushFront(&held{key, e})
	if last := c.order.Back(); len(c.byKey) > c.most {
		return c.Delete(ctx, last.Value.(*held).key)
	}
	return nil
}

func (c *lru) Delete(_ context.Context, key string) error {
	if e := c.byKey[key]; e != nil {
		c.order.Remove(e)
		delete(c.byKey, key)
	}
	return nil
}

// C1 through a change: of three processes that ask for the same keys all the while,
// one loads a key, once.
func TestReshard_ProcessesLoadOnce(t *testing.T) {
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint("many ", many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				var keys []string
				for i := range 60 {
					keys = append(keys, fmt.Sprint("key:", i))
				}
				var mu sync.Mutex
				loads := map[string]int{}
				load := func(_ context.Context, key string) (string, error) {
					mu.Lock()
					loads[key]++
					mu.Unlock()
					time.Sleep(700 * time.Millisecond)
					return key, nil
				}
				bulk := func(_ context.Context, keys []string) (map[string]string, error) {
					values := map[string]string{}
					mu.Lock()
					for _, key := range keys {
						loads[key]++
						values[key] = key
					}
					mu.Unlock()
					time.Sleep(700 * time.Millisecond)
					return values, nil
				}
				var all sync.WaitGroup
				var loaders []*corral.Loader[string, string]
				for i := range 3 {
					f := s.process(two, s.together())
					l, err := corral.New(f, corral.Options{TTL: time.Hour})
					must(t, err)
					loaders = append(loaders, l)
					if i == 0 {
						all.Go(func() {
							time.Sleep(time.Second)
							_, err := f.Apply(t.Context(), three)
							must(t, err)
						})
					}
					all.Go(func() {
						for j := range keys { // a new one every 300 ms, from before the change until after the switch
							if many {
								_, err := l.GetOrLoadMany(t.Context(), keys[:j+1], bulk)
								must(t, err)
							} else {
								_, err := l.GetOrLoad(t.Context(), keys[j], load)
								must(t, err)
							}
							time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
						}
					})
				}
				all.Wait()
				for _, key := range keys {
					if loads[key] != 1 {
						t.Errorf("%d loads of %s", loads[key], key)
					}
				}
				for _, l := range loaders {
					must(t, l.Close(t.Context()))
				}
			})
		})
	}
}
