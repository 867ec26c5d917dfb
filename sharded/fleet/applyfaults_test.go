package fleet_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

func TestApplyRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		for _, c := range []struct {
			name  string
			to    fleet.Topology
			field string
			value any
		}{
			{"no shards", fleet.Topology{Epoch: 2}, "Topology.Shards", "0 shards"},
			{"the epoch in force", named(1, "a", "c"), "Topology.Epoch", 1},
			{"an older epoch", named(0, "a", "c"), "Topology.Epoch", 0},
			{"another server with a shard's ID", fleet.Topology{Epoch: 2, Shards: []fleet.Shard{{ID: "a", Addr: "elsewhere:6379"}}}, "Topology.Shards[0].Addr", `"elsewhere:6379"`},
		} {
			_, err := f.Apply(t.Context(), c.to)
			wantOption(t, err, c.field, c.value)
		}
		var failed *fleet.ShardErrors
		if _, err := f.Apply(t.Context(), named(2, "a", "b", "c", "broken")); !errors.As(err, &failed) || failed.Errors["broken"] != errBroken {
			t.Errorf("the error is %v, want that of the shard that could not be opened", err)
		}
		if now, before := f.Topology(); now.Digest() != two.Digest() || before != nil {
			t.Errorf("in force is %v, before it %v; want the old topology", now, before)
		}
		s.mu.Lock()
		if !slices.Equal(s.closed, []string{"c"}) {
			t.Errorf("%v were closed, want c, which was opened in vain", s.closed)
		}
		s.mu.Unlock()
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		_, err = f.Apply(t.Context(), named(3, "a"))
		wantIs(t, err, fleet.ErrChanging)
		if again, err := f.Apply(t.Context(), three); err != nil || again == nil {
			t.Errorf("Apply of what is changed to is %v, %v", again, err)
		}
	})
	f, _ := open(t, two, fleet.Options[string]{}, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
	_, err := f.Apply(t.Context(), three)
	wantOption(t, err, "Options.MaxLife", time.Duration(0))
}

// A shard that does not go together with the others, or can what a Loader was never
// told, is no shard of the fleet.
func TestApplyRefusesOtherKindsOfShards(t *testing.T) {
	f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		switch s.ID {
		case "plain":
			return memadapter.Plain[string, string](), nil
		case "far":
			return remote{newFaulty()}, nil
		}
		return memadapter.New[string, string](), nil
	}, fleet.Options[string]{MaxLife: time.Minute})
	must(t, err)
	defer func() { must(t, f.Close(context.Background())) }()
	var lacks *fleet.AbilityError
	if _, err := f.Apply(t.Context(), named(2, "a", "b", "plain")); !errors.As(err, &lacks) {
		t.Errorf("the error is %v, want an AbilityError", err)
	}
	_, err = f.Apply(t.Context(), named(2, "a", "b", "far"))
	wantOption(t, err, "New: open", `a cache for shard "far" that is a corral.Far`)
}

// After the window the shards that are left are closed, and the next change may come.
func TestAChangeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(three, fleet.Options[string]{})
		change, err := f.Apply(t.Context(), named(3, "a", "b"))
		must(t, err)
		if now, before := f.Topology(); now.Epoch != 3 || before == nil || before.Epoch != 2 {
			t.Errorf("in force is %v, before it %v", now, before)
		}
		if p := change.Plan(); !slices.Equal(p.Removed, []string{"c"}) || p.Added != nil || p.Share < .33 || p.Share > .34 {
			t.Errorf("the plan is %+v", p)
		}
		start := time.Now()
		<-change.Done()
		if took := time.Since(start); took != stageLife {
			t.Errorf("it ended after %v, want %v", took, stageLife)
		}
		must(t, change.Err())
		if _, before := f.Topology(); before != nil {
			t.Errorf("after it there is an earlier topology still: %v", before)
		}
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		if !slices.Equal(s.closed, []string{"c"}) {
			t.Errorf("%v are closed, want c", s.closed)
		}
		s.mu.Unlock()
		_, err = f.Apply(t.Context(), named(4, "a"))
		must(t, err)
	})
}

// Aborted, a change costs loads of what moved, and nothing that was deleted or set
// since comes back, neither then nor when the change is made again.
func TestAChangeIsAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		one, other := s.process(two, s.together()), s.process(two, s.together())
		key := moves(t, two, three, "a", "c")
		must(t, one.Set(t.Context(), key, fresh("before")))
		change, err := one.Apply(t.Context(), three)
		must(t, err)
		must(t, other.Set(t.Context(), key, fresh("since")))
		start := time.Now()
		must(t, change.Abort(t.Context()))
		for _, f := range []*fleet.Fleet[string, string]{one, other} {
			if e, err := f.Get(t.Context(), key); err != nil || e != nil {
				t.Errorf("the key is %v, %v, want a miss: it was set elsewhere", e, err)
			}
		}
		must(t, other.Delete(t.Context(), key))
		if at := s.where(key); len(at) != 0 {
			t.Errorf("after a Delete it is at %v", at)
		}
		_, err = other.Apply(t.Context(), named(3, "a", "b", "c"))
		wantIs(t, err, fleet.ErrChanging)
		<-change.Done()
		wantIs(t, change.Err(), fleet.ErrAborted)
		if took := time.Since(start); took < stageLife {
			t.Errorf("it ended after %v: what was stored by the new topology may be there for %v", took, stageLife)
		}
		if err := change.Abort(t.Context()); !errors.Is(err, fleet.ErrTooLate) {
			t.Error("a change is aborted after its end")
		}
		_, err = other.Apply(t.Context(), named(3, "a", "b", "c"))
		must(t, err)
	})
}

// A process that began a change and ended is no reason for the others to wait: one
// that asks for the same goes on with it, and if none does, it is given up.
func TestAChangeOfAProcessThatEnded(t *testing.T) {
	for _, goesOn := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			var broken atomic.Bool
			opts := s.together()
			opts.Epochs = cut{s.epochs, &broken}
			one, other := s.process(two, opts), s.process(two, s.together())
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error)
			go func() {
				_, err := one.Apply(ctx, three)
				failed <- err
			}()
			time.Sleep(time.Second)
			broken.Store(true) // it says nothing any more
			must(t, one.Close(t.Context()))
			wantIs(t, <-failed, fleet.ErrClosed)
			if goesOn {
				_, err := other.Apply(t.Context(), three)
				must(t, err)
				if now, _ := other.Topology(); now.Epoch != 2 {
					t.Errorf("epoch %d is in force", now.Epoch)
				}
				return
			}
			_, err := other.Apply(t.Context(), named(3, "a"))
			wantIs(t, err, fleet.ErrChanging)
			time.Sleep(4 * stageGrace)
			_, err = other.Apply(t.Context(), named(3, "a"))
			must(t, err)
		})
	}
}

// A caller who gives up while a change is prepared leaves everything as it was.
func TestApplyIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, s.together())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.Apply(ctx, three)
		wantIs(t, err, context.DeadlineExceeded)
		p, _ := s.epochs.Load(t.Context())
		if p.Phase != fleet.PhaseSettled || p.Topology.Digest() != two.Digest() || p.Previous != nil {
			t.Errorf("what is published is %+v", p)
		}
		_, err = f.Apply(t.Context(), three)
		must(t, err)
	})
}

// A process that cannot reach the Epochs stops using the shards before the others may
// be two phases ahead, and goes on when it can again.
func TestEpochsThatCannotBeReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		var broken atomic.Bool
		var told atomic.Int64
		opts := s.together()
		opts.Epochs = cut{s.epochs, &broken}
		opts.Hooks.ChangeError = func(_ context.Context, shard fleet.Shard, err error) {
			if told.Add(1); shard.ID != "" || !errors.Is(err, errCut) {
				t.Errorf("told of %v: %v", shard, err)
			}
		}
		f := s.process(two, opts)
		l := loader(t, f)
		defer func() { must(t, l.Close(t.Context())) }()
		must(t, f.Set(t.Context(), "key", fresh("value")))
		broken.Store(true)
		time.Sleep(stageEpoch - time.Millisecond)
		must(t, f.Set(t.Context(), "key", fresh("value")))
		time.Sleep(time.Millisecond)
		_, err := f.Get(t.Context(), "key")
		wantIs(t, err, fleet.ErrEpochUnknown)
		wantIs(t, f.Set(t.Context(), "key", fresh("value")), fleet.ErrEpochUnknown)
		wantIs(t, f.Delete(t.Context(), "key"), fleet.ErrEpochUnknown)
		wantIs(t, f.DeleteMany(t.Context(), []string{"key", "other"}), fleet.ErrEpochUnknown)
		_, err = f.Acquire(t.Context(), "key", corral.LeaseRequest[string]{Token: "mine"})
		wantIs(t, err, fleet.ErrEpochUnknown)
		if v, err := l.GetOrLoad(t.Context(), "another", func(context.Context, string) (string, error) { return "loaded", nil }); v != "loaded" || err != nil {
			t.Errorf("a Loader returns %q, %v", v, err)
		}
		if at := s.where("another"); len(at) != 0 {
			t.Errorf("what it loaded is stored at %v", at)
		}
		_, err = f.Apply(t.Context(), three)
		wantIs(t, err, errCut)
		broken.Store(false)
		time.Sleep(stageEpoch)
		if e, err := f.Get(t.Context(), "key"); err != nil || e == nil {
			t.Errorf("then the key is %v, %v", e, err)
		}
		if told.Load() == 0 {
			t.Error("nobody was told")
		}
	})
}

// To a process that starts, what is published counts.
func TestAProcessStartsWithWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		_, err := s.process(two, s.together()).Apply(t.Context(), three)
		must(t, err)
		for _, late := range []fleet.Topology{two, three, named(9, "x")} {
			f := s.process(late, s.together())
			if now, before := f.Topology(); now.Digest() != three.Digest() || before == nil {
				t.Errorf("a process that starts with epoch %d goes by %v", late.Epoch, now)
			}
		}
		opts := s.together()
		_, err = fleet.New(t.Context(), named(2, "a"), s.open, opts)
		wantOption(t, err, "Topology", "of epoch 2, another one than is published")
		_, err = s.epochs.Publish(t.Context(), 3, fleet.Published{Revision: 4, Phase: 9, Topology: three})
		must(t, err)
		if _, err = fleet.New(t.Context(), two, s.open, opts); err == nil {
			t.Error("a phase that there is not is gone by")
		}
	})
}

// Shards that come are listened to, and shards that go no longer.
func TestListenThroughAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		heard := make(chan string, 100)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() {
			over <- f.Listen(ctx, func(keys ...string) {
				for _, key := range keys {
					heard <- key
				}
			})
		}()
		synctest.Wait()
		change, err := f.Apply(t.Context(), named(2, "b", "c"))
		must(t, err)
		synctest.Wait()
		for _, id := range []string{"a", "b", "c"} {
			must(t, s.store(id).Set(t.Context(), "at "+id, fresh("value")))
			if key := <-heard; key != "at "+id {
				t.Errorf("heard of %s, want what was written at %s", key, id)
			}
		}
		<-change.Done()
		synctest.Wait()
		must(t, s.store("a").Set(t.Context(), "at a", fresh("value")))
		must(t, s.store("c").Set(t.Context(), "at c", fresh("value")))
		if key := <-heard; key != "at c" {
			t.Errorf("heard of %s, which is of a shard that is gone", key)
		}
		cancel()
		wantIs(t, <-over, context.Canceled)
	})
}

// A pinned key of a shard that goes is looked for there, and pinned anew when the
// change is over.
func TestPinsThroughAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		pins, err := fleet.NewMemoryPins[string](0)
		must(t, err)
		f := s.process(three, fleet.Options[string]{Pins: pins})
		_, _, err = pins.GetOrPin(t.Context(), "key", "c")
		must(t, err)
		must(t, f.Set(t.Context(), "key", fresh("value")))
		change, err := f.Apply(t.Context(), named(3, "a", "b"))
		must(t, err)
		lease, err := f.Acquire(t.Context(), "key", corral.LeaseRequest[string]{Token: "mine"})
		if must(t, err); lease.State != corral.LeaseChanged || lease.Entry.Value != "value" {
			t.Errorf("the key that was pinned is %+v", lease)
		}
		if pin, _, _ := pins.Get(t.Context(), "key"); pin != "c" {
			t.Errorf("while the topology changes it is pinned to %q", pin)
		}
		<-change.Done()
		if e, err := f.Get(t.Context(), "key"); err != nil || e != nil && e.Value != "value" {
			t.Errorf("after the change the key is %v, %v", e, err)
		}
		if pin, _, _ := pins.Get(t.Context(), "key"); pin == "c" || pin == "" {
			t.Errorf("after the change it is pinned to %q", pin)
		}
	})
}

// A shard that is dead when it is replaced costs loads, and nothing else.
func TestTheOldShardIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		var told atomic.Int64
		f, err := fleet.New(t.Context(), two, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			cache := newFaulty()
			if s.ID == "a" {
				cache.do(func(context.Context) error {
					if dead.Load() {
						return errBroken
					}
					return nil
				})
			}
			return remote{cache}, nil
		}, fleet.Options[string]{MaxLife: time.Hour, Hooks: fleet.Hooks{
			ChangeError: func(context.Context, fleet.Shard, error) { told.Add(1) },
		}})
		must(t, err)
		defer func() { must(t, f.Close(context.Background())) }()
		l := loader(t, f)
		defer func() { must(t, l.Close(t.Context())) }()
		dead.Store(true)
		_, err = f.Apply(t.Context(), named(2, "b", "c"))
		must(t, err)
		key := moves(t, two, named(2, "b", "c"), "a", "c")
		loads := 0
		for range 3 {
			v, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { loads++; return "value", nil })
			if err != nil || v != "value" {
				t.Errorf("%q, %v", v, err)
			}
			synctest.Wait()
		}
		if loads != 1 || told.Load() == 0 {
			t.Errorf("%d loads, want 1; told %d times of the shard", loads, told.Load())
		}
	})
}
