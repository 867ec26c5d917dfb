package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// replicated returns a topology of groups g0 and on with a replica in each zone: "g0 east".
func replicated(epoch uint64, groups int, zones ...string) fleet.Topology {
	t := fleet.Topology{Epoch: epoch}
	for g := range groups {
		for _, z := range zones {
			group := fmt.Sprint("g", g)
			t.Shards = append(t.Shards, fleet.Shard{ID: group + " " + z, Zone: z, Group: group})
		}
	}
	return t
}

// region is the stores of all zones, by the shards' IDs.
type region struct {
	life   time.Duration
	mu     sync.Mutex
	stores map[string]*memadapter.Shared[string, string] // guarded by mu
	made   map[string]*probe                             // the last of a shard; guarded by mu
}

func newRegion(life time.Duration) *region {
	return &region{life: life, stores: map[string]*memadapter.Shared[string, string]{}, made: map[string]*probe{}}
}

func (r *region) store(id string) *memadapter.Shared[string, string] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stores[id] == nil {
		r.stores[id] = memadapter.NewShared[string, string](r.life)
	}
	return r.stores[id]
}

// has returns what a shard holds of key.
func (r *region) has(id, key string) string {
	e, _ := r.store(id).Process().Get(context.Background(), key)
	if e == nil {
		return ""
	}
	return e.Value
}

// process opens a fleet as one more process in a zone, and returns the way to each shard.
func (r *region) process(t testing.TB, zone string, topology fleet.Topology, opts fleet.Options[string]) (*fleet.Fleet[string, string], map[string]*probe) {
	t.Helper()
	ways := map[string]*probe{}
	var mu sync.Mutex
	opts.Zone = zone
	f, err := fleet.New(t.Context(), topology, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		p := &probe{Process: r.store(s.ID).Process()}
		mu.Lock()
		defer mu.Unlock()
		ways[s.ID] = p
		return p, nil
	}, opts)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close(context.Background())) })
	return f, ways
}

// probe is the way from a process to a shard: it counts calls, and does before each, and
// after, what a test wants.
type probe struct {
	*memadapter.Process[string, string]
	calls  atomic.Int64
	before atomic.Pointer[func(ctx context.Context, call string) error]
	after  atomic.Pointer[func(call string)]
	scan   error // of ScanPage
}

func (p *probe) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, string], string, error) {
	if p.scan != nil {
		return nil, "", p.scan
	}
	return p.Process.ScanPage(ctx, cursor, count, keysOnly)
}

func (p *probe) do(before func(ctx context.Context, call string) error) { p.before.Store(&before) }
func (p *probe) then(after func(call string))                           { p.after.Store(&after) }

func (p *probe) call(ctx context.Context, name string) error {
	p.calls.Add(1)
	if before := p.before.Load(); before != nil && *before != nil {
		return (*before)(ctx, name)
	}
	return nil
}

func (p *probe) called(name string) {
	if after := p.after.Load(); after != nil {
		(*after)(name)
	}
}

func (p *probe) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	if err := p.call(ctx, "Get"); err != nil {
		return nil, err
	}
	defer p.called("Get")
	return p.Process.Get(ctx, key)
}

func (p *probe) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	if err := p.call(ctx, "Set"); err != nil {
		return err
	}
	defer p.called("Set")
	return p.Process.Set(ctx, key, e)
}

func (p *probe) Delete(ctx context.Context, key string) error {
	if err := p.call(ctx, "Delete"); err != nil {
		return err
	}
	defer p.called("Delete")
	return p.Process.Delete(ctx, key)
}

func (p *probe) Acquire(ctx context.Context, key string, r corral.LeaseRequest[string]) (corral.Lease[string], error) {
	if err := p.call(ctx, "Acquire"); err != nil {
		return corral.Lease[string]{}, err
	}
	defer p.called("Acquire")
	return p.Process.Acquire(ctx, key, r)
}

func (p *probe) Fill(ctx context.Context, key, token string, e *corral.Entry[string]) error {
	if err := p.call(ctx, "Fill"); err != nil {
		return err
	}
	defer p.called("Fill")
	return p.Process.Fill(ctx, key, token, e)
}

func (p *probe) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[string], error) {
	if err := p.call(ctx, "GetMany"); err != nil {
		return nil, err
	}
	return p.Process.GetMany(ctx, keys)
}

func (p *probe) DeleteMany(ctx context.Context, keys []string) error {
	if err := p.call(ctx, "DeleteMany"); err != nil {
		return err
	}
	return p.Process.DeleteMany(ctx, keys)
}

func (p *probe) AcquireMany(ctx context.Context, keys []string, requests []corral.LeaseRequest[string]) ([]corral.Lease[string], error) {
	if err := p.call(ctx, "AcquireMany"); err != nil {
		return nil, err
	}
	return p.Process.AcquireMany(ctx, keys, requests)
}

func (p *probe) FillMany(ctx context.Context, keys, tokens []string, entries []*corral.Entry[string]) error {
	if err := p.call(ctx, "FillMany"); err != nil {
		return err
	}
	return p.Process.FillMany(ctx, keys, tokens, entries)
}

// heldBy returns n keys whose holder is the shard.
func heldBy(t testing.TB, f *fleet.Fleet[string, string], id string, n int) (keys []string) {
	t.Helper()
	for i := 0; len(keys) < n; i++ {
		e, err := f.Explain(t.Context(), fmt.Sprint("key:", i))
		if must(t, err); len(e.Replicas) > 0 && e.Replicas[0] == id {
			keys = append(keys, fmt.Sprint("key:", i))
		}
	}
	return keys
}

func TestContract_A6_Conformance_Zones(t *testing.T) {
	for _, zones := range [][2]string{{"east", "east"}, {"east", "west"}, {"", ""}, {"west", ""}} {
		t.Run(fmt.Sprintf("%q and %q", zones[0], zones[1]), func(t *testing.T) {
			var r *region
			topology := replicated(1, 3, "east", "west")
			adaptertest.Run(t, adaptertest.Config[string, string]{
				New: func(t *testing.T) corral.Cache[string, string] {
					r = newRegion(2 * time.Second)
					f, _ := r.process(t, zones[0], topology, fleet.Options[string]{})
					return f
				},
				Other: func(t *testing.T) corral.Cache[string, string] {
					f, _ := r.process(t, zones[1], topology, fleet.Options[string]{})
					return f
				},
			})
		})
	}
}

// Of the loads of several zones there is one for each key and expiry.
func TestZones_OneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion(10 * time.Second)
		topology := replicated(1, 3, "east", "west")
		var loaders []*corral.Loader[string, string]
		for _, zone := range []string{"east", "east", "west", "west", "elsewhere"} {
			f, _ := r.process(t, zone, topology, fleet.Options[string]{})
			l, err := corral.New(f, corral.Options{TTL: time.Minute})
			must(t, err)
			loaders = append(loaders, l)
		}
		var loads atomic.Int64
		load := func(_ context.Context, key string) (string, error) {
			time.Sleep(time.Second)
			return fmt.Sprint(key, " ", loads.Add(1)), nil
		}
		for round := range 3 {
			values := sync.Map{}
			var all sync.WaitGroup
			for _, l := range loaders {
				for i := range 40 {
					all.Go(func() {
						key := fmt.Sprint("key:", i)
						v, err := l.GetOrLoad(t.Context(), key, load)
						must(t, err)
						if other, seen := values.LoadOrStore(key, v); seen && other != v {
							t.Errorf("%s is %s and %v", key, v, other)
						}
					})
				}
			}
			all.Wait()
			if n := loads.Load(); n != int64(40*(round+1)) {
				t.Errorf("round %d: %d loads of 40 keys", round, n)
			}
			time.Sleep(2 * time.Minute)
		}
		for _, l := range loaders {
			must(t, l.Close(t.Context()))
		}
	})
}

// Round trips: 1 for a hit, 4 for the first hit in a zone of what the holder has, and 5
// for a miss that loads.
func TestZones_RoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, topology := newRegion(time.Minute), replicated(1, 1, "east", "west")
		f, ways := r.process(t, "west", topology, fleet.Options[string]{})
		l, err := corral.New(f, corral.Options{TTL: time.Minute})
		must(t, err)
		key := heldBy(t, f, "g0 east", 1)[0]
		trips := func(what string, want map[string]int64) {
			t.Helper()
			synctest.Wait()
			for id, p := range ways {
				if n := p.calls.Swap(0); n != want[id] {
					t.Errorf("%s: %d calls of %s, want %d", what, n, id, want[id])
				}
			}
		}
		get := func() {
			t.Helper()
			_, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { return "value", nil })
			must(t, err)
		}
		get()
		trips("a miss", map[string]int64{"g0 west": 3, "g0 east": 2})
		get()
		trips("a hit", map[string]int64{"g0 west": 1})
		must(t, r.store("g0 west").Process().Delete(t.Context(), key))
		get()
		trips("the first hit", map[string]int64{"g0 west": 3, "g0 east": 1})
		get()
		trips("a hit", map[string]int64{"g0 west": 1})
		must(t, l.Delete(t.Context(), key))
		trips("a Delete", map[string]int64{"g0 west": 1, "g0 east": 1})
		must(t, l.Close(t.Context()))
	})
}

// W1: a copy that read the holder before a Delete is not stored after it.
func TestZones_ACopyThatStalls(t *testing.T) {
	for _, stalls := range []string{"Acquire", "Fill"} {
		t.Run(stalls, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, topology := newRegion(time.Minute), replicated(1, 1, "east", "west")
				east, toEast := r.process(t, "east", topology, fleet.Options[string]{})
				west, toWest := r.process(t, "west", topology, fleet.Options[string]{})
				key := heldBy(t, east, "g0 east", 1)[0]
				must(t, east.Set(t.Context(), key, fresh("old")))
				if stalls == "Acquire" { // it has read the holder, and the answer is on its way
					toWest["g0 east"].then(func(string) { time.Sleep(2 * time.Second) })
				} else {
					toWest["g0 west"].do(func(_ context.Context, call string) error {
						if call == "Fill" {
							time.Sleep(2 * time.Second)
						}
						return nil
					})
				}
				// the Delete comes to the holder late, and to the other replica at once
				toEast["g0 east"].do(func(_ context.Context, call string) error {
					time.Sleep(time.Second)
					return nil
				})
				deleted := make(chan error)
				go func() { deleted <- east.Delete(t.Context(), key) }()
				time.Sleep(500 * time.Millisecond)
				l, err := west.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "token"})
				must(t, err)
				must(t, <-deleted)
				if l.State == corral.LeaseChanged {
					t.Errorf("the copy is %q, and counts", l.Entry.Value)
				}
				for _, id := range []string{"g0 east", "g0 west"} {
					if v := r.has(id, key); v != "" {
						t.Errorf("%s holds %q, which was deleted", id, v)
					}
				}
			})
		})
	}
}

// A zone that loses its replica is served by the other, without a load.
func TestZones_AReplicaFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, topology := newRegion(10*time.Second), replicated(1, 2, "east", "west")
		east, toShard := r.process(t, "east", topology, fleet.Options[string]{})
		l := loader(t, east)
		keys := slices.Concat(heldBy(t, east, "g0 west", 10), heldBy(t, east, "g1 west", 10))
		loads := 0
		read := func(keys ...string) {
			t.Helper()
			for _, key := range keys {
				v, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { loads++; return "of " + key, nil })
				if err != nil || v != "of "+key {
					t.Fatalf("%s is %q, %v", key, v, err)
				}
			}
		}
		read(keys...)
		for _, id := range []string{"g0 east", "g1 east"} {
			toShard[id].do(func(context.Context, string) error { return errCut })
		}
		for range 3 {
			read(keys...)
		}
		if loads != 20 {
			t.Errorf("%d loads of 20 keys", loads)
		}
		for _, h := range east.Health() {
			if h.Out != (h.Shard.Zone == "east") {
				t.Errorf("%s is out: %v", h.Shard.ID, h.Out)
			}
		}
		wantIs(t, l.Delete(t.Context(), keys[0]), errCut) // W3
		if v := r.has("g0 west", keys[0]); v != "" {
			t.Errorf("the other replica holds %q after a Delete", v)
		}
		read(heldBy(t, east, "g0 east", 5)...)
		for _, key := range heldBy(t, east, "g0 east", 5) {
			if v := r.has("g0 west", key); v != "of "+key { // the next in rank stands in for the holder
				t.Errorf("the other replica holds %q of %s", v, key)
			}
		}
		for _, id := range []string{"g0 east", "g1 east"} {
			toShard[id].do(nil)
		}
		for range 25 {
			time.Sleep(time.Second)
			read(keys[1:]...)
		}
		for _, h := range east.Health() {
			if h.Out || h.Fenced != 0 {
				t.Errorf("%+v after a minute", h)
			}
		}
		if loads != 25 {
			t.Errorf("%d loads of 25 keys", loads)
		}
		read(keys[0])
		if loads != 26 {
			t.Errorf("%d loads: what was deleted is there", loads)
		}
		must(t, l.Close(t.Context()))
	})
}
