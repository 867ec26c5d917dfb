package corral_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
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
	told := 0
	ask := func(ctx context.Context, e corral.Event) {
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
		if synctest.Wait(); err != nil || told < 4 {
			t.Errorf("GetOrLoadMany: %v; %d hooks were called, want 4", err, told)
		}
	})
	for _, near := range []bool{true, false} {
		bubble(t, "C7/of the cache's errors", func(t *testing.T) {
			c := newBatch(near)
			c.spoil(map[string]error{"b": errors.New("the cache is broken")})
			l, told = newLoader[string, int](t, c, opts), 0
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, s.load)
			if synctest.Wait(); err != nil || len(got) != 3 || told < 5 {
				t.Errorf("GetOrLoadMany = %v, %v; %d hooks were called, want 5", got, err, told)
			}
		})
	}
}
