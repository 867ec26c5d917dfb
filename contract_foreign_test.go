package corral_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

type lingering struct {
	*farCache
	late atomic.Int64
}

func (c *lingering) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	time.Sleep(time.Duration(c.late.Load()))
	return c.farCache.Set(context.WithoutCancel(ctx), key, e)
}

func TestContract_W1_AWriteLeftBehindIsUnderWay(t *testing.T) {
	bubble(t, "W1/Delete waits for a fill that outlives CacheTimeout", func(t *testing.T) {
		c := &lingering{farCache: newFar()}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		var s source
		c.late.Store(int64(2 * time.Second))
		start := time.Now()
		get(t, l, "k", s.load)
		wantTook(t, "the call", start, 500*time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := l.Delete(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete with a deadline: %v", err)
		}
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		c.late.Store(0)
		time.Sleep(3 * time.Second)
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad after Delete = %d, want 2", v)
		}
	})
	bubble(t, "W1/Delete waits for a Set that outlives CacheTimeout", func(t *testing.T) {
		c := &lingering{farCache: newFar()}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		var s source
		c.late.Store(int64(2 * time.Second))
		if err := l.Set(t.Context(), "k", 7); err == nil {
			t.Error("Set returned nil")
		}
		c.late.Store(0)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad after Delete = %d, want 1", v)
		}
	})
	bubble(t, "L1/Close waits for it", func(t *testing.T) {
		c := &lingering{farCache: newFar()}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.late.Store(int64(2 * time.Second))
		start := time.Now()
		_ = l.Set(t.Context(), "k", 7)
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantTook(t, "Set and Close", start, 2*time.Second)
	})
	bubble(t, "W1/an ended context leaves nothing under way", func(t *testing.T) {
		l := newLoader[string, int](t, newFar(), corral.Options{TTL: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Set(ctx, "k", 7); !errors.Is(err, context.Canceled) {
			t.Errorf("Set: %v", err)
		}
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	})
}

type exiting struct {
	*farCache
	exit atomic.Bool
	set  atomic.Bool
}

func (c *exiting) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	if c.exit.Load() {
		runtime.Goexit()
	}
	return c.farCache.Get(ctx, key)
}

func (c *exiting) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	if c.set.Load() {
		runtime.Goexit()
	}
	return c.farCache.Set(ctx, key, e)
}

func TestContract_A1_ACacheThatExits(t *testing.T) {
	for name, near := range map[string]bool{"near": true, "far": false} {
		bubble(t, "A1/Set/"+name, func(t *testing.T) {
			c := &exiting{farCache: newFar()}
			c.near = near
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, StaleFor: time.Hour, MaxRefreshes: 1})
			var s source
			get(t, l, "k", s.load)
			c.set.Store(true)
			if v := get(t, l, "other", s.load); v != 2 {
				t.Errorf("GetOrLoad = %d", v)
			}
			time.Sleep(2 * time.Minute)
			get(t, l, "k", s.load) // a refresh that cannot be stored
			synctest.Wait()
			get(t, l, "k", s.load)
			synctest.Wait()
			if n := l.Stats().Dropped; n != 0 {
				t.Errorf("%d refreshes dropped: one that ended still counts", n)
			}
			if n := l.Stats().CacheErrors; n != 3 {
				t.Errorf("CacheErrors is %d, want 3", n)
			}
			s.wantLoads(t, 4)
			c.set.Store(false)
		})
	}
	bubble(t, "A1/Get/far", func(t *testing.T) {
		c := &exiting{farCache: newFar()}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.exit.Store(true)
		var s source
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d", v)
		}
		if n := l.Stats().CacheErrors; n != 1 {
			t.Errorf("CacheErrors is %d, want 1", n)
		}
	})
}

func TestContract_A2_OneProbe(t *testing.T) {
	// resting returns a loader whose cache rests, until 100 ms from now.
	resting := func(t *testing.T) (*farCache, *corral.Loader[string, int], *source) {
		c, s := newFar(), &source{}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.break_(errDown, nil)
		for _, k := range []string{"a", "b", "c", "d", "e"} {
			get(t, l, k, s.load)
		}
		return c, l, s
	}
	bubble(t, "A2/a Delete is no probe", func(t *testing.T) {
		c, l, s := resting(t)
		time.Sleep(100 * time.Millisecond)
		c.took.Store(int64(400 * time.Millisecond))
		reads := c.reads.Load()
		go l.GetOrLoad(t.Context(), "probe", s.load)
		synctest.Wait()
		c.took.Store(0)
		_ = l.Delete(t.Context(), "k")
		time.Sleep(250 * time.Millisecond) // longer than a pause that doubled
		get(t, l, "other", s.load)
		if n := c.reads.Load() - reads; n != 1 {
			t.Errorf("%d probes at once, want 1", n)
		}
		time.Sleep(time.Second)
	})
	bubble(t, "A2/a call from before the rest is no probe", func(t *testing.T) {
		c, s := newFar(), &source{}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.break_(errDown, nil)
		c.took.Store(int64(150 * time.Millisecond))
		go l.GetOrLoad(t.Context(), "early", s.load)
		synctest.Wait()
		c.took.Store(0)
		for _, k := range []string{"a", "b", "c", "d", "e"} {
			get(t, l, k, s.load)
		}
		time.Sleep(100 * time.Millisecond)
		c.took.Store(int64(400 * time.Millisecond))
		reads := c.reads.Load()
		go l.GetOrLoad(t.Context(), "probe", s.load)
		time.Sleep(300 * time.Millisecond) // the early call fails meanwhile
		get(t, l, "other", s.load)
		if n := c.reads.Load() - reads; n != 1 {
			t.Errorf("%d probes at once, want 1", n)
		}
		time.Sleep(time.Second)
	})
	for name, near := range map[string]bool{"near": true, "far": false} {
		bubble(t, "A2/a probe that ends its goroutine is over/"+name, func(t *testing.T) {
			c := &exiting{farCache: newFar()}
			c.near = near
			s := &source{}
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
			c.break_(errDown, nil)
			for _, k := range []string{"a", "b", "c", "d", "e"} {
				get(t, l, k, s.load)
			}
			time.Sleep(100 * time.Millisecond)
			c.exit.Store(true)
			got := make(chan struct{})
			go func() {
				defer close(got)
				_, _ = l.GetOrLoad(t.Context(), "probe", s.load)
			}()
			<-got
			c.exit.Store(false)
			c.break_(nil, nil)
			time.Sleep(10 * time.Second)
			get(t, l, "k", s.load)
			loads := s.loads.Load()
			get(t, l, "k", s.load)
			s.wantLoads(t, loads)
		})
	}
}

func TestContract_C5_AHookThatExits(t *testing.T) {
	both(t, "C5/on the load's goroutine", corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
		Load: func(context.Context, corral.Event) { runtime.Goexit() },
	}}, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		v, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", v, err, 1, nil)
		v, err = l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", v, err, 1, nil)
		s.fail(errSource)
		v, err = l.GetOrLoad(t.Context(), "other", s.load)
		want(t, "GetOrLoad", v, err, 0, errSource)
		if n := l.Stats().HookPanics; n != 2 {
			t.Errorf("HookPanics is %d, want 2", n)
		}
	})
	bubble(t, "C5/at the alarm", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, LoadTimeout: time.Second, Hooks: corral.Hooks{
			CacheError: func(context.Context, corral.Event) { runtime.Goexit() },
		}})
		c.near = true
		hang := make(chan struct{})
		c.break_(nil, hang)
		s := source{took: 10 * time.Second}
		got := make(chan error, 10)
		for _, k := range []string{"a", "b", "c", "d"} {
			go func() {
				_, err := l.GetOrLoad(t.Context(), k, s.load)
				got <- err
			}()
		}
		for range 4 {
			if err := <-got; !errors.Is(err, corral.ErrLoadTimeout) {
				t.Errorf("GetOrLoad: %v", err)
			}
		}
		close(hang)
	})
}

func TestContract_C8_AHookDelaysNoOtherKey(t *testing.T) {
	bubble(t, "C8/at the alarm", func(t *testing.T) {
		c := newFar()
		c.near = true
		free := make(chan struct{})
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, LoadTimeout: time.Second, Hooks: corral.Hooks{
			CacheError: func(context.Context, corral.Event) { <-free },
		}})
		hang := make(chan struct{})
		var s source
		go l.GetOrLoad(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
			c.break_(nil, hang) // the fill hangs, its alarm calls the hook
			return s.load(ctx, key)
		})
		synctest.Wait()
		c.break_(nil, nil)
		time.Sleep(500 * time.Millisecond)
		start := time.Now()
		_, err := l.GetOrLoad(t.Context(), "other", (&source{took: 10 * time.Second}).load)
		want(t, "GetOrLoad", 0, err, 0, corral.ErrLoadTimeout)
		wantTook(t, "it", start, time.Second)
		close(free)
		close(hang)
	})
	for name, near := range map[string]bool{"near": true, "far": false} {
		bubble(t, "C8/a hook may write the key/"+name, func(t *testing.T) {
			c := newFar()
			c.near = near
			var l *corral.Loader[string, int]
			var deletes atomic.Int64
			l = newLoader[string, int](t, c, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
				CacheError: func(ctx context.Context, e corral.Event) {
					if e.Op == corral.OpCacheSet && deletes.Add(1) < 10 {
						_ = l.Delete(context.Background(), "k")
					}
				},
			}})
			var s source
			v := get(t, l, "k", func(ctx context.Context, key string) (int, error) {
				c.break_(errDown, nil)
				return s.load(ctx, key)
			})
			if v != 1 {
				t.Errorf("GetOrLoad = %d, want 1", v)
			}
			if err := l.Set(t.Context(), "k", 1); !errors.Is(err, errDown) {
				t.Errorf("Set: %v", err)
			}
			if n := deletes.Load(); n != 2 {
				t.Errorf("the hook deleted %d times, want 2", n)
			}
		})
	}
	both(t, "C7/a hook that asks for the key that loads", corral.Options{TTL: time.Minute}, func(t *testing.T, _ *corral.Loader[string, int]) {
		var l *corral.Loader[string, int]
		var s source
		l = memLoader(t, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
			Load: func(ctx context.Context, e corral.Event) {
				_, err := l.GetOrLoad(ctx, "k", s.load)
				want(t, "GetOrLoad", 0, err, 0, corral.ErrRecursiveLoad)
			},
		}})
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
	})
}

func TestContract_H_AListenerThatHeardForLongIsRunAgainSoon(t *testing.T) {
	bubble(t, "H", func(t *testing.T) {
		c := &listening{newFar(), make(chan func(...string), 1), make(chan error)}
		newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		for range 10 {
			<-c.drops
			c.ended <- errDown
		}
		<-c.drops
		time.Sleep(time.Hour)
		c.ended <- errDown
		start := time.Now()
		<-c.drops
		wantTook(t, "the pause", start, 100*time.Millisecond)
	})
}
