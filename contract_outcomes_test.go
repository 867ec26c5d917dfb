package corral_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

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

// A load that panics has failed, whatever error it panics with.
func TestContract_C5_F7_APanicIsNoAnswer(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleIfError: time.Hour, AbsentTTL: time.Minute}
	for name, cause := range map[string]error{
		"not found": fmt.Errorf("row: %w", corral.ErrNotFound), "not modified": corral.ErrNotModified,
	} {
		overBulk(t, "C5/"+name, opts, func(t *testing.T, l *corral.Loader[string, int]) {
			one := func(context.Context, string) (int, error) { panic(cause) }
			many := func(context.Context, []string) (map[string]int, error) { panic(cause) }
			_, err := l.GetOrLoad(t.Context(), "a", one)
			if !crashed(err) {
				t.Errorf("GetOrLoad: %v, want a PanicError", err)
			}
			synctest.Wait() // a lease is given up after the answer
			_, err = l.GetOrLoadMany(t.Context(), letters(2), many)
			for key, err := range wantFailed(t, err, "a", "b") {
				if !crashed(err) {
					t.Errorf("%s failed with %v, want a PanicError", key, err)
				}
			}
			if stats := l.Stats(); stats.Absent != 0 || stats.Panics != 2 || stats.LoadErrors != 2 {
				t.Errorf("%d absent, %d panics, %d failed loads, want 0, 2, 2", stats.Absent, stats.Panics, stats.LoadErrors)
			}
			if v := get(t, l, "a", (&source{}).load); v != 1 {
				t.Errorf("a is %d, want what the next load returns", v)
			}
			time.Sleep(time.Minute)
			v, err := l.GetOrLoad(t.Context(), "a", one)
			want(t, "GetOrLoad of what is stale", v, err, 1, nil)
			if n := l.Stats().Panics; n != 3 {
				t.Errorf("%d panics, want 3", n)
			}
		})
	}
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
