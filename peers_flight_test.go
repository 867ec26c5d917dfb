package corral_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded"
)

// TestPeers_ tests are bugs that other libraries of this field have or had, each
// with the change of this code that makes its test fail. Here are those of
// flights.

// P1: a panic in a load of several keys leaves every key but the first hanging.
// Here the loads of three keys wait for one query, which panics, and one load
// asks for two other keys before it panics.
//
// Red when call, in load.go, does not go on after a load that did not return.
func TestPeers_P01_APanicLeavesNoKeyHanging(t *testing.T) {
	bubble(t, "loads that share a query", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute})
		query := make(chan struct{})
		load := func(context.Context, string) (int, error) {
			<-query
			panic("the query failed")
		}
		time.AfterFunc(time.Second, func() { close(query) })
		keys := []string{"a", "b", "c"}
		crowd(30, func(i int) {
			var p *corral.PanicError
			if got := ask(t.Context(), l, keys[i%3], load); !errors.As(got.err, &p) || got.waited != time.Second {
				t.Errorf("caller of %s got %+v, want the panic after 1s", keys[i%3], got)
			}
		})
		src := &source{}
		for i, key := range keys {
			want(t, key, get(t, l, key, src.load), nil, i+1, nil)
		}
	})
	bubble(t, "loads inside a load", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute, MaxLoads: 1})
		src := &source{took: time.Second}
		_, err := l.GetOrLoad(t.Context(), "a", func(ctx context.Context, _ string) (int, error) {
			for _, key := range []string{"b", "c"} {
				go l.GetOrLoad(ctx, key, src.load)
			}
			time.Sleep(500 * time.Millisecond)
			panic("half way")
		})
		if p := (*corral.PanicError)(nil); !errors.As(err, &p) {
			t.Errorf("GetOrLoad = %v, want the panic", err)
		}
		for _, key := range []string{"a", "b", "c"} {
			get(t, l, key, src.load)
		}
		src.wantLoads(t, 3)
	})
}

// P2: a flight that landed is joined by callers who come later, and who get a
// value from before their call. A value here is the number of its load, and
// nothing is stored: once somebody has come back with a value, nobody who comes
// then may get it.
//
// Red when land, in load.go, keeps the flight mapped; for a Group, when run, in
// sharded/group.go, does and Join does not ask whether it was woken.
func TestPeers_P02_NobodyJoinsALandedFlight(t *testing.T) {
	const callers, rounds = 256, 200
	t.Run("loader", func(t *testing.T) {
		l := newLoader(t, backends[int]()[0].open(t), corral.Options{TTL: time.Minute})
		src := &source{}
		joinNoLanded(t, callers, rounds, func() (int, error) {
			return l.GetOrLoad(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
				c, _ := corral.FromContext[int](ctx)
				c.NoStore()
				return src.load(ctx, key)
			})
		})
	})
	t.Run("group", func(t *testing.T) {
		g := sharded.NewGroup[string, int](sharded.Options[string]{})
		src := &source{}
		joinNoLanded(t, callers, rounds, func() (int, error) {
			v, _, err := g.Do(t.Context(), "k", func(ctx context.Context) (int, error) { return src.load(ctx, "k") })
			return v, err
		})
	})
}

func joinNoLanded(t *testing.T, callers, rounds int, call func() (int, error)) {
	t.Helper()
	var clock atomic.Int64
	back := make([]atomic.Int64, callers*rounds+1) // when somebody first came back with the value
	crowd(callers, func(int) {
		for range rounds {
			began := clock.Add(1)
			v, err := call()
			if err != nil {
				t.Error(err)
				return
			}
			if !back[v].CompareAndSwap(0, clock.Add(1)) && began > back[v].Load() {
				t.Errorf("a call that began at %d got the value that somebody had at %d", began, back[v].Load())
				return
			}
		}
	})
}

// P3: the last waiter leaves, and the next caller's load runs beside the one
// that was left, which does not look at its context.
//
// Red when Leave, in internal/flight/flight.go, unmaps an abandoned flight.
func TestPeers_P03_NoSecondLoadBesideALeftOne(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := memLoader(t, corral.Options{TTL: time.Minute, CancelAbandoned: abandon})
			src := &source{took: time.Second}
			for range 10 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				wantAll(t, askAll(ctx, 10, l, "k", src.load), answer{0, context.DeadlineExceeded, 20 * time.Millisecond})
				cancel()
			}
			get(t, l, "k", src.load)
			if peak := src.peak.Load(); peak != 1 {
				t.Errorf("CancelAbandoned %v: %d loads of the key at once", abandon, peak)
			}
		})
	}
}

// P4: after a panic or Goexit the waiters get a zero value and no error.
//
// Red when call, in load.go, does not set err after a load that did not return;
// for a Group, when crash, in sharded/group.go, lands without an error.
func TestPeers_P04_NoZeroValueWithoutError(t *testing.T) {
	for _, e := range ends[1:] {
		bubble(t, e.name, func(t *testing.T) {
			var loads atomic.Int64
			load := failing(&loads, e.end)
			l := memLoader(t, corral.Options{TTL: time.Minute})
			for _, got := range askAll(t.Context(), 100, l, "k", load) {
				if !e.want(got.err) {
					t.Fatalf("a caller of a Loader got %+v", got)
				}
			}
			g := sharded.NewGroup[string, int](sharded.Options[string]{})
			crowd(100, func(int) {
				v, _, err := g.Do(t.Context(), "k", func(ctx context.Context) (int, error) { return load(ctx, "k") })
				if !e.want(err) {
					t.Errorf("a caller of a Group got %d, %v", v, err)
				}
			})
		})
	}
}

// P5: the key of a load that panicked is blocked, or fails, for ever.
//
// Red when Land, in internal/flight/flight.go, always keeps the flight mapped and
// Join does not ask whether it was woken.
func TestPeers_P05_TheKeyOfAPanicWorksAgain(t *testing.T) {
	for _, e := range ends[1:] {
		bubble(t, e.name, func(t *testing.T) {
			var loads atomic.Int64
			l := memLoader(t, corral.Options{TTL: time.Minute})
			g := sharded.NewGroup[string, int](sharded.Options[string]{})
			for range 3 {
				if got := ask(t.Context(), l, "k", failing(&loads, e.end)); !e.want(got.err) {
					t.Errorf("the load that ends badly: %+v", got)
				}
				_, _, _ = g.Do(t.Context(), "k", func(ctx context.Context) (int, error) { return failing(&loads, e.end)(ctx, "k") })
			}
			if n := loads.Load(); n != 6 {
				t.Errorf("%d loads, want 6", n)
			}
			src := &source{}
			want(t, "the Loader", get(t, l, "k", src.load), nil, 1, nil)
			v, _, err := g.Do(t.Context(), "k", func(ctx context.Context) (int, error) { return src.load(ctx, "k") })
			want(t, "the Group", v, err, 2, nil)
		})
	}
}

// P6: the channel of DoChan never receives if the load calls Goexit.
//
// Red when run, in sharded/group.go, calls crash for panics only.
func TestPeers_P06_DoChanReceivesAfterGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := sharded.NewGroup[string, int](sharded.Options[string]{})
		var channels []<-chan sharded.Result[int]
		for range 10 {
			channels = append(channels, g.DoChan(t.Context(), "k", func(context.Context) (int, error) {
				time.Sleep(time.Second)
				runtime.Goexit()
				return 1, nil
			}))
		}
		for i, c := range channels {
			select {
			case r := <-c:
				want(t, "DoChan", r.Value, r.Err, 0, sharded.ErrGoexit)
			case <-time.After(time.Minute):
				t.Errorf("channel %d has nothing after a minute", i)
			}
		}
	})
}

// P7: after a Forget, or a Delete, the older flight's landing removes the one
// that came after it.
//
// Red when unmapLocked, in internal/flight/flight.go, does not ask whether the
// flight is mapped.
func TestPeers_P07_ALandingRemovesNoSuccessor(t *testing.T) {
	type call func(load func(context.Context, string) (int, error)) (int, error)
	run := func(t *testing.T, get call, forget func()) {
		first, second := &source{took: 2 * time.Second}, &source{took: 2 * time.Second}
		var all sync.WaitGroup
		all.Go(func() { _, _ = get(first.load) })
		time.Sleep(time.Second)
		forget()
		all.Go(func() { _, _ = get(second.load) })
		time.Sleep(1500 * time.Millisecond) // the first one has landed, the second runs
		v, err := get(second.load)
		want(t, "the third call", v, err, 1, nil)
		all.Wait()
		second.wantLoads(t, 1)
	}
	bubble(t, "loader", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute})
		run(t, func(load func(context.Context, string) (int, error)) (int, error) {
			return l.GetOrLoad(t.Context(), "k", load)
		}, func() { _ = l.Delete(t.Context(), "k") })
	})
	bubble(t, "group", func(t *testing.T) {
		g := sharded.NewGroup[string, int](sharded.Options[string]{})
		run(t, func(load func(context.Context, string) (int, error)) (int, error) {
			v, _, err := g.Do(t.Context(), "k", func(ctx context.Context) (int, error) { return load(ctx, "k") })
			return v, err
		}, func() { g.Forget("k") })
	})
}

// P8: a caller with a context of its own gets the "canceled" of somebody else.
//
// Red when joinLocked, in internal/flight/flight.go, lets callers join a
// cancelled flight.
func TestPeers_P08_NobodyGetsAnothersCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute, CancelAbandoned: true})
		var loads atomic.Int64
		load := func(ctx context.Context, _ string) (int, error) {
			n := loads.Add(1)
			select {
			case <-time.After(time.Second):
				return int(n), nil
			case <-ctx.Done():
				time.Sleep(100 * time.Millisecond) // it takes a while to give up
				return 0, ctx.Err()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(200*time.Millisecond, cancel)
		wantAll(t, []answer{ask(ctx, l, "k", load)}, answer{0, context.Canceled, 200 * time.Millisecond})
		wantAll(t, askAll(context.Background(), 100, l, "k", load), answer{2, nil, 1100 * time.Millisecond})
	})
}

// P9: the error of one caller's context becomes the load's, is given to all and
// stored.
//
// Red when make, in internal/flight/context.go, keeps the caller's cancellation.
func TestPeers_P09_ACallersEndIsNobodyElsesResult(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, AbsentTTL: time.Minute})
		var all sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		all.Go(func() { ask(ctx, l, "k", obedient) })
		synctest.Wait()
		wantAll(t, askAll(t.Context(), 100, l, "k", obedient), answer{7, nil, time.Second})
		all.Wait()
		wantAll(t, askAll(t.Context(), 100, l, "k", obedient), answer{7, nil, 0})
	})
}

// obedient is a load of a second that ends with its context.
func obedient(ctx context.Context, _ string) (int, error) {
	select {
	case <-time.After(time.Second):
		return 7, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
