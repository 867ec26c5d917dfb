package corral_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// A source that fails, hangs, panics or exits, with and without a stale value.

// failing returns a source that takes a second to fail in the way of end.
func failing(loads *atomic.Int64, end func() error) corral.LoadFunc[string, int] {
	return func(context.Context, string) (int, error) {
		loads.Add(1)
		time.Sleep(time.Second)
		return 0, end()
	}
}

// ends are the ways in which a load can end badly.
var ends = []struct {
	name string
	end  func() error
	want func(error) bool
}{
	{"fails", func() error { return errSource }, func(err error) bool { return err == errSource }},
	{"panics", func() error { panic("secret") }, func(err error) bool {
		var p *corral.PanicError
		return errors.As(err, &p) && p.Value == "secret" && strings.Contains(string(p.Stack), "stampede_source_test.go")
	}},
	{"panics with an error", func() error { panic(errSource) }, func(err error) bool {
		var p *corral.PanicError
		return errors.As(err, &p) && errors.Is(err, errSource)
	}},
	{"exits", func() error { runtime.Goexit(); return nil }, func(err error) bool { return err == corral.ErrGoexit }},
}

func overEnds(t *testing.T, test func(t *testing.T, cache corral.Cache[string, int], end func() error, want func(error) bool)) {
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, cache corral.Cache[string, int]) { test(t, cache, e.end, e.want) })
		})
	}
}

func TestStampede_SourceFailsOnColdKey(t *testing.T) {
	overEnds(t, func(t *testing.T, cache corral.Cache[string, int], end func() error, want func(error) bool) {
		var loads atomic.Int64
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, StaleFor: time.Minute, StaleIfError: time.Hour})
		answers := askAll(t.Context(), 1000, l, "k", failing(&loads, end))
		for _, got := range answers {
			if got.value != 0 || !want(got.err) || got.waited != time.Second || got.err != answers[0].err {
				t.Fatalf("a caller got %+v, want the load's own end after 1s", got)
			}
		}
		if n := loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
		src := &source{took: time.Second} // the source is back: the key works at once
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{1, nil, time.Second})
		src.wantLoads(t, 1)
	})
}

// While a stale value exists a failing source costs no caller anything, and is
// asked again only after a pause.
func TestStampede_SourceFailsOnStaleKey(t *testing.T) {
	overEnds(t, func(t *testing.T, cache corral.Cache[string, int], end func() error, _ func(error) bool) {
		var loads atomic.Int64
		good := &source{}
		l := newLoader(t, cache, corral.Options{
			TTL: time.Minute, StaleFor: time.Hour, RetryMin: 10 * time.Second, RetryMax: 10 * time.Second,
		})
		ask(t.Context(), l, "k", good.load)
		time.Sleep(time.Minute)
		for range 55 { // one load takes 1 s, then 10 s of pause: 5 loads in 55 s
			wantAll(t, askAll(t.Context(), 20, l, "k", failing(&loads, end)), answer{1, nil, 0})
			time.Sleep(time.Second)
		}
		if n := loads.Load(); n != 5 {
			t.Errorf("%d loads, want 5", n)
		}
		if got := l.Stats().RefreshErrs; got != 5 {
			t.Errorf("Stats tells of %d failed refreshes, want 5", got)
		}
	})
}

// Callers who come at the very instant at which a refresh fails do not start the
// next one: what they saw before is not what they act upon.
func TestStampede_SourceFailsAsCallersCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 2000
		l := memLoader(t, corral.Options{
			TTL: time.Minute, StaleFor: time.Hour, RetryMin: time.Minute, RetryMax: time.Minute, MaxRefreshes: keys,
		})
		var loads atomic.Int64
		load := failing(&loads, ends[0].end)
		for i := range keys {
			get(t, l, fmt.Sprint(i), (&source{}).load)
		}
		time.Sleep(time.Minute)
		crowd(4*keys, func(i int) {
			for range 3 {
				if got := ask(t.Context(), l, fmt.Sprint(i/4), load); got.err != nil || got.waited != 0 {
					t.Errorf("caller %d got %+v, want the stale value at once", i, got)
				}
				time.Sleep(time.Second)
			}
		})
		if n := loads.Load(); n != keys {
			t.Errorf("%d loads, want one for each of %d keys", n, keys)
		}
	})
}

// Past StaleFor callers wait for the load, once; then the stale value stands in.
func TestStampede_SourceFailsWithinStaleIfError(t *testing.T) {
	overEnds(t, func(t *testing.T, cache corral.Cache[string, int], end func() error, _ func(error) bool) {
		var loads atomic.Int64
		good := &source{}
		l := newLoader(t, cache, corral.Options{
			TTL: time.Minute, StaleIfError: time.Hour, RetryMin: 10 * time.Second, RetryMax: 10 * time.Second,
		})
		ask(t.Context(), l, "k", good.load)
		time.Sleep(time.Minute)
		wantAll(t, askAll(t.Context(), 1000, l, "k", failing(&loads, end)), answer{1, nil, time.Second})
		wantAll(t, askAll(t.Context(), 1000, l, "k", failing(&loads, end)), answer{1, nil, 0})
		if n := loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

// hanging is a source that answers nobody before release is closed, and does not
// look at its context.
type hanging struct {
	loads   atomic.Int64
	release chan struct{}
}

func hang(t *testing.T) *hanging {
	h := &hanging{release: make(chan struct{})}
	t.Cleanup(func() { close(h.release) })
	return h
}

func (h *hanging) load(context.Context, string) (int, error) {
	n := h.loads.Add(1)
	<-h.release
	return -int(n), nil
}

func TestStampede_SourceHangs(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, LoadTimeout: 5 * time.Second, MaxLoads: 1})
		h := hang(t)
		wantAll(t, askAll(t.Context(), 1000, l, "k", h.load), answer{0, corral.ErrLoadTimeout, 5 * time.Second})
		if n, stuck := h.loads.Load(), l.Stats().Stuck; n != 1 || stuck != 1 {
			t.Errorf("%d loads of which %d hang, want 1 and 1", n, stuck)
		}
		// The one that hangs holds neither the key nor the only place of MaxLoads.
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{1, nil, 0})
		wantAll(t, askAll(t.Context(), 1000, l, "other", src.load), answer{2, nil, 0})
	})
}

func TestStampede_SourceHangsWithStaleValue(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{}
		l := newLoader(t, cache, corral.Options{
			TTL: time.Minute, StaleIfError: time.Hour, SoftTimeout: 200 * time.Millisecond, LoadTimeout: 5 * time.Second,
			RetryMin: time.Minute, RetryMax: time.Minute,
		})
		ask(t.Context(), l, "k", src.load)
		time.Sleep(time.Minute)
		h := hang(t)
		wantAll(t, askAll(t.Context(), 1000, l, "k", h.load), answer{1, nil, 200 * time.Millisecond})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		wantAll(t, askAll(ctx, 1000, l, "k", h.load), answer{1, nil, 0}) // the patience is the load's, not each caller's
		time.Sleep(5 * time.Second)
		wantAll(t, askAll(t.Context(), 1000, l, "k", h.load), answer{1, nil, 0}) // and a failed load is not tried again at once
		if n := h.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

// Callers of a source that hangs leave at their own deadline.
func TestStampede_SourceHangsAndCallersLeave(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, LoadTimeout: time.Minute})
		h := hang(t)
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			wantAll(t, askAll(ctx, 100, l, "k", h.load), answer{0, context.DeadlineExceeded, time.Second})
			cancel()
		}
		if n := h.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}
