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
	"github.com/corralcache/corral/ristrettoadapter"
)

// buffering is a cache that buffers its writes: until the Settle of a key ends it
// shows nothing of it.
type buffering struct {
	corral.Cache[string, int]
	settle func(ctx context.Context, key string) error
	calls  atomic.Int64
	ended  atomic.Int64
}

func (c *buffering) Get(context.Context, string) (*corral.Entry[int], error) { return nil, nil }

func (c *buffering) Settle(ctx context.Context, key string) error {
	c.calls.Add(1)
	defer c.ended.Add(1)
	return c.settle(ctx, key)
}

func newBuffering(settle func(ctx context.Context, key string) error) *buffering {
	return &buffering{Cache: memadapter.New[string, int](), settle: settle}
}

// getN asks for n keys in turn, none of which a caller waits for.
func getN(t *testing.T, l *corral.Loader[string, int], n int) {
	t.Helper()
	start := time.Now()
	for i := range n {
		get(t, l, strconv.Itoa(i), (&source{}).load)
	}
	wantTook(t, "the calls", start, 0)
}

// count checks a number of calls.
func (c *buffering) count(t *testing.T, what string, got *atomic.Int64, want int64) {
	t.Helper()
	if n := got.Load(); n != want {
		t.Errorf("%d calls of Settle %s, want %d", n, what, want)
	}
}

func TestContract_C2_FlightsSettleTogether(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	bubble(t, "C2/after a millisecond, and each serves until then", func(t *testing.T) {
		c := newBuffering(func(context.Context, string) error { return nil })
		l := newLoader[string, int](t, c, opts)
		s := source{}
		get(t, l, "k", s.load)
		time.Sleep(time.Millisecond - 1)
		c.count(t, "were made before", &c.calls, 0)
		get(t, l, "k", s.load)
		s.wantLoads(t, 1)
		time.Sleep(1)
		synctest.Wait()
		c.count(t, "were made", &c.calls, 1)
		get(t, l, "k", s.load) // the cache shows nothing: a load of its own
		s.wantLoads(t, 2)
	})
	bubble(t, "C2/those of a slow cache beside each other", func(t *testing.T) {
		c := newBuffering(func(context.Context, string) error { time.Sleep(10 * time.Millisecond); return nil })
		l := newLoader[string, int](t, c, opts)
		getN(t, l, 64)
		time.Sleep(time.Millisecond + 7*10*time.Millisecond) // 1 + log2(64): each wait doubles who waits
		synctest.Wait()
		c.count(t, "have ended", &c.ended, 64)
	})
	bubble(t, "C2/an error is told, and the flight ends", func(t *testing.T) {
		var told []corral.Event
		opts := opts
		opts.Hooks.CacheError = func(_ context.Context, e corral.Event) { told = append(told, e) }
		c := newBuffering(func(context.Context, string) error { return errors.New("never") })
		l := newLoader[string, int](t, c, opts)
		get(t, l, "k", (&source{}).load)
		time.Sleep(time.Second)
		synctest.Wait()
		if len(told) != 1 || told[0].Op != corral.OpCacheSettle || told[0].Key != "k" {
			t.Errorf("told %v, want one failed Settle of k", told)
		}
		if n := l.Stats().CacheErrors; n != 1 {
			t.Errorf("CacheErrors is %d, want 1", n)
		}
	})
	bubble(t, "C2/a Settle that hangs ends with CacheTimeout", func(t *testing.T) {
		var told error
		opts := opts
		opts.CacheTimeout = time.Second
		opts.Hooks.CacheError = func(_ context.Context, e corral.Event) { told = e.Err }
		c := newBuffering(func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() })
		l := newLoader[string, int](t, c, opts)
		get(t, l, "k", (&source{}).load)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		c.count(t, "have ended", &c.ended, 1)
		if told == nil || told.Error() != "corral: the cache did not answer within CacheTimeout: context deadline exceeded" {
			t.Errorf("told %v, want that the cache did not answer", told)
		}
	})
	for name, end := range map[string]func(){"panics": func() { panic("boom") }, "ends its goroutine": runtime.Goexit} {
		bubble(t, "C2/a Settle that "+name+" keeps none of the others", func(t *testing.T) {
			c := newBuffering(func(_ context.Context, key string) error {
				if key == "1" {
					end()
				}
				return nil
			})
			l := newLoader[string, int](t, c, opts)
			getN(t, l, 4)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			c.count(t, "were made", &c.calls, 4)
		})
	}
}

// Close waits for what is not settled, and not for the pause before.
func TestContract_L1_CloseSettles(t *testing.T) {
	bubble(t, "L1/flights that were woken", func(t *testing.T) {
		c := newBuffering(func(context.Context, string) error { time.Sleep(time.Second); return nil })
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, CacheTimeout: time.Minute})
		get(t, l, "k", (&source{}).load)
		start := time.Now()
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantTook(t, "Close", start, time.Second)
		c.count(t, "have ended", &c.ended, 1)
	})
	bubble(t, "L1/flights whose load ends after Close was called", func(t *testing.T) {
		c := newBuffering(func(context.Context, string) error { return nil })
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		go func() { _, _ = l.GetOrLoad(t.Context(), "k", (&source{took: time.Second}).load) }()
		synctest.Wait()
		start := time.Now()
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantTook(t, "Close", start, time.Second)
		c.count(t, "have ended", &c.ended, 1)
	})
}

// The entries that Ristretto's policy does not admit are counted though nobody
// waits for that.
func TestSettledFlightsCountRefusals(t *testing.T) {
	bubble(t, "ristretto", func(t *testing.T) {
		cache := spacious[string, *corral.Entry[int]](t, 1)
		l := newLoader[string, int](t, ristrettoadapter.New(cache, ristrettoadapter.Options[int]{
			Cost: func(int) int64 { return cache.MaxCost() },
		}), corral.Options{TTL: time.Minute})
		getN(t, l, 100)
		time.Sleep(time.Second)
		if n := l.Stats().Refused; n == 0 {
			t.Error("no refusal is counted, though the cache holds one of 100 entries")
		}
	})
}

// The keys of a bulk refresh settle like others: one whose Settle goes wrong takes no
// other with it, and a slow one keeps no place of MaxRefreshes.
func TestContract_Bulk_C2_KeysSettleApart(t *testing.T) {
	ways := map[string]func(context.Context, string) error{
		"a Settle that exits": func(_ context.Context, key string) error {
			if key == "a" {
				runtime.Goexit()
			}
			return nil
		},
		"Settles that take long": func(context.Context, string) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		},
	}
	for name, settle := range ways {
		bubble(t, "C2/"+name, func(t *testing.T) {
			c := &slowToShow{Cache: memadapter.New[string, int](), settle: settle}
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, StaleFor: time.Hour, MaxRefreshes: 1})
			s := &bulkSource{}
			for range 3 {
				if got, err := l.GetOrLoadMany(t.Context(), letters(20), s.load); err != nil || len(got) != 20 {
					t.Errorf("GetOrLoadMany = %d values, %v", len(got), err)
				}
				time.Sleep(10 * time.Millisecond) // the refresh is over, some of the keys may have to settle
				if v := get(t, l, "alone", (&source{}).load); v != 1 {
					t.Errorf("alone is %d", v)
				}
				time.Sleep(2 * time.Minute)
			}
			s.wantCalls(t, letters(20), letters(20), letters(20))
			if n := l.Stats().Dropped; n != 0 {
				t.Errorf("%d refreshes were dropped: places are kept", n)
			}
		})
	}
}

// slowToShow is a cache that can be read while it buffers.
type slowToShow struct {
	corral.Cache[string, int]
	settle func(ctx context.Context, key string) error
}

func (c *slowToShow) Settle(ctx context.Context, key string) error { return c.settle(ctx, key) }
