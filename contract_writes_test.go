package corral_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_C2_NoSecondLoad(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	both(t, "C2/a newcomer between wake and remove", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Millisecond}
		for range 100 {
			go func() {
				for range 10 {
					l.GetOrLoad(t.Context(), "k", s.load)
				}
			}()
		}
		time.Sleep(time.Second)
		s.wantLoads(t, 1)
	})

	bubble(t, "C2/a far cache is read once per flight", func(t *testing.T) {
		c := newFar()
		c.took.Store(int64(time.Millisecond))
		l := newLoader[string, int](t, c, opts)
		s := source{took: time.Millisecond}
		for range 100 {
			go l.GetOrLoad(t.Context(), "k", s.load)
		}
		time.Sleep(time.Second)
		if reads := c.reads.Load(); reads != 1 {
			t.Errorf("%d reads of the cache, want 1", reads)
		}
		s.wantLoads(t, 1)
		for range 100 {
			go l.GetOrLoad(t.Context(), "k", s.load)
		}
		time.Sleep(time.Second)
		if reads := c.reads.Load(); reads != 2 {
			t.Errorf("%d reads of the cache, want 2: readers share one", reads)
		}
	})

	bubble(t, "C2/a newcomer is served by the flight until the cache shows it", func(t *testing.T) {
		c := &settling{farCache: newFar()}
		c.near = true
		l := newLoader[string, int](t, c, opts)
		var s source
		start := time.Now()
		get(t, l, "k", s.load)
		wantTook(t, "the call", start, 0)
		time.Sleep(500 * time.Millisecond)
		for range 10 {
			r, err := l.Lookup(t.Context(), "k", s.load)
			want(t, "Lookup", r.Value, err, 1, nil)
			if r.Source != corral.SourceHit {
				t.Errorf("source is %v, want hit", r.Source)
			}
		}
		wantTook(t, "the calls", start, 500*time.Millisecond)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad after Delete = %d, want 2", v)
		}
	})
}

// settling shows a write a second after it returned.
type settling struct{ *farCache }

func (c *settling) Get(context.Context, string) (*corral.Entry[int], error) { return nil, nil }

func (c *settling) Settle(context.Context, string) error {
	time.Sleep(time.Second)
	return nil
}

func TestContract_W1_NothingFromBeforeADelete(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Minute, StaleIfError: time.Hour}
	both(t, "W1/a load that runs is not stored", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		joiner := make(chan int)
		go func() {
			v, _ := l.GetOrLoad(t.Context(), "k", s.load)
			joiner <- v
		}()
		time.Sleep(500 * time.Millisecond)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad after Delete = %d, want a load of its own", v)
		}
		wantTook(t, "it", start, time.Second)
		if v := <-joiner; v != 1 {
			t.Errorf("the joiner got %d, want 1", v)
		}
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want 2 from the cache", v)
		}
		s.wantLoads(t, 2)
		if stats := l.Stats(); stats.Discarded != 1 {
			t.Errorf("Discarded is %d, want 1", stats.Discarded)
		}
	})

	both(t, "W1/a refresh that runs is not stored", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		get(t, l, "k", s.load)
		time.Sleep(61 * time.Second)
		get(t, l, "k", s.load) // starts the refresh
		synctest.Wait()
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if v := get(t, l, "k", s.load); v != 3 {
			t.Errorf("GetOrLoad after Delete = %d, want a load of its own", v)
		}
		time.Sleep(10 * time.Second)
		if v := get(t, l, "k", s.load); v != 3 {
			t.Errorf("GetOrLoad = %d, want 3", v)
		}
	})

	both(t, "W1/the stale value does not stand in after it", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "k", s.load)
		time.Sleep(10 * time.Minute)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		s.fail(errSource)
		v, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", v, err, 0, errSource)
	})

	bubble(t, "W1/a shared read is detached", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, opts)
		s := source{}
		get(t, l, "k", s.load)
		synctest.Wait()
		c.took.Store(int64(100 * time.Millisecond))
		go l.GetOrLoad(t.Context(), "k", s.load) // reads the old value for 100 ms
		synctest.Wait()
		slow := &farCache{Cache: c.Cache} // the delete is faster than the read
		if err := slow.Cache.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		c.took.Store(0)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad after Delete = %d, want 2", v)
		}
	})

	bubble(t, "W1/Delete waits for the fill under way", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, CacheTimeout: time.Minute})
		var s source
		hang := make(chan struct{})
		go l.GetOrLoad(t.Context(), "k", func(ctx context.Context, key string) (int, error) {
			c.break_(nil, hang) // the fill hangs
			return s.load(ctx, key)
		})
		synctest.Wait()
		deleted := make(chan error, 1)
		go func() { deleted <- l.Delete(t.Context(), "k") }()
		synctest.Wait()
		if len(deleted) > 0 {
			t.Fatal("Delete returned while a fill was under way")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var failed *corral.KeyErrors[string]
		if err := l.Delete(ctx, "k"); !errors.As(err, &failed) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete with a deadline: %v, want KeyErrors around it", err)
		}
		c.break_(nil, nil)
		close(hang)
		if err := <-deleted; err != nil {
			t.Fatal(err)
		}
		if e, _ := c.Cache.Get(t.Context(), "k"); e != nil {
			t.Error("the fill stands after Delete")
		}
	})

	bubble(t, "W1/a flight that read during the delete is detached", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, opts)
		var s source
		get(t, l, "k", s.load)
		c.took.Store(int64(200 * time.Millisecond))
		go func() {
			time.Sleep(100 * time.Millisecond) // the delete is under way, the old value still there
			l.GetOrLoad(t.Context(), "k", s.load)
		}()
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		if v := get(t, l, "k", s.load); v == 1 {
			t.Error("GetOrLoad after Delete returned the value from before it")
		}
	})
}

func TestContract_W2_NothingFromBeforeASet(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Minute}
	both(t, "W2", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		go l.GetOrLoad(t.Context(), "k", s.load)
		time.Sleep(500 * time.Millisecond)
		if err := l.Set(t.Context(), "k", 99); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if v := get(t, l, "k", s.load); v != 99 {
				t.Errorf("GetOrLoad = %d, want 99", v)
			}
			time.Sleep(200 * time.Millisecond)
		}
		s.wantLoads(t, 1)
		r, err := l.Lookup(t.Context(), "k", s.load)
		if err != nil || r.TTL != time.Minute-2*time.Second {
			t.Errorf("TTL is %v, %v; want 58s", r.TTL, err)
		}
	})
}

func TestContract_W3_AFailedWriteIsAnError(t *testing.T) {
	broken := errors.New("broken pipe")
	for _, near := range []bool{true, false} {
		bubble(t, map[bool]string{true: "W3/near", false: "W3/far"}[near], func(t *testing.T) {
			c := newFar()
			c.near = near
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
			c.break_(broken, nil)
			if err := l.Delete(t.Context(), "a"); !errors.Is(err, broken) {
				t.Errorf("Delete: %v, want %v", err, broken)
			}
			if err := l.Set(t.Context(), "a", 1); !errors.Is(err, broken) {
				t.Errorf("Set: %v, want %v", err, broken)
			}
			if stats := l.Stats(); stats.CacheErrors != 2 {
				t.Errorf("CacheErrors is %d, want 2", stats.CacheErrors)
			}
		})
	}
	bubble(t, "W3/hanging", func(t *testing.T) {
		c := newFar()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		hang := make(chan struct{})
		c.break_(nil, hang)
		start := time.Now()
		if err := l.Delete(t.Context(), "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete: %v, want a timeout", err)
		}
		wantTook(t, "Delete", start, 500*time.Millisecond)
		close(hang)
	})
}
