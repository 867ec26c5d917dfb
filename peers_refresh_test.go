package corral_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// The bugs of others that have to do with refreshes and pauses.

// P14: a background refresh on the request's context dies with the request.
//
// Red when make, in internal/flight/context.go, keeps the caller's cancellation.
func TestPeers_P14_ARefreshOutlivesItsRequest(t *testing.T) {
	type user struct{}
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, StaleFor: time.Hour})
		get(t, l, "k", obedient)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), user{}, "ann"))
		wantAll(t, []answer{ask(ctx, l, "k", func(ctx context.Context, key string) (int, error) {
			if ctx.Value(user{}) != "ann" {
				t.Error("the refresh does not have the request's values")
			}
			v, err := obedient(ctx, key)
			return v + 1, err
		})}, answer{7, nil, 0})
		cancel()
		time.Sleep(2 * time.Second)
		wantAll(t, askAll(t.Context(), 10, l, "k", obedient), answer{8, nil, 0})
		if s := l.Stats(); s.Refreshes != 1 || s.RefreshErrs != 0 {
			t.Errorf("%d refreshes of which %d failed, want 1 and 0", s.Refreshes, s.RefreshErrs)
		}
	})
}

// P18: a goroutine for every stale hit.
//
// Red when Lead, in internal/flight/table.go, starts a flight though there is
// one, and Has finds none.
func TestPeers_P18_StaleHitsStartOneGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute, StaleFor: time.Hour, MaxRefreshes: 1 << 20})
		src := &source{took: time.Second}
		get(t, l, "k", src.load)
		time.Sleep(time.Minute)
		for range 5000 {
			wantAll(t, []answer{ask(t.Context(), l, "k", src.load)}, answer{1, nil, 0})
		}
		synctest.Wait()
		if n := flying(); n != 1 {
			t.Errorf("%d goroutines for 5,000 stale hits, want the refresh's", n)
		}
		time.Sleep(time.Second)
		src.wantLoads(t, 2)
	})
}

// P19: a load under a shard's lock delays the hits and loads of other keys.
//
// Red when call, in load.go, runs the load inside f.Update, which holds the lock:
// then the test hangs.
func TestPeers_P19_NoLoadUnderALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Hour, StaleFor: time.Hour, Shards: 1})
		slow, src := &source{took: 20 * time.Second}, &source{took: time.Second}
		get(t, l, "stale", src.load)
		time.Sleep(time.Hour)
		get(t, l, "warm", src.load)
		var all sync.WaitGroup
		all.Go(func() { ask(t.Context(), l, "slow", slow.load) })
		synctest.Wait()
		for key, want := range map[string]time.Duration{"warm": 0, "stale": 0, "cold": time.Second} {
			for i, got := range askAll(t.Context(), 10, l, key, src.load) {
				if got.err != nil || got.waited != want {
					t.Errorf("caller %d of %s got %+v, want a value after %v", i, key, got, want)
				}
			}
		}
		for key, flight := range l.InFlight() {
			if key == "slow" && flight.Waiters != 1 {
				t.Errorf("InFlight tells of %d waiters of the slow key", flight.Waiters)
			}
		}
		if err := l.Delete(t.Context(), "slow"); err != nil {
			t.Error(err)
		}
		all.Wait()
	})
}

// P22, the first half: jitter that has no effect.
//
// Red when jittered, in freshness.go, cuts nothing.
func TestPeers_P22_JitterHasAnEffect(t *testing.T) {
	const keys = 1000
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		l := newLoader(t, cache, corral.Options{TTL: 100 * time.Second, Jitter: 0.5})
		seconds := map[int]int{}
		for i := range keys {
			key := fmt.Sprint(i)
			get(t, l, key, (&source{}).load)
			r, err := l.Lookup(t.Context(), key, (&source{}).load)
			if err != nil || r.TTL > 100*time.Second || r.TTL < 49*time.Second {
				t.Fatalf("TTL of %v, %v; want 50 s to 100 s", r.TTL, err)
			}
			seconds[int(r.TTL/time.Second)]++
		}
		for second, n := range seconds {
			if len(seconds) < 45 || n > keys/10 {
				t.Fatalf("%d of %d keys expire in second %d, and all in %d seconds", n, keys, second, len(seconds))
			}
		}
	})
}

// P23: refreshes wait for a place in a bounded pool, and the call that asks for
// one waits with them, or for ever.
//
// Red when mayRefresh, in ride.go, waits for a place; and when held, in slots.go,
// finds no slot: a load inside the only load waits for it.
func TestPeers_P23_NobodyWaitsForAPlaceToRefresh(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, StaleFor: time.Hour, MaxRefreshes: 1, MaxLoads: 1})
		src := &source{took: time.Second}
		keys := []string{"a", "b", "c", "d"}
		for _, key := range keys {
			get(t, l, key, src.load)
		}
		time.Sleep(time.Minute)
		var inside atomic.Int64
		wantAll(t, []answer{ask(t.Context(), l, "a", func(ctx context.Context, _ string) (int, error) {
			stale := ask(ctx, l, "b", src.load) // no place for its refresh
			fresh := ask(ctx, l, "new", src.load)
			inside.Store(int64(stale.waited + fresh.waited))
			return 100, nil
		})}, answer{1, nil, 0})
		for i, key := range keys {
			wantAll(t, askAll(t.Context(), 10, l, key, src.load), answer{i + 1, nil, 0})
		}
		time.Sleep(10 * time.Second)
		wantAll(t, askAll(t.Context(), 10, l, "a", src.load), answer{100, nil, 0})
		if waited := time.Duration(inside.Load()); waited != time.Second {
			t.Errorf("the load waited %v for its parts, want the 1s of the one that was missing", waited)
		}
		if s := l.Stats(); s.Refreshes != 1 || s.Dropped == 0 {
			t.Errorf("%d refreshes, %d dropped; want 1 and some", s.Refreshes, s.Dropped)
		}
	})
}

// P25: a failing source is asked by every caller in turn.
//
// Red when waits, in retry.go, is always false; and when wait, in lookup.go, has
// a waiter start over after a load that failed.
func TestPeers_P25_NotEveryCallerTriesAFailingSource(t *testing.T) {
	for _, c := range []struct {
		name string
		opts corral.Options
		want answer
	}{
		{"no value", corral.Options{TTL: time.Minute}, answer{0, errSource, time.Second}},
		{"stale", corral.Options{TTL: time.Minute, StaleFor: time.Hour}, answer{1, nil, 0}},
		{"stale if error", corral.Options{TTL: time.Minute, StaleIfError: time.Hour}, answer{1, nil, time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
				c.opts.RetryMin, c.opts.RetryMax = time.Minute, time.Minute
				l := newLoader(t, cache, c.opts)
				get(t, l, "k", (&source{}).load)
				time.Sleep(time.Minute)
				var loads atomic.Int64
				load := failing(&loads, ends[0].end)
				wantAll(t, askAll(t.Context(), 1000, l, "k", load), c.want)
				time.Sleep(2 * time.Second) // the refresh is over
				if n := loads.Load(); n != 1 {
					t.Errorf("%d loads for 1,000 callers at once, want 1", n)
				}
				if c.want.err != nil {
					return // with no value at all each new call may load
				}
				for range 50 {
					wantAll(t, askAll(t.Context(), 20, l, "k", load), answer{1, nil, 0})
					time.Sleep(time.Second)
				}
				if n := loads.Load(); n != 1 {
					t.Errorf("%d loads in the pause after a failure, want 1", n)
				}
			})
		})
	}
}
