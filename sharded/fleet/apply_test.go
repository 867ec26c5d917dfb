package fleet_test

import (
	"context"
	"errors"
	"fmt"
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

// stage is a fleet that changes, over stores that tests look into.
type stage struct {
	t      *testing.T
	epochs *fleet.MemoryEpochs
	mu     sync.Mutex
	stores map[string]*memadapter.Shared[string, string] // guarded by mu
	calls  atomic.Int64                                  // of shards
	before atomic.Pointer[func(call, id string)]         // is told of each call
	closed []string                                      // guarded by mu
}

const (
	stageLife  = 10 * time.Minute // Options.MaxLife
	stageEpoch = 5 * time.Second  // Options.EpochLife
	stageGrace = stageEpoch + stageEpoch/10
)

func newStage(t *testing.T) *stage {
	return &stage{t: t, epochs: &fleet.MemoryEpochs{}, stores: map[string]*memadapter.Shared[string, string]{}}
}

func (s *stage) store(id string) *memadapter.Process[string, string] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stores[id] == nil {
		s.stores[id] = memadapter.NewShared[string, string](2 * time.Second)
	}
	return s.stores[id].Process()
}

func (s *stage) open(_ context.Context, shard fleet.Shard) (corral.Cache[string, string], error) {
	if shard.ID == "broken" {
		return nil, errBroken
	}
	return &watchedProcess{s.store(shard.ID), s, shard.ID}, nil
}

// process returns a fleet of its own.
func (s *stage) process(t fleet.Topology, opts fleet.Options[string]) *fleet.Fleet[string, string] {
	s.t.Helper()
	opts.MaxLife = stageLife
	opts.Close = func(_ context.Context, shard fleet.Shard, _ any) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed = append(s.closed, shard.ID)
		return nil
	}
	f, err := fleet.New(s.t.Context(), t, s.open, opts)
	must(s.t, err)
	s.t.Cleanup(func() { must(s.t, f.Close(context.Background())) })
	return f
}

func (s *stage) together() fleet.Options[string] {
	return fleet.Options[string]{Epochs: s.epochs, EpochLife: stageEpoch}
}

// where returns the shards that hold key.
func (s *stage) where(key string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, store := range s.stores {
		if e, _ := store.Process().Get(s.t.Context(), key); e != nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// during calls f before each call of a shard.
func (s *stage) during(f func(call, id string)) { s.before.Store(&f) }

// watchedProcess counts calls.
type watchedProcess struct {
	*memadapter.Process[string, string]
	stage *stage
	id    string
}

func (c *watchedProcess) call(name string) {
	c.stage.calls.Add(1)
	if f := c.stage.before.Load(); f != nil {
		(*f)(name, c.id)
	}
}

func (c *watchedProcess) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	c.call("get")
	return c.Process.Get(ctx, key)
}

func (c *watchedProcess) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	c.call("set")
	return c.Process.Set(ctx, key, e)
}

func (c *watchedProcess) Delete(ctx context.Context, key string) error {
	c.call("delete")
	return c.Process.Delete(ctx, key)
}

func (c *watchedProcess) Acquire(ctx context.Context, key string, r corral.LeaseRequest[string]) (corral.Lease[string], error) {
	c.call("acquire")
	return c.Process.Acquire(ctx, key, r)
}

func (c *watchedProcess) Fill(ctx context.Context, key, token string, e *corral.Entry[string]) error {
	c.call("fill")
	return c.Process.Fill(ctx, key, token, e)
}

func (c *watchedProcess) Release(ctx context.Context, key, token string) error {
	c.call("release")
	return c.Process.Release(ctx, key, token)
}

func (c *watchedProcess) AcquireMany(ctx context.Context, keys []string, r []corral.LeaseRequest[string]) ([]corral.Lease[string], error) {
	c.call("acquire")
	return c.Process.AcquireMany(ctx, keys, r)
}

func (c *watchedProcess) FillMany(ctx context.Context, keys, tokens []string, entries []*corral.Entry[string]) error {
	c.call("fill")
	return c.Process.FillMany(ctx, keys, tokens, entries)
}

func (c *watchedProcess) ReleaseMany(ctx context.Context, keys, tokens []string) error {
	c.call("release")
	return c.Process.ReleaseMany(ctx, keys, tokens)
}

var errBroken = errors.New("broken")

// moves returns a key that moves from one shard to another between topologies.
func moves(t *testing.T, from, to fleet.Topology, between ...string) string {
	t.Helper()
	owner := func(topology fleet.Topology, key string) string {
		r := route(t, fleet.Rendezvous(), sortedByID(topology))
		return sortedByID(topology).Shards[pick(r, hash(t, key))].ID
	}
	for i := range 10_000 {
		key := fmt.Sprint("key:", i)
		if owner(from, key) == between[0] && owner(to, key) == between[1] {
			return key
		}
	}
	t.Fatalf("no key moves from %s to %s", between[0], between[1])
	return ""
}

func sortedByID(t fleet.Topology) fleet.Topology {
	t.Shards = slices.SortedFunc(slices.Values(t.Shards), func(a, b fleet.Shard) int {
		return slices.Compare([]byte(a.ID), []byte(b.ID))
	})
	return t
}

var (
	two   = named(1, "a", "b")
	three = named(2, "a", "b", "c")
)

// What a key that moves from a to c costs in calls of shards, as long as it may still
// be at a: the first hit 4, later ones 1, a miss that loads 5.
func TestReshard_CallsOfAKeyThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		l := loader(t, f)
		defer func() { must(t, l.Close(t.Context())) }()
		key := moves(t, two, three, "a", "c")
		loads := 0
		get := func() (calls int64) {
			t.Helper()
			before := s.calls.Load()
			_, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { loads++; return "value", nil })
			must(t, err)
			synctest.Wait()
			return s.calls.Load() - before
		}
		get()
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		if n := get(); n != 4 || loads != 1 {
			t.Errorf("the first hit takes %d calls, want 4, and after it there were %d loads, want 1", n, loads)
		}
		if n := get(); n != 1 || loads != 1 {
			t.Errorf("a later hit takes %d calls, want 1, and after it there were %d loads, want 1", n, loads)
		}
		must(t, l.Delete(t.Context(), key))
		if n := get(); n != 5 || loads != 2 {
			t.Errorf("a load takes %d calls, want 5, and after it there were %d loads, want 2", n, loads)
		}
		if at := s.where(key); !slices.Equal(at, []string{"c"}) {
			t.Errorf("it is at %v, want c alone", at)
		}
	})
}

// I5, I9: each phase comes when every process is in the one before, and in each a write ends
// what a process may find that is one phase ahead or behind.
func TestReshard_PhasesBetweenProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		one, other := s.process(two, s.together()), s.process(two, s.together())
		key := moves(t, two, three, "a", "c")
		start := time.Now()
		var seen []string
		look := func() {
			_, err := other.Get(t.Context(), key)
			must(t, err)
			e, err := other.Explain(t.Context(), key)
			must(t, err)
			if now := fmt.Sprint(e.Phase, " ", e.Owner, e.Other); len(seen) == 0 || seen[len(seen)-1] != now {
				seen = append(seen, now)
				t.Logf("%v: %s", time.Since(start), now)
			}
			must(t, other.Set(t.Context(), key, fresh("value")))
			if at := s.where(key); !slices.Equal(at, []string{e.Owner}) {
				t.Errorf("in %v a value that is set is at %v, want %s alone", e.Phase, at, e.Owner)
			}
			for _, id := range []string{"a", "c"} { // as a process in another phase may have left it
				must(t, s.store(id).Set(t.Context(), key, fresh("old")))
			}
			must(t, other.Delete(t.Context(), key))
			if at := s.where(key); e.Phase != fleet.PhaseSettled && len(at) != 0 {
				t.Errorf("in %v a deleted key is at %v", e.Phase, at)
			}
			for _, id := range []string{"a", "c"} {
				must(t, s.store(id).Delete(t.Context(), key))
			}
		}
		done := make(chan *fleet.Change)
		go func() {
			c, err := one.Apply(t.Context(), three)
			must(t, err)
			if took := time.Since(start); took != 2*stageGrace {
				t.Errorf("Apply took %v, want %v", took, 2*stageGrace)
			}
			done <- c
		}()
		var change *fleet.Change
		for over := (<-chan struct{})(nil); ; {
			look()
			select {
			case change = <-done:
				over = change.Done()
				continue
			case <-over:
			default:
				time.Sleep(500 * time.Millisecond)
				continue
			}
			break
		}
		if took := time.Since(start); took < stageLife+3*stageGrace || took > stageLife+3*stageGrace+time.Second {
			t.Errorf("the change took %v, want %v", took, stageLife+3*stageGrace)
		}
		must(t, change.Err())
		time.Sleep(stageEpoch)
		look()
		if want := []string{"settled a", "prepare ac", "switch ca", "close ca", "settled c"}; !slices.Equal(seen, want) {
			t.Errorf("the phases were %q, want %q", seen, want)
		}
	})
}

// A load that began before the switch is stored, and found after it.
func TestReshard_ALoadThatSpansTheSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		l := loader(t, f)
		defer func() { must(t, l.Close(t.Context())) }()
		key := moves(t, two, three, "a", "c")
		loads := 0
		load := func(context.Context, string) (string, error) {
			loads++
			time.Sleep(10 * time.Second)
			return "value", nil
		}
		go func() {
			time.Sleep(5 * time.Second)
			_, err := f.Apply(t.Context(), three)
			must(t, err)
		}()
		for range 3 {
			_, err := l.GetOrLoad(t.Context(), key, load)
			must(t, err)
		}
		if at := s.where(key); loads != 1 || !slices.Equal(at, []string{"a", "c"}) {
			t.Errorf("%d loads, want 1; the value is at %v, want a, where it was stored, and c", loads, at)
		}
	})
}

// What is stored by the old topology after the switch has ended when nobody looks for
// it any more.
func TestReshard_WhatIsStoredLateEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		key := moves(t, two, three, "a", "c")
		lease, err := f.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "early"})
		must(t, err)
		change, err := f.Apply(t.Context(), three)
		must(t, err)
		time.Sleep(time.Second)
		e := fresh("value")
		e.Keep = stageLife
		must(t, f.Fill(t.Context(), key, lease.Token, e))
		<-change.Done()
		if at := s.where(key); len(at) != 0 {
			t.Errorf("it is at %v still", at)
		}
	})
}

// W1: a Delete that comes between the two halves of a copy ends the copy.
func TestReshard_ADeleteInTheMiddleOfACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		key := moves(t, two, three, "a", "c")
		must(t, f.Set(t.Context(), key, fresh("deleted")))
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		s.during(func(call, id string) {
			if call == "fill" && id == "c" {
				s.during(func(string, string) {})
				must(t, f.Delete(t.Context(), key))
			}
		})
		lease, err := f.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "mine"})
		if must(t, err); lease.State != corral.LeaseBusy {
			t.Errorf("the answer is %d with %v: want to be asked anew", lease.State, lease.Entry)
		}
		if at := s.where(key); len(at) != 0 {
			t.Errorf("it is at %v", at)
		}
	})
}

// W1: a Delete that began by the old topology, and was held up for longer than any
// timer while the topology changed, ends what was copied meanwhile.
func TestReshard_AWriteThatStallsIsMadeAgain(t *testing.T) {
	for name, write := range map[string]func(f *fleet.Fleet[string, string], key string) error{
		"Delete": func(f *fleet.Fleet[string, string], key string) error { return f.Delete(context.Background(), key) },
		"DeleteMany": func(f *fleet.Fleet[string, string], key string) error {
			return f.DeleteMany(context.Background(), []string{key})
		},
		"Set": func(f *fleet.Fleet[string, string], key string) error {
			return f.Set(context.Background(), key, fresh("new"))
		},
		"SetMany": func(f *fleet.Fleet[string, string], key string) error {
			return f.SetMany(context.Background(), []string{key}, []*corral.Entry[string]{fresh("new")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				faulties := map[string]*faulty{}
				var mu sync.Mutex
				f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
					mu.Lock()
					defer mu.Unlock()
					faulties[s.ID] = newFaulty()
					return stalling{faulties[s.ID]}, nil
				}, fleet.Options[string]{MaxLife: time.Hour})
				must(t, err)
				defer func() { must(t, f.Close(context.Background())) }()
				key := moves(t, two, three, "a", "c")
				must(t, f.Set(t.Context(), key, fresh("old")))
				faulties["a"].do(func(context.Context) error { time.Sleep(10 * time.Minute); return nil })
				returned := make(chan error)
				go func() { returned <- write(f, key) }()
				time.Sleep(time.Minute)
				faulties["a"].do(func(context.Context) error { return nil })
				_, err = f.Apply(t.Context(), three)
				must(t, err)
				if e, err := f.Get(t.Context(), key); err != nil || e == nil || e.Value != "old" {
					t.Fatalf("while it is written the key is %v, %v", e, err)
				}
				must(t, <-returned)
				if e, _ := f.Get(t.Context(), key); e != nil && e.Value == "old" {
					t.Error("after the write the old value is there")
				}
			})
		})
	}
}

// stalling is a faulty cache whose single writes can be held up too.
type stalling struct{ *faulty }

func (c stalling) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	_ = c.call(ctx)
	return c.faulty.Cache.Set(ctx, key, e)
}

func (c stalling) Delete(ctx context.Context, key string) error {
	_ = c.call(ctx)
	return c.faulty.Cache.Delete(ctx, key)
}

func (c *watchedProcess) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[string], error) {
	c.call("get")
	return c.Process.GetMany(ctx, keys)
}

func (c *watchedProcess) DeleteMany(ctx context.Context, keys []string) error {
	c.call("delete")
	return c.Process.DeleteMany(ctx, keys)
}

func (c *watchedProcess) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, string], string, error) {
	c.call("scan")
	return c.Process.ScanPage(ctx, cursor, count, keysOnly)
}
