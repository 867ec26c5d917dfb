package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// I3: who looks while the topology changes, again and again, sees where keys are by one
// topology or by the next, never some of each.
func TestApply_IsSeenWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topologies := []fleet.Topology{named(1, "a", "b"), named(2, "a", "b", "c"), named(3, "b", "c"), named(4, "a", "c", "d"), named(5, "d")}
		keys := make([]string, 10)
		owners := map[uint64]map[string]string{} // by epoch and key
		for i, topology := range topologies {
			settled, err := fleet.New(t.Context(), topology, inMemory, fleet.Options[string]{})
			must(t, err)
			owners[uint64(i+1)] = map[string]string{}
			for k := range keys {
				keys[k] = fmt.Sprint("key:", k)
				owners[uint64(i+1)][keys[k]] = settled.Owner(keys[k]).ID
			}
		}
		f, err := fleet.New(t.Context(), topologies[0], inMemory, fleet.Options[string]{MaxLife: 200 * time.Millisecond})
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		seen := map[string]int{}
		var mu sync.Mutex
		for range 4 {
			all.Go(func() {
				for ctx.Err() == nil {
					for _, key := range keys {
						e, err := f.Explain(t.Context(), key)
						must(t, err)
						if e.Owner != owners[e.Epoch][key] || e.Ranking[0] != e.Owner || e.Other != "" && e.Other != owners[e.Epoch-1][key] {
							t.Errorf("%s: %+v, where epoch %d has it at %s", key, e, e.Epoch, owners[e.Epoch][key])
						}
						mu.Lock()
						seen[fmt.Sprint(e.Epoch, e.Phase)]++
						mu.Unlock()
					}
					time.Sleep(time.Millisecond) // so that some look in the very instant
				}
			})
		}
		for _, topology := range topologies[1:] {
			time.Sleep(50 * time.Millisecond)
			change, err := f.Apply(t.Context(), topology)
			must(t, err)
			<-change.Done()
		}
		time.Sleep(50 * time.Millisecond)
		stop()
		all.Wait()
		must(t, f.Close(t.Context()))
		for epoch := range topologies {
			if settled := fmt.Sprint(epoch+1, fleet.PhaseSettled); seen[settled] == 0 {
				t.Errorf("%s was not seen, but %v", settled, seen)
			}
		}
	})
}

// I10: shards are opened while calls go on, and those that left are closed when no call is
// sent to them any more.
func TestApply_HoldsNoCallUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const maxLife = time.Minute
		opening := make(chan struct{})
		var mu sync.Mutex
		var gone []string // guarded by mu
		closed := func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Sorted(slices.Values(gone))
		}
		f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if s.ID == "c" {
				<-opening
			}
			return memadapter.New[string, string](), nil
		}, fleet.Options[string]{MaxLife: maxLife, Close: func(_ context.Context, s fleet.Shard, _ any) error {
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, s.ID)
			return nil
		}})
		must(t, err)
		changed := make(chan *fleet.Change)
		go func() {
			change, err := f.Apply(t.Context(), named(2, "b", "c"))
			must(t, err)
			changed <- change
		}()
		synctest.Wait() // c is being opened
		start := time.Now()
		calls := func() {
			t.Helper()
			for n := range 50 {
				key := fmt.Sprint(n)
				must(t, f.Set(t.Context(), key, fresh(key)))
				e, err := f.Get(t.Context(), key)
				if must(t, err); e == nil {
					t.Errorf("%s is not there", key)
				}
				must(t, f.Delete(t.Context(), key))
			}
		}
		if calls(); time.Since(start) != 0 {
			t.Errorf("calls took %v while a shard was opened", time.Since(start))
		}
		close(opening)
		change := <-changed
		for range 59 {
			if calls(); len(closed()) > 0 {
				t.Fatalf("%v closed while keys may be there", closed())
			}
			time.Sleep(time.Second)
		}
		<-change.Done()
		calls()
		if synctest.Wait(); len(closed()) > 0 {
			t.Errorf("%v closed in the instant in which the last call may have been sent there", closed())
		}
		time.Sleep(2 * time.Second)
		if calls(); !slices.Equal(closed(), []string{"a"}) {
			t.Errorf("%v closed, want a", closed())
		}
		must(t, f.Close(t.Context()))
		if !slices.Equal(closed(), []string{"a", "b", "c"}) {
			t.Errorf("%v closed in the end", closed())
		}
	})
}
