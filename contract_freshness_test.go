package corral_test

import (
	"context"
	"errors"
	"fmt"
	"math"
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

func TestContract_F7_Absence(t *testing.T) {
	missing := fmt.Errorf("user 7: %w", corral.ErrNotFound)
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Hour, StaleIfError: time.Hour, AbsentTTL: 10 * time.Second, EarlyExpiry: 1}

	both(t, "F7/stored for AbsentTTL", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		s.fail(missing)
		_, err := l.GetOrLoad(t.Context(), "k", s.load)
		if err != missing {
			t.Errorf("err = %v, want the load's own", err)
		}
		time.Sleep(10*time.Second - 1)
		v, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", v, err, 0, corral.ErrNotFound)
		s.wantLoads(t, 1)
		time.Sleep(1)
		s.fail(nil)
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want 2", v)
		}
		if stats := l.Stats(); stats.Absent != 1 || stats.Hits != 1 || stats.LoadErrors != 0 {
			t.Errorf("stats are %+v, want 1 absent, 1 hit, no error", stats)
		}
	})

	both(t, "F7/Set replaces it", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		s.fail(missing)
		l.GetOrLoad(t.Context(), "k", s.load)
		if err := l.Set(t.Context(), "k", 7); err != nil {
			t.Fatal(err)
		}
		if v := get(t, l, "k", s.load); v != 7 {
			t.Errorf("GetOrLoad = %d, want 7", v)
		}
	})

	none := opts
	none.AbsentTTL = 0
	for name, opts := range map[string]corral.Options{"stored": opts, "not stored": none} {
		both(t, "F7/an entry is gone once its refresh says absent/"+name, opts, func(t *testing.T, l *corral.Loader[string, int]) {
			var s source
			get(t, l, "k", s.load)
			s.fail(missing)
			time.Sleep(2 * time.Minute)
			get(t, l, "k", s.load) // stale
			synctest.Wait()
			v, err := l.GetOrLoad(t.Context(), "k", s.load)
			want(t, "GetOrLoad", v, err, 0, corral.ErrNotFound)
		})
	}

	both(t, "F7/AbsentTTL zero stores nothing", none, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		s.fail(missing)
		l.GetOrLoad(t.Context(), "k", s.load)
		l.GetOrLoad(t.Context(), "k", s.load)
		s.wantLoads(t, 2)
	})
}

func TestContract_F8_ErrorsAreReturnedAsTheyAreAndNotStored(t *testing.T) {
	both(t, "F8", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		s.fail(errSource)
		errs := make(chan error, 10)
		for range 10 {
			go func() {
				_, err := l.GetOrLoad(t.Context(), "k", s.load)
				errs <- err
			}()
		}
		for range 10 {
			if err := <-errs; err != errSource {
				t.Errorf("err = %v, want the load's own", err)
			}
		}
		s.wantLoads(t, 1)
		s.fail(nil)
		get(t, l, "k", s.load)
		s.wantLoads(t, 2)
	})
}

func TestContract_F9_TheLoadDecides(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Hour, AbsentTTL: time.Second}
	control := func(t *testing.T, ctx context.Context) *corral.Control[int] {
		c, ok := corral.FromContext[int](ctx)
		if !ok {
			t.Error("no control in the load's context")
			return &corral.Control[int]{}
		}
		return c
	}
	both(t, "F9/SetTTL", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		r, err := l.Lookup(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
			control(t, ctx).SetTTL(1500 * time.Microsecond)
			return 1, nil
		})
		if err != nil || r.TTL != 1500*time.Microsecond || !r.Stored {
			t.Errorf("result is %+v, %v; want a TTL of 1.5ms", r, err)
		}
	})
	both(t, "F9/SetTTL of an absent one", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		l.GetOrLoad(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
			control(t, ctx).SetTTL(time.Hour)
			return 0, corral.ErrNotFound
		})
		time.Sleep(time.Hour - 1)
		v, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", v, err, 0, corral.ErrNotFound)
		s.wantLoads(t, 0)
	})
	both(t, "F9/NoStore", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		r, err := l.Lookup(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
			control(t, ctx).NoStore()
			return 9, nil
		})
		if err != nil || r.Value != 9 || r.Stored {
			t.Errorf("result is %+v, %v; want 9, not stored", r, err)
		}
		get(t, l, "k", s.load)
		s.wantLoads(t, 1)
	})
	both(t, "F9/Previous and ErrNotModified", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Minute)
		get(t, l, "k", func(ctx context.Context, key string) (int, error) {
			if v, ok := control(t, ctx).Previous(); v != 1 || !ok {
				t.Errorf("Previous = %d, %v; want 1", v, ok)
			}
			return 0, fmt.Errorf("304: %w", corral.ErrNotModified)
		})
		synctest.Wait()
		r, err := l.Lookup(t.Context(), "k", s.load)
		if err != nil || r.Value != 1 || r.Source != corral.SourceHit || r.TTL != time.Minute {
			t.Errorf("result is %+v, %v; want 1, fresh for a minute", r, err)
		}
	})
	both(t, "F9/ErrNotModified without a previous value is an error", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		v, err := l.GetOrLoad(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
			if _, ok := control(t, ctx).Previous(); ok {
				t.Error("there is a previous value")
			}
			return 0, corral.ErrNotModified
		})
		want(t, "GetOrLoad", v, err, 0, corral.ErrNotModified)
	})
	both(t, "F9/FromContextKey", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		get(t, l, "outer", func(ctx context.Context, key string) (int, error) {
			get(t, l, "inner", func(ctx context.Context, key string) (int, error) { return 1, nil })
			return l.GetOrLoad(ctx, "other", func(ctx context.Context, key string) (int, error) {
				if _, ok := corral.FromContextKey[string, int](ctx, "nobody"); ok {
					t.Error("a control of a key that nobody loads")
				}
				c, ok := corral.FromContextKey[string, int](ctx, "outer")
				if !ok {
					t.Error("no control of the outer key")
					return 0, nil
				}
				c.SetTTL(time.Second)
				return 1, nil
			})
		})
		r, _ := l.Lookup(t.Context(), "outer", (&source{}).load)
		if r.TTL != time.Second {
			t.Errorf("TTL of the outer key is %v, want 1s", r.TTL)
		}
	})
}

func TestContract_F10_DurationsAreExact(t *testing.T) {
	for _, ttl := range []time.Duration{1, 1500, 500 * time.Millisecond, time.Second + 1, math.MaxInt64} {
		both(t, "F10/"+ttl.String(), corral.Options{TTL: ttl, StaleFor: math.MaxInt64, StaleIfError: math.MaxInt64}, func(t *testing.T, l *corral.Loader[string, int]) {
			var s source
			get(t, l, "k", s.load)
			r, err := l.Lookup(t.Context(), "k", s.load)
			if err != nil || r.TTL != ttl {
				t.Errorf("TTL is %v, %v; want %v", r.TTL, err, ttl)
			}
			time.Sleep(min(ttl, 200*365*24*time.Hour))
			r, err = l.Lookup(t.Context(), "k", s.load)
			want(t, "Lookup", r.Value, err, 1, nil)
			if stale := r.Source == corral.SourceStale; stale != (ttl < math.MaxInt64) {
				t.Errorf("source is %v after %v", r.Source, ttl)
			}
		})
	}
}
