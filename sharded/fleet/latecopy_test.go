package fleet_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// oneShard returns the topology of one shard.
func oneShard(epoch uint64, id string) fleet.Topology {
	return fleet.Topology{Epoch: epoch, Shards: []fleet.Shard{{ID: id}}}
}

// kept returns an entry that was loaded now.
func kept(value string, keep time.Duration) *corral.Entry[string] {
	return &corral.Entry[string]{Value: value, LoadedAt: time.Now(), TTL: keep, Keep: keep}
}

// W1: a process that hears of a change late stores nothing at the old shard that
// outlives the change, of which it does not know when it began.
func TestALateFillEndsWithTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxLife = 30 * time.Second
		epochs, broken := &fleet.MemoryEpochs{}, new(atomic.Bool)
		stores := map[string]*memadapter.Shared[string, string]{}
		for _, id := range []string{"a", "b"} {
			stores[id] = memadapter.NewShared[string, string](time.Minute)
		}
		process := func(epochs fleet.Epochs) *fleet.Fleet[string, string] {
			f, err := fleet.New(t.Context(), oneShard(1, "a"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
				return stores[s.ID].Process(), nil
			}, fleet.Options[string]{MaxLife: maxLife, Epochs: epochs, EpochLife: time.Second})
			must(t, err)
			t.Cleanup(func() { must(t, f.Close(context.Background())) })
			return f
		}
		late, other := process(cut{epochs, broken}), process(epochs)
		lease, err := late.Acquire(t.Context(), "k", corral.LeaseRequest[string]{Token: "t"})
		must(t, err)

		broken.Store(true)
		change, err := other.Apply(t.Context(), oneShard(2, "b"))
		must(t, err)
		time.Sleep(20 * time.Second)
		broken.Store(false)
		time.Sleep(time.Second)
		must(t, late.Fill(t.Context(), "k", lease.Token, kept("old", time.Hour)))

		for open := true; open; { // goes by what is published, as every process does that has calls
			_, err := other.Get(t.Context(), "k")
			must(t, err)
			select {
			case <-change.Done():
				open = false
			case <-time.After(100 * time.Millisecond):
			}
		}
		must(t, other.Delete(t.Context(), "k"))
		_, err = other.Apply(t.Context(), oneShard(3, "a"))
		must(t, err)
		if e, err := other.Get(t.Context(), "k"); e != nil || err != nil {
			t.Errorf("after a Delete the fleet holds %+v, error %v", e, err)
		}
	})
}

// gate is a shard at whose door a call waits.
type gate struct {
	corral.Cache[string, string]
	shut *sync.Map // channels by the call's name, which wait once
}

func (g gate) wait(call string) {
	if open, ok := g.shut.LoadAndDelete(call); ok {
		<-open.(chan struct{})
	}
}

func (g gate) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	e, err := g.Cache.Get(ctx, key)
	g.wait("Get")
	return e, err
}

func (g gate) Delete(ctx context.Context, key string) error {
	g.wait("Delete")
	return g.Cache.Delete(ctx, key)
}

// leasedGate is one that gives leases.
type leasedGate struct {
	gate
	corral.Leaser[string, string]
}

func (g leasedGate) Acquire(ctx context.Context, key string, r corral.LeaseRequest[string]) (corral.Lease[string], error) {
	g.wait("Acquire")
	return g.Leaser.Acquire(ctx, key, r)
}

// W1: a copy that stalls before it has its lease, or is known, until keys move the other
// way, stores nothing: by then a Delete comes first to where it would store, and only
// then to what it reads.
func TestALateCopyStoresNothing(t *testing.T) {
	for kind, stall := range map[string]string{"leases": "Acquire", "memory": "Get"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const maxLife = 30 * time.Second
				gates := map[string]gate{}
				for _, id := range []string{"a", "b"} {
					gates[id] = gate{memadapter.New[string, string](), new(sync.Map)}
					if kind == "leases" {
						gates[id] = gate{memadapter.NewShared[string, string](time.Minute).Process(), gates[id].shut}
					}
				}
				f, err := fleet.New(t.Context(), oneShard(1, "a"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
					if p, ok := gates[s.ID].Cache.(corral.Leaser[string, string]); ok {
						return leasedGate{gates[s.ID], p}, nil
					}
					return gates[s.ID], nil
				}, fleet.Options[string]{MaxLife: maxLife})
				must(t, err)
				defer f.Close(context.Background())
				change, err := f.Apply(t.Context(), oneShard(2, "b"))
				must(t, err)

				copying := make(chan struct{})
				gates["b"].shut.Store(stall, copying)
				var copied error
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if kind == "memory" {
						_, copied = f.Get(t.Context(), "k")
						return
					}
					_, copied = f.Acquire(t.Context(), "k", corral.LeaseRequest[string]{Token: "t"})
				}()
				<-change.Done()
				_, err = f.Apply(t.Context(), oneShard(3, "a"))
				must(t, err)
				must(t, f.Set(t.Context(), "k", kept("old", maxLife)))

				deleting := make(chan struct{})
				gates["a"].shut.Store("Delete", deleting)
				go func() {
					synctest.Wait() // the Delete has been at b, and waits for a
					close(copying)
					<-ended
					close(deleting)
				}()
				must(t, f.Delete(t.Context(), "k"))
				if kind == "memory" && copied != nil {
					t.Error(copied)
				}
				for id, shard := range gates {
					if e, err := shard.Cache.Get(t.Context(), "k"); e != nil || err != nil {
						t.Errorf("after a Delete shard %s holds %+v, error %v; the copy came to %v", id, e, err, copied)
					}
				}
			})
		})
	}
}
