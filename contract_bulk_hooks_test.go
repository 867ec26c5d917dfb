package corral_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// A hook may write the keys of the very batch that it is told of: it is told when
// no write of the batch is under way any more. These hooks would otherwise wait
// for the goroutine that waits for them.
func TestContract_Bulk_C8_HooksMayWriteTheBatch(t *testing.T) {
	broken := errors.New("the cache is broken")
	var l *corral.Loader[string, int]
	var told []error
	write := func(key string) func(context.Context, corral.Event) {
		return func(ctx context.Context, e corral.Event) {
			if e.Op == corral.OpCacheGet {
				return
			}
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			told = append(told, l.Set(ctx, key, 9))
		}
	}
	wantTold := func(t *testing.T, n int) {
		t.Helper()
		synctest.Wait()
		if len(told) != n || errors.Join(told...) != nil {
			t.Errorf("the hook's writes: %v, want %d that go well", told, n)
		}
		told = nil
	}

	discarded := corral.Options{TTL: time.Hour, Hooks: corral.Hooks{Discarded: func(ctx context.Context, e corral.Event) {
		write("a")(ctx, e)
		write("c")(ctx, e)
	}}}
	overBulk(t, "C8/a value is discarded", discarded, func(t *testing.T, of *corral.Loader[string, int]) {
		l = of
		_, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, func(ctx context.Context, keys []string) (map[string]int, error) {
			return map[string]int{"a": 1, "b": 2, "c": 3}, l.Delete(ctx, "b")
		})
		if err != nil {
			t.Error(err)
		}
		wantTold(t, 2)
	})

	for _, near := range []bool{true, false} {
		bubble(t, "C8/a set fails, a delete follows", func(t *testing.T) {
			c := newBatch(near)
			l = newLoader[string, int](t, c, corral.Options{TTL: time.Minute, StaleIfError: time.Hour, Hooks: corral.Hooks{CacheError: write("b")}})
			if err := l.Set(t.Context(), "b", 1); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			c.spoil(map[string]error{"a": broken})
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(ctx context.Context, _ []string) (map[string]int, error) {
				control, _ := corral.FromContextKey[string, int](ctx, "b")
				control.NoStore()
				return map[string]int{"a": 2, "b": 2}, nil
			})
			wantMany(t, got, err, map[string]int{"a": 2, "b": 2})
			wantTold(t, 1)
		})

		bubble(t, "C8/many keys are several calls", func(t *testing.T) {
			keys, values := make([]string, 10_001), map[string]int{}
			for i := range keys {
				keys[i] = strconv.Itoa(i)
				values[keys[i]] = i
			}
			c := newBatch(near)
			l = newLoader[string, int](t, c, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{CacheError: write("10000")}})
			c.spoil(map[string]error{"0": broken})
			if err := l.Delete(t.Context(), keys...); !errors.Is(err, broken) {
				t.Errorf("Delete = %v, want %v", err, broken)
			}
			wantTold(t, 1)
			_, err := l.GetOrLoadMany(t.Context(), keys, func(context.Context, []string) (map[string]int, error) { return values, nil })
			if err != nil {
				t.Error(err)
			}
			wantTold(t, 1)
		})
	}
}

// What a hook is told on the goroutine of a batch, all keys of the batch wait for:
// a call of one of them, with the hook's context, is refused where it would wait
// for itself.
func TestContract_Bulk_C7_HooksThatAskForTheBatch(t *testing.T) {
	var l *corral.Loader[string, int]
	var s bulkSource
	told, asking := 0, false // of the batch, not of what the hook itself asks for
	ask := func(ctx context.Context, e corral.Event) {
		if asking {
			return
		}
		asking = true
		defer func() { asking = false }()
		told++
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		for _, key := range []string{"a", "b", "c"} {
			if _, err := l.GetOrLoad(ctx, key, s.one); err != nil && !errors.Is(err, corral.ErrRecursiveLoad) {
				t.Errorf("a hook, told of %v of %v, asks for %s: %v", e.Op, e.Key, key, err)
			}
		}
	}
	opts := corral.Options{TTL: time.Minute, Hooks: corral.Hooks{Load: ask, Discarded: ask, CacheError: ask}}
	overBulk(t, "C7/of a load and of what is discarded", opts, func(t *testing.T, of *corral.Loader[string, int]) {
		l, told = of, 0
		_, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, func(ctx context.Context, keys []string) (map[string]int, error) {
			return map[string]int{"a": 1, "b": 2, "c": 3}, l.Delete(ctx, "b")
		})
		if synctest.Wait(); err != nil || told != 4 {
			t.Errorf("GetOrLoadMany: %v; %d hooks were called, want 4", err, told)
		}
	})
	for _, near := range []bool{true, false} {
		bubble(t, "C7/of the cache's errors", func(t *testing.T) {
			c := newBatch(near)
			c.spoil(map[string]error{"b": errors.New("the cache is broken")})
			want := map[bool]int{true: 4, false: 5}[near] // near, what the hook of the look asked for is there already: two gets, a load and a set of b
			l, told = newLoader[string, int](t, c, opts), 0
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, s.load)
			if synctest.Wait(); err != nil || len(got) != 3 || told != want {
				t.Errorf("GetOrLoadMany = %v, %v; %d hooks were called, want %d", got, err, told, want)
			}
		})
	}
}

// staleOver makes a loader over a far cache with "b" stale and its refresh under way, which ends after a while.
func staleFlight(t *testing.T, hooks corral.Hooks) *corral.Loader[string, int] {
	l := newLoader[string, int](t, newFar(), corral.Options{TTL: time.Second, StaleFor: time.Hour, Hooks: hooks})
	get(t, l, "b", (&source{}).load)
	synctest.Wait()
	time.Sleep(2 * time.Second)
	get(t, l, "b", (&source{took: 10 * time.Second}).load) // stale; the refresh takes 10 s
	return l
}

// C7, C8: a Stale hook of one key of the batch asks for another one of it.
func TestContract_Bulk_C7_AHookThatAsksForAKeyThatIsYetToFly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *corral.Loader[string, int]
		var armed atomic.Bool
		l = staleFlight(t, corral.Hooks{Stale: func(ctx context.Context, e corral.Event) {
			if armed.Swap(false) {
				if _, err := l.GetOrLoad(ctx, "a", (&source{}).load); err != nil {
					t.Errorf("the hook's call: %v", err)
				}
			}
		}})
		armed.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		got, err := l.GetOrLoadMany(ctx, []string{"a", "b"}, (&bulkSource{}).load)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("GetOrLoadMany = %v, %v after %v", got, err, took)
		}
	})
}

// C6: a Stale hook that ends the caller's goroutine leaves no flight that never flies.
func TestContract_Bulk_C6_AHookThatEndsTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var armed atomic.Bool
		l := staleFlight(t, corral.Hooks{Stale: func(context.Context, corral.Event) {
			if armed.Swap(false) {
				runtime.Goexit()
			}
		}})
		armed.Store(true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.GetOrLoadMany(t.Context(), []string{"a", "b"}, (&bulkSource{}).load)
		}()
		<-done
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if v, err := l.GetOrLoad(ctx, "a", (&source{}).load); err != nil {
			t.Errorf("GetOrLoad of the other key, an hour later: %d, %v", v, err)
		}
	})
}

// C6: the same by a Miss hook, when the caller's context ends between two keys.
func TestContract_Bulk_C6_ADroppedHookThatEndsTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader[string, int](t, memadapter.New[string, int](), corral.Options{TTL: time.Second, StaleFor: time.Minute, MaxBatch: 1, MaxRefreshes: 1,
			Hooks: corral.Hooks{Dropped: func(context.Context, corral.Event) { runtime.Goexit() }}})
		l.GetOrLoadMany(t.Context(), []string{"a", "b"}, (&bulkSource{}).load)
		synctest.Wait()
		time.Sleep(2 * time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			l.GetOrLoadMany(t.Context(), []string{"a", "b"}, (&bulkSource{}).load) // stale: one is refreshed, one is dropped
		}()
		<-done
		time.Sleep(time.Minute) // expired
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if got, err := l.GetOrLoadMany(ctx, []string{"a", "b"}, (&bulkSource{}).load); err != nil {
			t.Errorf("an hour later: %v, %v", got, err)
		}
		time.Sleep(2 * time.Second)
		s := &source{}
		l.GetOrLoad(t.Context(), "b", s.load)
		synctest.Wait()
		if s.loads.Load() != 1 {
			t.Error("nothing is ever refreshed any more: the place of MaxRefreshes is lost")
		}
	})
}

// C7: a Dropped hook refreshes another key of the batch.
func TestContract_Bulk_C7_ADroppedHookThatRefreshesAnother(t *testing.T) {
	for name, open := range map[string]func() corral.Cache[string, int]{
		"near": func() corral.Cache[string, int] { return memadapter.New[string, int]() },
		"far":  func() corral.Cache[string, int] { return newFar() },
	} {
		bubble(t, name, func(t *testing.T) {
			var l *corral.Loader[string, int]
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			l = newLoader(t, open(), corral.Options{TTL: time.Second, StaleFor: time.Hour, MaxBatch: 1, MaxRefreshes: 1,
				Hooks: corral.Hooks{Dropped: func(ctx context.Context, e corral.Event) {
					other := map[any]string{"a": "b", "b": "a"}[e.Key]
					ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
					defer cancel()
					if _, err := l.Refresh(ctx, other, (&source{}).load); err != nil && !errors.Is(err, corral.ErrRecursiveLoad) {
						t.Errorf("the hook's Refresh: %v", err)
					}
				}}})
			l.GetOrLoadMany(ctx, []string{"a", "b"}, (&bulkSource{}).load)
			synctest.Wait()
			time.Sleep(2 * time.Second)
			start := time.Now()
			l.GetOrLoadMany(ctx, []string{"a", "b"}, (&bulkSource{}).load)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("stale values took %v", took)
			}
		})
	}
}

// A1: an error of a near batch cache, read on the caller's goroutine, is told.
func TestContract_Bulk_A1_AFailedReadOfANearCacheIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBatch(true)
		var told []corral.Event
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
			CacheError: func(_ context.Context, e corral.Event) { told = append(told, e) }}})
		l.GetOrLoadMany(t.Context(), []string{"a", "b"}, (&bulkSource{}).load) // both are in the cache
		c.spoil(map[string]error{"a": errSource})
		if _, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, (&bulkSource{}).load); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		gets := 0
		for _, e := range told {
			if e.Op == corral.OpCacheGet {
				gets++
			}
		}
		// the caller's read and the flight's second look, as for a single call
		if gets != 2 {
			t.Errorf("the hook was told of %d failed reads, want 2 (Stats count %d errors of the cache)", gets, l.Stats().CacheErrors)
		}
	})
}
