package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// W1, W2 over zones: no value comes back that a Delete, or a Set, of any process has
// ended, while replicas and whole zones come and go and any call stalls for longer than
// any timer of a fleet.
func TestZones_NothingDeletedComesBack(t *testing.T) {
	var all happened
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { liveInZones(t, seed, &all) })
		})
	}
	if t.Logf("%+v", all); all.changes == 0 || all.writes == 0 || all.found == 0 || all.copied == 0 {
		t.Error("nothing was tested")
	}
}

// zonedTopologies are what a fleet may consist of: every one may follow every other.
func zonedTopologies(epoch uint64) []fleet.Topology {
	two := replicated(epoch, 2, "east", "west")
	one := two
	one.Shards = slices.Clone(two.Shards[:3])
	mixed := replicated(epoch, 2, "east", "north")
	mixed.Shards[3] = two.Shards[3]
	return []fleet.Topology{
		two, one, mixed,
		replicated(epoch, 3, "east", "west"),
		replicated(epoch, 2, "east"),
		replicated(epoch, 1, "west", "north", "east"),
		replicated(epoch, 2, "north", "west"),
	}
}

func liveInZones(t *testing.T, seed uint64, happened *happened) {
	var (
		d          = &delays{rnd: rand.New(rand.NewPCG(seed, 11))}
		h          = newHistory(t)
		epochs     = &fleet.MemoryEpochs{}
		ends, stop = context.WithTimeout(t.Context(), 5*time.Minute)
		all        sync.WaitGroup
		shared     sync.Map
		copied     atomic.Int64
	)
	defer stop()
	keys := []string{"key:1", "key:2", "key:3", "key:4"}
	var fleets []*fleet.Fleet[string, string]
	var loaders []*corral.Loader[string, string]
	for _, zone := range []string{"east", "west", "west"} {
		broken := new(atomic.Bool)
		f, err := fleet.New(t.Context(), zonedTopologies(1)[0], func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			store, _ := shared.LoadOrStore(s.ID, memadapter.NewShared[string, string](2*time.Second))
			return lazyReplica{lazyProcess{store.(*memadapter.Shared[string, string]).Process(), d, cable{new(atomic.Bool)}}, &copied}, nil
		}, fleet.Options[string]{Zone: zone, MaxLife: 30 * time.Second, Epochs: cut{epochs, broken}, EpochLife: time.Second})
		must(t, err)
		l, err := corral.New(f, corral.Options{TTL: 10 * time.Second, StaleFor: 10 * time.Second})
		must(t, err)
		fleets, loaders = append(fleets, f), append(loaders, l)
		own := newHistory(t)
		for range 4 {
			all.Go(func() {
				for ends.Err() == nil {
					time.Sleep(time.Duration(d.n(1000)) * time.Millisecond)
					h.calls(t.Context(), own, l, keys[d.n(len(keys))], d)
				}
			})
		}
		all.Go(func() {
			for ends.Err() == nil {
				time.Sleep(time.Duration(d.n(20_000)) * time.Millisecond)
				broken.Store(true)
				time.Sleep(time.Duration(d.n(4000)) * time.Millisecond)
				broken.Store(false)
			}
		})
	}
	changes := 0
	all.Go(func() {
		for epoch := uint64(2); ends.Err() == nil; epoch++ {
			time.Sleep(time.Duration(d.n(5000)) * time.Millisecond)
			to := zonedTopologies(epoch)
			c, err := fleets[d.n(len(fleets))].Apply(t.Context(), to[d.n(len(to))])
			if err != nil || c == nil {
				continue
			}
			changes++
			switch d.n(4) {
			case 0:
				time.Sleep(time.Duration(d.n(10_000)) * time.Millisecond)
				_ = c.Abort(t.Context())
			case 1:
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(d.n(120))*time.Second)
				_, _ = fleet.Migrate(ctx, fleets[d.n(len(fleets))], fleet.MigrateOptions{Workers: 2, Batch: 2})
				cancel()
			}
		}
	})
	found := 0
	all.Go(func() { found = h.finds(ends, fleets, keys, d) })
	all.Wait()
	for i, f := range fleets {
		must(t, loaders[i].Close(t.Context()))
		must(t, f.Close(t.Context()))
	}
	happened.changes += changes
	happened.writes += h.writes
	happened.found += found
	happened.copied += int(copied.Load())
	time.Sleep(3 * time.Minute) // calls that were left behind
}

// calls makes a write or a read by chance.
func (h *history) calls(ctx context.Context, own *history, l *corral.Loader[string, string], key string, d *delays) {
	switch d.n(8) {
	case 0:
		began := h.now()
		if l.Delete(ctx, key) == nil {
			h.wrote(key, began)
			own.wrote(key, began)
		}
	case 1:
		began := h.began()
		if l.Set(ctx, key, fmt.Sprint(began)) == nil {
			h.returned(began)
			h.wrote(key, began)
			own.wrote(key, began)
		}
	default:
		h.reads(ctx, own, l, key, d)
	}
}

// lazyReplica counts what is found where a process asks for a lease with nothing seen.
type lazyReplica struct {
	lazyProcess
	found *atomic.Int64
}

func (c lazyReplica) Acquire(ctx context.Context, key string, r corral.LeaseRequest[string]) (corral.Lease[string], error) {
	l, err := c.lazyProcess.Acquire(ctx, key, r)
	if l.State == corral.LeaseChanged {
		c.found.Add(1)
	}
	return l, err
}
