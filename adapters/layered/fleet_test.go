package layered_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
)

// member is a process with a Loader over its layered cache.
type member struct {
	*process
	*corral.Loader[string, int]
}

// join adds a process to the fleet. It hears when join returns.
func join(t *testing.T, s *store, opts layered.Options, loader corral.Options) member {
	t.Helper()
	p := newProcess(t, s, opts)
	l, err := corral.New(p.cache, loader)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close(context.Background())) })
	synctest.Wait()
	return member{p, l}
}

func minute() corral.Options { return corral.Options{TTL: time.Minute, StaleFor: time.Minute} }

func (m member) want(t *testing.T, load corral.LoadFunc[string, int], value int, when string) {
	t.Helper()
	v, err := m.GetOrLoad(t.Context(), "k", load)
	must(t, err)
	if v != value {
		t.Errorf("%s: %d, want %d", when, v, value)
	}
}

// What one process loads, the others read once each, and after that nobody reads
// far. A Delete anywhere is heard by all.
func TestFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int64
		load := func(context.Context, string) (int, error) { return int(loads.Add(1)), nil }
		s := newStore()
		fleet := []member{
			join(t, s, layered.Options{}, minute()), join(t, s, layered.Options{}, minute()), join(t, s, layered.Options{}, minute()),
		}
		for _, m := range fleet {
			m.far.going = func(string) error { time.Sleep(time.Millisecond); return nil }
		}
		for round := 1; round <= 3; round++ {
			for _, m := range fleet {
				m.far.reads.Store(0)
				var callers sync.WaitGroup
				for range 100 {
					callers.Go(func() { m.want(t, load, round, "among 100 callers") })
				}
				callers.Wait()
				if n := m.far.reads.Load(); n != 1 {
					t.Errorf("round %d: far was read %d times by 100 callers, want once", round, n)
				}
				time.Sleep(time.Second)
			}
			must(t, fleet[round%3].Loader.Delete(t.Context(), "k"))
			synctest.Wait()
			for _, m := range fleet {
				m.wantNone("k", "after a Delete by one of the fleet")
			}
		}
		if n := loads.Load(); n != 3 {
			t.Errorf("%d loads, want one per Delete", n)
		}
	})
}

// F2: nobody waits for a refresh, also not while far is slow to take what it
// loaded.
func TestContract_F2_StaleCopiesAreServedDuringAFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		m := join(t, s, layered.Options{}, minute())
		version := 0
		load := func(context.Context, string) (int, error) { version++; return version, nil }
		m.want(t, load, 1, "first")
		time.Sleep(time.Minute)
		m.far.going = func(string) error { time.Sleep(100 * time.Millisecond); return nil }
		start := time.Now()
		for time.Since(start) < 299*time.Millisecond { // read, acquire, fill
			before := time.Now()
			m.want(t, load, 1, "during the refresh")
			if waited := time.Since(before); waited > 0 {
				t.Fatalf("a caller waited %v for a refresh, %v after it began", waited, before.Sub(start))
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * time.Millisecond)
		m.want(t, load, 2, "after the refresh")
	})
}

// H13: a refresh reads far again, and takes what another process has loaded.
func TestRefreshTakesWhatAnotherProcessLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		one, other := join(t, s, layered.Options{}, minute()), join(t, s, layered.Options{}, minute())
		version := 0
		load := func(context.Context, string) (int, error) { version++; return version, nil }
		one.want(t, load, 1, "first")
		other.want(t, load, 1, "the other process")
		time.Sleep(time.Minute)
		one.want(t, load, 1, "stale")
		synctest.Wait()
		one.want(t, load, 2, "refreshed")
		other.want(t, load, 1, "stale")
		synctest.Wait()
		other.want(t, load, 2, "what the other process refreshed")
		if version != 2 {
			t.Errorf("%d loads, want 2", version)
		}
	})
}

// H1, through the Loader: what was missed in a gap is served for Unheard at most,
// and the Loader listens again by itself.
func TestGapOfALoader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		opts := layered.Options{Unheard: 50 * time.Millisecond} // shorter than the Loader's pause
		m, other := join(t, s, opts, minute()), join(t, s, opts, minute())
		version := 0
		load := func(context.Context, string) (int, error) { version++; return version, nil }
		m.want(t, load, 1, "first")
		time.Sleep(10 * time.Millisecond) // its flight serves until the near cache has settled
		m.far.cut <- struct{}{}
		synctest.Wait()
		m.want(t, load, 1, "from far, in the gap")
		must(t, other.Loader.Delete(t.Context(), "k"))
		time.Sleep(50*time.Millisecond - 1)
		m.want(t, load, 1, "the Delete is not heard yet")
		time.Sleep(1)
		m.want(t, load, 2, "Unheard after far was read")
		time.Sleep(time.Second) // it hears again
		m.want(t, load, 2, "after the gap")
		must(t, other.Loader.Delete(t.Context(), "k"))
		synctest.Wait()
		m.want(t, load, 3, "heard")
	})
}

// A far cache that is down: copies are served until their end, deletes fail and
// say so, and near is clean all the same.
func TestFarIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		m := join(t, s, layered.Options{}, minute())
		load := func(context.Context, string) (int, error) { return 1, nil }
		m.want(t, load, 1, "first")
		m.far.going = func(string) error { return errBoom }
		time.Sleep(time.Minute - 1)
		m.want(t, noLoad(t), 1, "from near")
		if err := m.Loader.Delete(t.Context(), "k"); err == nil {
			t.Error("Delete returned nil, and far failed")
		}
		m.wantNone("k", "after a Delete that far failed")
	})
}

// noLoad is a load that must not run.
func noLoad(t *testing.T) corral.LoadFunc[string, int] {
	return func(context.Context, string) (int, error) {
		t.Error("it loaded")
		return 1, nil
	}
}
