package corral_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

var errDown = errors.New("connection refused")

func TestContract_A1_AFailingCacheIsAMiss(t *testing.T) {
	for _, near := range []bool{true, false} {
		name := map[bool]string{true: "near", false: "far"}[near]
		bubble(t, "A1/"+name, func(t *testing.T) {
			c := newFar()
			c.near = near
			var told atomic.Int64
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
				CacheError: func(_ context.Context, e corral.Event) {
					if e.Key != "k" || !errors.Is(e.Err, errDown) {
						t.Errorf("event is %+v", e)
					}
					told.Add(1)
				},
			}})
			var s source
			c.break_(errDown, nil)
			r, err := l.Lookup(t.Context(), "k", s.load)
			want(t, "Lookup", r.Value, err, 1, nil)
			if r.Stored {
				t.Error("the result says that it is stored")
			}
			errs := int64(l.Stats().CacheErrors)
			if errs != told.Load() || errs < 2 {
				t.Errorf("CacheErrors is %d, the hook was told %d times; want the read and the write", errs, told.Load())
			}
		})

		bubble(t, "A1/FailClosed/"+name, func(t *testing.T) {
			c := newFar()
			c.near = near
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, FailClosed: true})
			var s source
			c.break_(errDown, nil)
			v, err := l.GetOrLoad(t.Context(), "k", s.load)
			want(t, "GetOrLoad", v, err, 0, errDown)
			s.wantLoads(t, 0)
		})

		bubble(t, "A1/a cache that panics/"+name, func(t *testing.T) {
			c := &panicking{farCache: newFar()}
			c.near = near
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
			var s source
			if v := get(t, l, "k", s.load); v != 1 {
				t.Errorf("GetOrLoad = %d, want 1", v)
			}
			if err := l.Delete(t.Context(), "k"); err == nil {
				t.Error("Delete returned nil though the cache panicked")
			}
		})
	}
}

type panicking struct{ *farCache }

func (c *panicking) Get(context.Context, string) (*corral.Entry[int], error) { panic("get") }
func (c *panicking) Set(context.Context, string, *corral.Entry[int]) error   { panic("set") }
func (c *panicking) Delete(context.Context, string) error                    { panic("delete") }

func TestContract_A2_ASlowOrDeadCacheDoesNotLetAHerdThrough(t *testing.T) {
	bubble(t, "A2/callers share reading and loading", func(t *testing.T) {
		c := newFar()
		hang := make(chan struct{})
		c.break_(nil, hang)
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		s := source{took: 100 * time.Millisecond}
		start := time.Now()
		done := make(chan int, 100)
		for range 100 {
			go func() {
				done <- get(t, l, "k", s.load)
			}()
		}
		for range 100 {
			if v := <-done; v != 1 {
				t.Errorf("GetOrLoad = %d, want 1", v)
			}
		}
		// read timeout, load, write timeout
		wantTook(t, "the calls", start, 500*time.Millisecond+100*time.Millisecond+500*time.Millisecond)
		s.wantLoads(t, 1)
		close(hang)
	})

	bubble(t, "A2/the cache rests after five failures and is probed by one", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.break_(errDown, nil)
		var s source
		for i := range 100 {
			get(t, l, fmt.Sprint(i), s.load)
		}
		if n := c.reads.Load() + c.writes.Load(); n != 5 {
			t.Errorf("%d calls of a failing cache, want 5", n)
		}
		time.Sleep(100 * time.Millisecond)
		c.took.Store(int64(10 * time.Millisecond))
		for i := range 100 {
			go l.GetOrLoad(t.Context(), fmt.Sprint(i), s.load)
		}
		time.Sleep(50 * time.Millisecond)
		if n := c.reads.Load() + c.writes.Load(); n != 6 {
			t.Errorf("%d calls of a failing cache, want one probe more", n)
		}
		if err := l.Delete(t.Context(), "k"); err == nil { // goes through
			t.Error("Delete returned nil though the cache failed")
		}
		if n := c.deletes.Load(); n != 1 {
			t.Errorf("%d deletes reached the cache, want 1", n)
		}
		c.break_(nil, nil)
		time.Sleep(200 * time.Millisecond) // the pause doubled
		get(t, l, "probe", s.load)
		get(t, l, "again", s.load)
		loads := s.loads.Load()
		get(t, l, "again", s.load)
		s.wantLoads(t, loads)
	})

	bubble(t, "A2/it does not rest for a store that the cache did not ask", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.break_(fmt.Errorf("one of many: %w", corral.ErrNotAsked), nil)
		var s source
		for i := range 10 {
			get(t, l, fmt.Sprint(i), s.load)
		}
		if n := c.reads.Load() + c.writes.Load(); n != 20 {
			t.Errorf("%d calls of the cache, want 20", n)
		}
		if n := l.Stats().CacheErrors; n != 20 {
			t.Errorf("CacheErrors is %d, want 20", n)
		}
		load := func(_ context.Context, keys []string) (map[string]int, error) {
			return map[string]int{"a": 1, "b": 2}, nil
		}
		for range 6 {
			if _, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, load); err != nil {
				t.Error(err)
			}
		}
		if n := c.reads.Load() + c.writes.Load(); n == 20 {
			t.Error("the cache was left alone")
		}
	})

	bubble(t, "A2/MaxLoads", func(t *testing.T) {
		l := newLoader[string, int](t, newFar(), corral.Options{TTL: time.Minute, MaxLoads: 3, LoadTimeout: 150 * time.Millisecond})
		s := source{took: 100 * time.Millisecond}
		start := time.Now()
		errs := make(chan error, 30)
		for i := range 30 {
			go func() {
				_, err := l.GetOrLoad(t.Context(), fmt.Sprint(i), s.load)
				errs <- err
			}()
		}
		for range 30 {
			if err := <-errs; err != nil {
				t.Errorf("GetOrLoad: %v; LoadTimeout counts from when the load starts", err)
			}
		}
		wantTook(t, "30 loads of 100ms, 3 at once", start, time.Second)
		if peak := s.peak.Load(); peak != 3 {
			t.Errorf("%d loads at once, want 3", peak)
		}
	})

	bubble(t, "A2/MaxLoads: callers wait on their own contexts", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute, MaxLoads: 1})
		s := source{took: time.Second}
		go l.GetOrLoad(t.Context(), "a", s.load)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := l.GetOrLoad(ctx, "b", s.load)
		want(t, "GetOrLoad", 0, err, 0, context.DeadlineExceeded)
		wantTook(t, "it", start, 100*time.Millisecond)
		time.Sleep(2 * time.Second)
		s.wantLoads(t, 1) // nobody waits for b, and its load had not begun
	})

	bubble(t, "A2/MaxLoads: a nested load uses its parent's slot", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute, MaxLoads: 1})
		s := source{took: time.Second}
		nested := func(ctx context.Context, key string) (int, error) {
			time.Sleep(time.Second)
			return l.GetOrLoad(ctx, "b", s.load)
		}
		start := time.Now()
		if v := get(t, l, "a", nested); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
		wantTook(t, "it", start, 2*time.Second)

		l.Delete(t.Context(), "a", "b")
		start = time.Now()
		go l.GetOrLoad(t.Context(), "a", nested)
		time.Sleep(time.Millisecond)
		if v := get(t, l, "b", s.load); v != 2 { // queues until a lends it its slot
			t.Errorf("GetOrLoad = %d, want 2", v)
		}
		wantTook(t, "the load that queued", start, 2*time.Second)
	})
}

func TestContract_A4_AnUndecodableValueIsAMissAndNoFailure(t *testing.T) {
	bubble(t, "A4", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, FailClosed: true})
		var s source
		c.break_(fmt.Errorf("no magic: %w", corral.ErrUndecodable), nil)
		for i := range 10 {
			get(t, l, fmt.Sprint(i), func(ctx context.Context, key string) (int, error) {
				c.break_(nil, nil) // the write goes through
				defer c.break_(fmt.Errorf("no magic: %w", corral.ErrUndecodable), nil)
				return s.load(ctx, key)
			})
		}
		stats := l.Stats()
		if stats.Undecodable < 10 || stats.CacheErrors != 0 {
			t.Errorf("stats are %+v, want every read undecodable and no cache error", stats)
		}
		s.wantLoads(t, 10)
	})
}

func TestContract_L1_Close(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleFor: time.Minute}
	both(t, "L1/refuses new calls", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", 0, err, 0, corral.ErrClosed)
		_, err = l.Lookup(t.Context(), "k", s.load)
		want(t, "Lookup", 0, err, 0, corral.ErrClosed)
		_, err = l.Refresh(t.Context(), "k", s.load)
		want(t, "Refresh", 0, err, 0, corral.ErrClosed)
		want(t, "Set", 0, l.Set(t.Context(), "k", 1), 0, corral.ErrClosed)
		want(t, "Delete", 0, l.Delete(t.Context(), "k"), 0, corral.ErrClosed)
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})

	both(t, "L1/lets loads with callers land", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		got := make(chan int, 1)
		go func() { got <- get(t, l, "k", s.load) }()
		synctest.Wait()
		start := time.Now()
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantTook(t, "Close", start, time.Second)
		if v := <-got; v != 1 {
			t.Errorf("the caller got %d, want 1", v)
		}
	})

	both(t, "L1/cancels background refreshes at once", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Second)
		var cause error
		get(t, l, "k", func(ctx context.Context, key string) (int, error) {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return 0, ctx.Err()
		})
		synctest.Wait()
		start := time.Now()
		if err := l.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantTook(t, "Close", start, 0)
		if !errors.Is(cause, corral.ErrClosed) {
			t.Errorf("the refresh ended with %v, want ErrClosed", cause)
		}
	})

	both(t, "L1/at the end of its context it cancels all", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Minute} // ignores its context
		got := make(chan error, 1)
		go func() {
			_, err := l.GetOrLoad(t.Context(), "k", s.load)
			got <- err
		}()
		synctest.Wait()
		late := errors.New("time to go")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
		defer cancel()
		start := time.Now()
		if err := l.Close(ctx); !errors.Is(err, late) {
			t.Errorf("Close: %v, want the cause", err)
		}
		wantTook(t, "Close", start, time.Second)
		if err := <-got; !errors.Is(err, corral.ErrClosed) {
			t.Errorf("the caller got %v, want ErrClosed", err)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("a later Close: %v", err)
		}
		wantTook(t, "a Close that waits for the load", start, time.Minute)
	})
}

// listening hands its Listener's drop function to the test.
type listening struct {
	*farCache
	drops chan func(keys ...string)
	ended chan error
}

func (c *listening) Listen(ctx context.Context, drop func(keys ...string)) error {
	c.drops <- drop
	select {
	case err := <-c.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestContract_H_AListenerIsRunUntilClose(t *testing.T) {
	bubble(t, "H/its drops detach", func(t *testing.T) {
		c := &listening{newFar(), make(chan func(...string), 1), make(chan error)}
		var told atomic.Int64
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
			CacheError: func(_ context.Context, e corral.Event) {
				if e.Op != corral.OpCacheListen || !errors.Is(e.Err, errDown) {
					t.Errorf("event is %+v", e)
				}
				told.Add(1)
			},
		}})
		drop := <-c.drops
		s := source{took: time.Second}
		go l.GetOrLoad(t.Context(), "k", s.load)
		synctest.Wait()
		drop("other", "k")
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want a load that began after the drop", v)
		}
		c.ended <- errDown
		start := time.Now()
		<-c.drops
		wantTook(t, "the pause", start, 100*time.Millisecond)
		if told.Load() != 1 {
			t.Errorf("the hook was told %d times, want once", told.Load())
		}
	})
}

type confused struct{ *farCache }

func (c *confused) Get(context.Context, string) (*corral.Entry[int], error) {
	return &corral.Entry[int]{Value: -1, LoadedAt: time.Now(), TTL: time.Hour}, corral.ErrUndecodable
}

func TestContract_A4_AnEntryBesideAnErrorIsNone(t *testing.T) {
	for name, near := range map[string]bool{"near": true, "far": false} {
		bubble(t, "A4/"+name, func(t *testing.T) {
			c := &confused{newFar()}
			c.near = near
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
			var s source
			if v := get(t, l, "k", s.load); v != 1 {
				t.Errorf("GetOrLoad = %d, want the load's 1", v)
			}
		})
	}
}

// foreign is a near cache that returns an entry as no Loader makes one.
type foreign struct{ *farCache }

func (foreign) Get(context.Context, string) (*corral.Entry[int], error) {
	return &corral.Entry[int]{Value: 9, TTL: -time.Hour}, nil
}

func TestContract_F10_AnEntryOfNegativeTTLIsNotFresh(t *testing.T) {
	bubble(t, "F10", func(t *testing.T) {
		c := foreign{newFar()}
		c.near = true
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		var s source
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1 from a load", v)
		}
	})
}
