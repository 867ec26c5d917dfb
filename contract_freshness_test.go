package corral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

var errSource = errors.New("the source is down")

func TestContract_F1_FreshIsServedAndNothingStarts(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Minute}
	both(t, "F1", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		time.Sleep(time.Minute - 1)
		r, err := l.Lookup(t.Context(), "k", s.load)
		want(t, "Lookup", r.Value, err, 1, nil)
		if r.Source != corral.SourceHit || r.Age != time.Minute-1 || r.TTL != 1 {
			t.Errorf("result is %+v, want a hit of age 1m-1ns with 1ns left", r)
		}
		synctest.Wait()
		s.wantLoads(t, 1)

		time.Sleep(1) // the boundary instant is stale
		r, err = l.Lookup(t.Context(), "k", s.load)
		want(t, "Lookup at the boundary", r.Value, err, 1, nil)
		if r.Source != corral.SourceStale || r.TTL != 0 {
			t.Errorf("result is %+v, want stale with nothing left", r)
		}
		synctest.Wait()
		s.wantLoads(t, 2)
	})
}

func TestContract_F2_StaleIsServedAtOnceWithOneRefresh(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleFor: time.Minute}
	both(t, "F2", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 100 * time.Millisecond}
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Second)
		start := time.Now()
		for range 5000 {
			if v := get(t, l, "k", s.load); v != 1 {
				t.Fatalf("GetOrLoad = %d, want the stale 1", v)
			}
		}
		wantTook(t, "5,000 stale hits", start, 0)
		synctest.Wait()
		s.wantLoads(t, 2)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d after the refresh, want 2", v)
		}
		s.wantLoads(t, 2)
		stats := l.Stats()
		if stats.Hits != 5001 || stats.Stale != 5000 || stats.Misses != 1 || stats.Refreshes != 1 {
			t.Errorf("stats are %+v, want 5001 hits, 5000 of them stale, 1 miss, 1 refresh", stats)
		}
	})

	both(t, "F2/the last instant of StaleFor", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Millisecond}
		get(t, l, "k", s.load)
		time.Sleep(time.Second + time.Minute - 1)
		start := time.Now()
		get(t, l, "k", s.load)
		wantTook(t, "a stale hit", start, 0)
	})

	both(t, "F2/past StaleFor callers wait", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Millisecond}
		get(t, l, "k", s.load)
		time.Sleep(time.Second + time.Minute)
		start := time.Now()
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want 2", v)
		}
		wantTook(t, "a miss", start, time.Millisecond)
	})

	both(t, "F2/callers do not wait for a refresh that takes long", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 10 * time.Second}
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Second)
		for range 5 {
			start := time.Now()
			get(t, l, "k", s.load)
			wantTook(t, "a stale hit", start, 0)
			time.Sleep(time.Second)
		}
		s.wantLoads(t, 2)
	})
}

func TestContract_F3_StaleStandsInForAFailedLoad(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleFor: time.Second, StaleIfError: time.Minute}
	prepare := func(t *testing.T, l *corral.Loader[string, int], s *source) {
		get(t, l, "k", s.load)
		time.Sleep(3 * time.Second)
		s.took = 100 * time.Millisecond
	}

	both(t, "F3/a load that fails", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		prepare(t, l, &s)
		s.fail(errSource)
		start := time.Now()
		r, err := l.Lookup(t.Context(), "k", s.load)
		want(t, "Lookup", r.Value, err, 1, nil)
		wantTook(t, "the call", start, 100*time.Millisecond)
		if r.Source != corral.SourceStale {
			t.Errorf("source is %v, want stale", r.Source)
		}
		s.wantLoads(t, 2)
	})

	both(t, "F3/a load that succeeds", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		prepare(t, l, &s)
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want 2", v)
		}
	})

	both(t, "F3/at the caller's deadline", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		prepare(t, l, &s)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		start := time.Now()
		v, err := l.GetOrLoad(ctx, "k", s.load)
		want(t, "GetOrLoad", v, err, 1, nil)
		wantTook(t, "the call", start, 60*time.Millisecond)
		time.Sleep(time.Second / 2)
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d: the load did not go on", v)
		}
	})

	both(t, "F3/not at the caller's cancellation", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		prepare(t, l, &s)
		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(60*time.Millisecond, func() { cancel(gone) })
		v, err := l.GetOrLoad(ctx, "k", s.load)
		want(t, "GetOrLoad", v, err, 0, gone)
	})

	soft := opts
	soft.SoftTimeout = 30 * time.Millisecond
	both(t, "F3/SoftTimeout", soft, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		prepare(t, l, &s)
		start := time.Now()
		v, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", v, err, 1, nil)
		wantTook(t, "the call", start, 30*time.Millisecond)
		get(t, l, "k", s.load)
		wantTook(t, "and one that comes later", start, 30*time.Millisecond)
		time.Sleep(70 * time.Millisecond)
		synctest.Wait()
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d: the load did not go on", v)
		}
		s.wantLoads(t, 2)
	})

	both(t, "F3/SoftTimeout without a stale value", soft, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 100 * time.Millisecond}
		start := time.Now()
		get(t, l, "k", s.load)
		wantTook(t, "the call", start, 100*time.Millisecond)
	})

	both(t, "F3/failures do not roll the window", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		s.fail(errSource)
		time.Sleep(time.Second)
		for time.Sleep(30 * time.Second); ; time.Sleep(time.Second) {
			v, err := l.GetOrLoad(t.Context(), "k", s.load)
			if err != nil {
				break
			}
			want(t, "GetOrLoad", v, err, 1, nil)
		}
	})

	both(t, "F3/the window ends at its nanosecond", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		s.fail(errSource)
		time.Sleep(time.Second + time.Minute - 1)
		v, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad within", v, err, 1, nil)
		time.Sleep(1)
		v, err = l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad past", v, err, 0, errSource)
	})
}

func TestContract_F4_AFailingSourceIsNotHammered(t *testing.T) {
	opts := corral.Options{
		TTL: time.Second, StaleFor: time.Hour, StaleIfError: 2 * time.Hour,
		RetryMin: 100 * time.Millisecond, RetryMax: 10 * time.Second,
	}
	// In a minute of failing, pauses of 0.1 s to 10 s that double and are up to a
	// half longer: at the least 10 loads, at the most 14.
	check := func(after time.Duration) func(t *testing.T, l *corral.Loader[string, int]) {
		return func(t *testing.T, l *corral.Loader[string, int]) {
			var s source
			get(t, l, "k", s.load)
			s.fail(errSource)
			time.Sleep(after)
			var at []time.Time
			load := func(ctx context.Context, key string) (int, error) {
				at = append(at, time.Now())
				return s.load(ctx, key)
			}
			for range 60_000 / 5 {
				if v := get(t, l, "k", load); v != 1 {
					t.Fatalf("GetOrLoad = %d, want the stale 1", v)
				}
				time.Sleep(5 * time.Millisecond)
			}
			if n := len(at); n < 9 || n > 14 {
				t.Errorf("%d loads in a minute, want 9 to 14", n)
			}
			for i := 1; i < len(at); i++ {
				pause := min(100*time.Millisecond<<(i-1), 10*time.Second)
				if got := at[i].Sub(at[i-1]); got < pause || got > min(pause*3/2, 10*time.Second)+5*time.Millisecond {
					t.Errorf("pause %d is %v, want %v to half as much again", i, got, pause)
				}
			}
			s.fail(nil)
			time.Sleep(10 * time.Second)
			get(t, l, "k", load)
			synctest.Wait()
			if v := get(t, l, "k", load); v == 1 {
				t.Error("the key is not tried again")
			}
		}
	}
	both(t, "F4/stale", opts, check(2*time.Second))
	both(t, "F4/past StaleFor", opts, check(90*time.Minute))

	both(t, "F4/no pause without a stale value", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		s.fail(errSource)
		for range 5 {
			v, err := l.GetOrLoad(t.Context(), "k", s.load)
			want(t, "GetOrLoad", v, err, 0, errSource)
		}
		s.wantLoads(t, 5)
	})
}

func TestContract_F5_EarlyExpiry(t *testing.T) {
	opts := corral.Options{TTL: 10 * time.Second, EarlyExpiry: 1}
	both(t, "F5/one refresh per TTL, ahead of time, nobody waits", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 200 * time.Millisecond}
		get(t, l, "k", s.load)
		const rounds = 50
		start := time.Now()
		for time.Since(start) < rounds*10*time.Second {
			before := time.Now()
			get(t, l, "k", s.load)
			if time.Since(before) == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		}
		n := s.loads.Load()
		if n < rounds || n > rounds*13/10 {
			t.Errorf("%d loads in %d TTLs, want about one per TTL", n, rounds)
		}
		if stats := l.Stats(); stats.Misses != 1 || stats.Refreshes != stats.Loads-1 {
			t.Errorf("stats are %+v, want 1 miss and else refreshes", stats)
		}
	})

	both(t, "F5/nothing is drawn far from the end", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Millisecond}
		get(t, l, "k", s.load)
		time.Sleep(10*time.Second - 38*time.Millisecond) // 53·ln 2·Δ is 36.7 ms
		for range 100_000 {
			get(t, l, "k", s.load)
		}
		synctest.Wait()
		s.wantLoads(t, 1)
	})

	both(t, "F5/the lead is at most half the TTL", corral.Options{TTL: 10 * time.Second, EarlyExpiry: 1000}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		get(t, l, "k", s.load)
		time.Sleep(5*time.Second - 1)
		for range 1000 {
			get(t, l, "k", s.load)
		}
		synctest.Wait()
		s.wantLoads(t, 1)
		time.Sleep(1)
		for range 1000 {
			get(t, l, "k", s.load)
		}
		synctest.Wait()
		s.wantLoads(t, 2)
	})
}

func TestContract_F6_JitterShortensEachTTL(t *testing.T) {
	opts := corral.Options{TTL: 10 * time.Second, Jitter: 0.5, StaleFor: time.Minute}
	both(t, "F6", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		var low, high int
		for i := range 1000 {
			key := fmt.Sprint(i)
			get(t, l, key, s.load)
			r, err := l.Lookup(t.Context(), key, s.load)
			if err != nil || r.TTL <= 5*time.Second || r.TTL > 10*time.Second {
				t.Fatalf("TTL is %v (%v), want over 5s to 10s", r.TTL, err)
			}
			if r.TTL < 6*time.Second {
				low++
			}
			if r.TTL > 9*time.Second {
				high++
			}
		}
		if low < 120 || low > 280 || high < 120 || high > 280 {
			t.Errorf("%d of 1,000 within the lowest fifth, %d within the highest, want about 200", low, high)
		}
	})
}
