package corral_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_F3_SoftTimeoutAbandonsNothing(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleIfError: time.Hour, SoftTimeout: 100 * time.Millisecond, CancelAbandoned: true}
	careful := func(s *source) corral.LoadFunc[string, int] {
		return func(ctx context.Context, key string) (int, error) {
			v, err := s.load(ctx, key)
			return v, errors.Join(err, ctx.Err())
		}
	}
	both(t, "F3/without a stale value", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		start := time.Now()
		v, err := l.GetOrLoad(t.Context(), "k", careful(&s))
		want(t, "GetOrLoad", v, err, 1, nil)
		wantTook(t, "it", start, time.Second)
		s.wantLoads(t, 1)
	})
	both(t, "F3/the load goes on", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{}
		get(t, l, "k", careful(&s))
		time.Sleep(time.Minute)
		s.took = time.Second
		start := time.Now()
		v, err := l.GetOrLoad(t.Context(), "k", careful(&s))
		want(t, "GetOrLoad", v, err, 1, nil)
		wantTook(t, "it", start, 100*time.Millisecond)
		time.Sleep(950 * time.Millisecond)
		v, err = l.GetOrLoad(t.Context(), "k", careful(&s))
		want(t, "GetOrLoad once the load is over", v, err, 2, nil)
		s.wantLoads(t, 2)
	})
}

type stalling struct {
	context.Context
	once    *sync.Once
	stalled chan struct{}
	resume  chan struct{}
}

func (c *stalling) Value(key any) any {
	c.once.Do(func() {
		close(c.stalled)
		<-c.resume
	})
	return c.Context.Value(key)
}

func stall(ctx context.Context) *stalling {
	return &stalling{ctx, new(sync.Once), make(chan struct{}), make(chan struct{})}
}

func TestContract_C1_ALeaderThatIsSlowToStart(t *testing.T) {
	both(t, "C1/the cache's time is over before it starts", corral.Options{TTL: time.Minute, MaxLoads: 5}, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		slow := stall(t.Context())
		got := make(chan error, 2)
		go func() {
			_, err := l.GetOrLoad(slow, "k", s.load)
			got <- err
		}()
		<-slow.stalled
		go func() {
			_, err := l.GetOrLoad(t.Context(), "k", s.load)
			got <- err
		}()
		time.Sleep(time.Second)
		close(slow.resume)
		for range 2 {
			if err := <-got; err != nil {
				t.Errorf("GetOrLoad: %v", err)
			}
		}
		s.wantLoads(t, 1)
	})
	both(t, "F3/SoftTimeout of one who joined before", corral.Options{TTL: time.Second, StaleIfError: time.Hour, SoftTimeout: time.Second, MaxLoads: 5}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{}
		get(t, l, "k", s.load)
		time.Sleep(time.Minute)
		s.took = 10 * time.Second
		slow := stall(t.Context())
		go l.GetOrLoad(slow, "k", s.load)
		<-slow.stalled
		start := time.Now()
		got := make(chan error, 1)
		go func() {
			v, err := l.GetOrLoad(t.Context(), "k", s.load)
			want(t, "GetOrLoad", v, err, 1, nil)
			got <- err
		}()
		synctest.Wait()
		close(slow.resume)
		<-got
		wantTook(t, "GetOrLoad", start, time.Second)
	})
	bubble(t, "C1/tiny CacheTimeout", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Nanosecond, CacheTimeout: 1})
		var s source
		for range 2000 {
			if _, err := l.GetOrLoad(t.Context(), "k", s.load); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1)
		}
	})
}

func TestContract_A2_ASlotIsLentByWhoeverWaits(t *testing.T) {
	bubble(t, "A2/the first who could lend it left", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, MaxLoads: 1, CacheTimeout: time.Minute})
		var s source
		slow := make(chan struct{})
		inside := func(limit time.Duration) corral.LoadFunc[string, int] {
			return func(ctx context.Context, _ string) (int, error) {
				ctx, cancel := context.WithTimeout(ctx, limit)
				defer cancel()
				return l.GetOrLoad(ctx, "shared", s.load)
			}
		}
		c.took.Store(int64(10 * time.Second)) // of the read of "shared"
		go l.GetOrLoad(t.Context(), "shared", s.load)
		synctest.Wait()
		c.took.Store(0)
		close(slow)
		_, err := l.GetOrLoad(t.Context(), "first", inside(time.Second))
		want(t, "first", 0, err, 0, context.DeadlineExceeded)
		start := time.Now()
		v, err := l.GetOrLoad(t.Context(), "second", inside(time.Hour))
		want(t, "second", v, err, 1, nil)
		wantTook(t, "it", start, 9*time.Second)
	})
}

func TestContract_F1_NobodyJoinsALoadThatIsOver(t *testing.T) {
	bubble(t, "F1/its value expired while it is written", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: 10 * time.Millisecond})
		var s source
		first := make(chan int)
		go func() {
			first <- get(t, l, "k", func(ctx context.Context, key string) (int, error) {
				c.took.Store(int64(400 * time.Millisecond))
				return s.load(ctx, key)
			})
		}()
		time.Sleep(100 * time.Millisecond)
		c.took.Store(0)
		r, err := l.Lookup(t.Context(), "k", s.load)
		want(t, "Lookup", r.Value, err, 2, nil)
		if v := <-first; v != 1 {
			t.Errorf("the first caller got %d", v)
		}
	})
}

func TestContract_C3_AFlightIsFinishedThoughAHookIsSlow(t *testing.T) {
	bubble(t, "C3", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, Hooks: corral.Hooks{
			CacheError: func(context.Context, corral.Event) { time.Sleep(time.Second) },
		}})
		c.break_(errDown, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
		defer cancel()
		var s source
		_, err := l.GetOrLoad(ctx, "k", s.load)
		want(t, "GetOrLoad", 0, err, 0, context.DeadlineExceeded)
		time.Sleep(10 * time.Second)
		s.wantLoads(t, 1)
	})
}

func TestContract_C5_AbandonedLoadsCount(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, CancelAbandoned: true, LoadTimeout: time.Minute}
	leave := func(t *testing.T, l *corral.Loader[string, int], load corral.LoadFunc[string, int]) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.GetOrLoad(ctx, "k", load)
		want(t, "GetOrLoad", 0, err, 0, context.DeadlineExceeded)
		time.Sleep(time.Hour)
	}
	both(t, "C5/panic", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		leave(t, l, func(ctx context.Context, _ string) (int, error) { <-ctx.Done(); panic("late") })
		if s := l.Stats(); s.Panics != 1 || s.LoadErrors != 1 {
			t.Errorf("%+v", s)
		}
	})
	both(t, "C5/timeout", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		leave(t, l, (&source{took: 2 * time.Minute}).load)
		if s := l.Stats(); s.Stuck != 0 || s.LoadErrors != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestContract_F3_AStaleValueInPlaceOfAnErrorIsStored(t *testing.T) {
	both(t, "F3", corral.Options{TTL: time.Second, StaleIfError: time.Hour}, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		time.Sleep(time.Minute)
		s.fail(errSource)
		r, err := l.Lookup(t.Context(), "k", s.load)
		want(t, "Lookup", r.Value, err, 1, nil)
		if !r.Stored {
			t.Error("the result says that the cache does not hold it")
		}
	})
}
