package corral_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// The clauses on flights, writes and the cache, for the keys of a batch.

func TestContract_C3_Bulk_ACallerWaitsOnItsOwnContext(t *testing.T) {
	type name struct{}
	opts := corral.Options{TTL: time.Minute}
	overBulk(t, "C3/the caller leaves with what is there", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		gone := errors.New("the client went away")
		l.Set(t.Context(), "hit", 7)
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), name{}, "alice"))
		time.AfterFunc(500*time.Millisecond, func() { cancel(gone) })
		quick := &source{took: 100 * time.Millisecond}
		go l.GetOrLoad(t.Context(), "z", quick.load) // landed when the caller leaves, though joined last
		synctest.Wait()
		s := &bulkSource{took: time.Second}
		start := time.Now()
		got, err := l.GetOrLoadMany(ctx, []string{"hit", "a", "b", "z"}, func(ctx context.Context, keys []string) (map[string]int, error) {
			if d, ok := ctx.Deadline(); ctx.Value(name{}) != "alice" || !ok || time.Until(d) != 30*time.Second {
				t.Error("the load has not the caller's values, or not LoadTimeout")
			}
			values, _ := s.load(ctx, keys)
			return values, context.Cause(ctx)
		})
		failed := wantFailed(t, err, "a", "b")
		if failed["a"] != gone || !errors.Is(err, gone) {
			t.Errorf("err = %v, want the cause", err)
		}
		wantMany(t, got, nil, map[string]int{"hit": 7, "z": 1})
		wantTook(t, "it", start, 500*time.Millisecond)
		got, err = l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load) // it goes on, and is stored
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		wantTook(t, "the load", start, time.Second)
		s.wantCalls(t, []string{"a", "b"})
	})

	abandon := corral.Options{TTL: time.Minute, CancelAbandoned: true}
	overBulk(t, "C3/a load is cancelled when the last caller of its last key left", abandon, func(t *testing.T, l *corral.Loader[string, int]) {
		start := time.Now()
		var ended atomic.Int64
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			l.GetOrLoadMany(ctx, []string{"a", "b"}, func(ctx context.Context, _ []string) (map[string]int, error) {
				<-ctx.Done()
				ended.Store(int64(time.Since(start)))
				time.Sleep(time.Second)
				return nil, ctx.Err()
			})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := l.GetOrLoad(ctx, "b", (&source{}).load)
		want(t, "GetOrLoad", 0, err, 0, context.DeadlineExceeded)
		v, err := l.GetOrLoad(t.Context(), "a", (&source{}).load) // queues until the load has ended
		want(t, "GetOrLoad", v, err, 1, nil)
		const pause = 480 * time.Millisecond // if it asks for a lease before the cancelled load's was given up
		if d := time.Since(start); d < 1300*time.Millisecond || d > 1300*time.Millisecond+pause {
			t.Errorf("all took %v, want 1.3s", d)
		}
		if d := time.Duration(ended.Load()); d != 300*time.Millisecond {
			t.Errorf("the load was cancelled after %v, want 300ms", d)
		}
	})
	overBulk(t, "C3/a batch queues behind a cancelled load", abandon, func(t *testing.T, l *corral.Loader[string, int]) {
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		l.GetOrLoad(ctx, "b", (&source{took: time.Second}).load)
		s := &bulkSource{took: time.Second}
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1})
		polls := time.Duration(l.Stats().LeaseWaits) * 15 * time.Millisecond // if it asks for the lease before the cancelled load's was given up
		if took := time.Since(start); took < 2*time.Second || took > 2*time.Second+polls {
			t.Errorf("all took %v, want 2s and at most %v for a lease", took, polls)
		}
		s.wantCalls(t, []string{"a", "c"}, []string{"b"})
	})
}

func TestContract_C_Bulk_LoadTimeoutAndSoftTimeout(t *testing.T) {
	overBulk(t, "C1/past LoadTimeout", corral.Options{TTL: time.Minute, LoadTimeout: time.Second, MaxLoads: 1, MaxBatch: 2},
		func(t *testing.T, l *corral.Loader[string, int]) {
			s := &bulkSource{took: 10 * time.Second}
			start := time.Now()
			_, err := l.GetOrLoadMany(t.Context(), letters(4), s.load)
			for _, err := range wantFailed(t, err, "a", "b", "c", "d") {
				if !errors.Is(err, corral.ErrLoadTimeout) {
					t.Errorf("err = %v", err)
				}
			}
			wantTook(t, "two parts in one slot", start, 2*time.Second)
			if n := l.Stats().Stuck; n != 2 {
				t.Errorf("Stuck is %d, want 2", n)
			}
			got, err := l.GetOrLoadMany(t.Context(), []string{"a"}, (&bulkSource{}).load)
			wantMany(t, got, err, map[string]int{"a": 1})
			time.Sleep(20 * time.Second)
			got, err = l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(context.Context, []string) (map[string]int, error) {
				return map[string]int{"b": 9}, nil
			})
			wantMany(t, got, err, map[string]int{"a": 1, "b": 9}) // nothing of the late results
			if n := l.Stats().Stuck; n != 0 {
				t.Errorf("Stuck is %d, want 0", n)
			}
		})
	overBulk(t, "F3/the stale value stands in", corral.Options{TTL: time.Second, StaleIfError: time.Hour, SoftTimeout: 2 * time.Second},
		func(t *testing.T, l *corral.Loader[string, int]) {
			s := &bulkSource{}
			l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			time.Sleep(time.Minute)
			s.change(10*time.Second, nil)
			start := time.Now()
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
			wantTook(t, "SoftTimeout", start, 2*time.Second)
			time.Sleep(20 * time.Second)
			s.change(time.Minute, map[string]error{"b": errSource})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start = time.Now()
			got, err = l.GetOrLoadMany(ctx, []string{"a", "b", "new"}, s.load)
			failed := wantFailed(t, err, "new")
			if !errors.Is(failed["new"], context.DeadlineExceeded) {
				t.Errorf("err = %v", err)
			}
			wantMany(t, got, nil, map[string]int{"a": 2, "b": 2})
			wantTook(t, "its own deadline", start, time.Second)
		})
	overBulk(t, "F3/when its load fails", corral.Options{TTL: time.Second, StaleIfError: time.Hour, RetryMin: time.Minute, RetryMax: time.Minute},
		func(t *testing.T, l *corral.Loader[string, int]) {
			s := &bulkSource{}
			l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			time.Sleep(time.Minute)
			s.change(0, map[string]error{"b": errSource})
			for range 3 { // F4: the failed one is left alone for a while
				got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
				wantMany(t, got, err, map[string]int{"a": 2, "b": 1})
			}
			s.wantCalls(t, []string{"a", "b"}, []string{"a", "b"})
		})
}

func TestContract_C7_Bulk_Recursion(t *testing.T) {
	overBulk(t, "C7/itself", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		inner := make(chan error, 3)
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(ctx context.Context, _ []string) (map[string]int, error) {
			_, err := l.GetOrLoad(ctx, "b", (&source{}).load)
			inner <- err
			_, err = l.Refresh(ctx, "a", (&source{}).load)
			inner <- err
			got, err := l.GetOrLoadMany(ctx, []string{"a", "c"}, (&bulkSource{}).load)
			inner <- err
			return map[string]int{"a": got["c"], "b": 2}, nil
		})
		for range 3 {
			if err := <-inner; !errors.Is(err, corral.ErrRecursiveLoad) {
				t.Errorf("inside: %v, want ErrRecursiveLoad", err)
			}
		}
		wantMany(t, got, err, map[string]int{"a": 1, "b": 2})
	})
	overBulk(t, "C7/two batches started independently", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		other := map[string]string{"a": "c", "c": "a"}
		load := func(ctx context.Context, keys []string) (map[string]int, error) {
			time.Sleep(time.Second)
			for _, key := range keys {
				if o := other[key]; o != "" {
					if _, err := l.GetOrLoadMany(ctx, []string{o}, (&bulkSource{}).load); err != nil {
						return nil, err
					}
				}
			}
			return nil, nil
		}
		errs := make(chan error, 2)
		for _, keys := range [][]string{{"a", "b"}, {"c", "d"}} {
			go func() {
				_, err := l.GetOrLoadMany(t.Context(), keys, load)
				errs <- err
			}()
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, corral.ErrRecursiveLoad) {
				t.Errorf("err = %v, want ErrRecursiveLoad", err)
			}
		}
	})
	overBulk(t, "C7/another part of the same batch is no circle", corral.Options{TTL: time.Minute, MaxBatch: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(ctx context.Context, keys []string) (map[string]int, error) {
			if keys[0] == "a" {
				v, err := l.GetOrLoad(ctx, "b", (&source{}).load)
				return map[string]int{"a": v + 1}, err
			}
			time.Sleep(time.Second)
			return map[string]int{"b": 1}, nil
		})
		wantMany(t, got, err, map[string]int{"a": 2, "b": 1})
	})
	overBulk(t, "MaxLoads/a load made inside uses its place", corral.Options{TTL: time.Minute, MaxLoads: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		inner := &bulkSource{took: time.Second}
		start := time.Now()
		go func() {
			time.Sleep(time.Millisecond)
			l.GetOrLoadMany(t.Context(), []string{"x", "y"}, inner.load) // queues, until the load inside waits for it
		}()
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(ctx context.Context, _ []string) (map[string]int, error) {
			time.Sleep(time.Second)
			got, err := l.GetOrLoadMany(ctx, []string{"x", "z"}, inner.load)
			return map[string]int{"a": got["x"], "b": got["z"]}, err
		})
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		wantTook(t, "it", start, 2*time.Second)
	})
}

func TestContract_F_Bulk_Freshness(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Hour, StaleIfError: 2 * time.Hour}
	overBulk(t, "F2/stale keys are served and refreshed together", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{}
		l.GetOrLoadMany(t.Context(), letters(3), s.load)
		time.Sleep(time.Minute) // the boundary instant is stale
		s.change(time.Second, nil)
		start := time.Now()
		l.Set(t.Context(), "fresh", 7)
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c", "fresh"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1, "fresh": 7})
		wantTook(t, "it", start, 0)
		synctest.Wait()
		for range 10 { // one refresh
			l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			l.GetOrLoad(t.Context(), "c", s.one)
		}
		time.Sleep(2 * time.Second)
		got, err = l.GetOrLoadMany(t.Context(), letters(3), s.load)
		wantMany(t, got, err, map[string]int{"a": 2, "b": 2, "c": 2})
		s.wantCalls(t, letters(3), letters(3))
		if stats := l.Stats(); stats.Refreshes != 1 || stats.Stale < 3 || stats.Loads != 2 {
			t.Errorf("%+v", stats)
		}
	})
	dropping := opts
	dropping.MaxRefreshes, dropping.MaxBatch = 1, 2
	overBulk(t, "F2/MaxRefreshes counts bulk loads", dropping, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{}
		l.GetOrLoadMany(t.Context(), letters(5), s.load)
		time.Sleep(2 * time.Minute)
		s.change(time.Second, nil)
		got, _ := l.GetOrLoadMany(t.Context(), letters(5), s.load)
		synctest.Wait()
		if stats := l.Stats(); len(got) != 5 || len(s.asked()) != 4 || len(s.asked()[3]) != 2 || stats.Dropped != 3 {
			t.Errorf("%d values, refreshes of %v, %d dropped, want 5, after three loads one of 2 keys, 3", len(got), s.asked(), stats.Dropped)
		}
		time.Sleep(2 * time.Second)
		l.GetOrLoadMany(t.Context(), letters(5), s.load) // the place is free again
		synctest.Wait()
		if len(s.asked()) != 5 {
			t.Errorf("loads of %v, want two refreshes", s.asked())
		}
	})
	overBulk(t, "F5/early expiry draws per key", corral.Options{TTL: time.Hour, EarlyExpiry: 1e9}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		l.GetOrLoadMany(t.Context(), letters(3), s.load)
		time.Sleep(40 * time.Minute)
		got, err := l.GetOrLoadMany(t.Context(), letters(3), s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1})
		time.Sleep(2 * time.Second)
		s.wantCalls(t, letters(3), letters(3))
	})
	overBulk(t, "F9/each key has a control", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		load := func(ctx context.Context, keys []string) (map[string]int, error) {
			if _, ok := corral.FromContext[int](ctx); ok {
				t.Error("there is a control without a key")
			}
			if _, ok := corral.FromContextKey[string, int](ctx, "other"); ok {
				t.Error("there is a control of a foreign key")
			}
			short, _ := corral.FromContextKey[string, int](ctx, "short")
			short.SetTTL(time.Second)
			never, _ := corral.FromContextKey[string, int](ctx, "never")
			never.NoStore()
			return map[string]int{"short": 1, "never": 1, "long": 1}, nil
		}
		l.GetOrLoadMany(t.Context(), []string{"short", "never", "long"}, load)
		synctest.Wait()
		s := &bulkSource{}
		l.GetOrLoadMany(t.Context(), []string{"short", "never", "long"}, s.load)
		time.Sleep(time.Second)
		l.GetOrLoadMany(t.Context(), []string{"short", "long"}, s.load)
		s.wantCalls(t, []string{"never"}, []string{"short"})
	})
}
