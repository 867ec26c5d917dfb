package corral_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// promptCache is a far cache that says that it keeps to its deadline, and knows
// whether it is read on the goroutine of a test's caller.
type promptCache struct {
	*farCache
	here   atomic.Int64 // reads on a caller's goroutine
	before func()       // called by Get first, nil for nothing
}

func newPrompt() *promptCache { return &promptCache{farCache: newFar()} }

func (c *promptCache) Prompt() bool { return true }

func (c *promptCache) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	if strings.Contains(string(debug.Stack()), ".GetOrLoad(") {
		c.here.Add(1)
	}
	if c.before != nil {
		c.before()
	}
	return c.farCache.Get(ctx, key)
}

// A caller that nothing can call off reads a prompt cache by itself; any other is
// free to leave, so another goroutine reads for it.
func TestContract_C3_WhoReadsAPromptCache(t *testing.T) {
	bubble(t, "C3", func(t *testing.T) {
		c := newPrompt()
		l := newLoader(t, c, corral.Options{TTL: time.Minute})
		must(t, l.Set(t.Context(), "k", 7))
		s := source{}
		for ctx, want := range map[context.Context]int64{context.Background(): 1, t.Context(): 0} {
			c.here.Store(0)
			v, err := l.GetOrLoad(ctx, "k", s.load)
			if v != 7 || err != nil || c.here.Load() != want {
				t.Errorf("GetOrLoad = %d, %v, with %d reads on its goroutine, want 7 and %d", v, err, c.here.Load(), want)
			}
		}
		s.wantLoads(t, 0)
	})
}

// The load does not run on the caller's goroutine, whoever has read.
func TestContract_C6_ALoadAfterAPromptRead(t *testing.T) {
	for name, end := range map[string]func() (int, error){
		"returns": func() (int, error) { return 7, nil },
		"panics":  func() (int, error) { panic("boom") },
		"exits":   func() (int, error) { runtime.Goexit(); return 0, nil },
	} {
		bubble(t, "C6/"+name, func(t *testing.T) {
			l := newLoader(t, newPrompt(), corral.Options{TTL: time.Minute})
			var stack string
			v, err := l.GetOrLoad(context.Background(), "k", func(context.Context, string) (int, error) {
				stack = string(debug.Stack())
				return end()
			})
			if strings.Contains(stack, ".GetOrLoad(") {
				t.Errorf("the load ran on the caller's goroutine:\n%s", stack)
			}
			var panicked *corral.PanicError
			switch {
			case name == "returns" && v == 7 && err == nil:
			case name == "panics" && errors.As(err, &panicked):
			case name == "exits" && errors.Is(err, corral.ErrGoexit):
			default:
				t.Errorf("GetOrLoad = %d, %v", v, err)
			}
			synctest.Wait()
			want(t, "a second call", get(t, l, "other", func(context.Context, string) (int, error) { return 8, nil }), nil, 8, nil)
		})
	}
}

// A read that hangs holds up nobody but the caller whose goroutine it is on: the
// others have the value once it was given up, and one load ran.
func TestContract_A2_APromptReadThatHangs(t *testing.T) {
	bubble(t, "A2", func(t *testing.T) {
		c := newPrompt()
		hang := make(chan struct{})
		c.break_(nil, hang)
		l := newLoader(t, c, corral.Options{TTL: time.Minute, CacheTimeout: 100 * time.Millisecond})
		s := source{took: 10 * time.Millisecond}
		start := time.Now()
		var callers sync.WaitGroup
		callers.Go(func() {
			v, err := l.GetOrLoad(context.Background(), "k", s.load)
			want(t, "the reader", v, err, 1, nil)
			wantTook(t, "the reader", start, time.Second)
		})
		synctest.Wait()
		for range 10 {
			callers.Go(func() {
				v, err := l.GetOrLoad(context.Background(), "k", s.load)
				want(t, "a waiter", v, err, 1, nil)
				if took := time.Since(start); took > 300*time.Millisecond {
					t.Errorf("a waiter took %v", took)
				}
			})
		}
		time.Sleep(time.Second)
		close(hang)
		callers.Wait()
		s.wantLoads(t, 1)
	})
}

// What a Delete came before is served and not read again by those who come later.
func TestContract_W1_ADeleteDuringAPromptRead(t *testing.T) {
	bubble(t, "W1", func(t *testing.T) {
		c := newPrompt()
		l := newLoader(t, c, corral.Options{TTL: time.Minute})
		must(t, l.Set(t.Context(), "k", 7))
		entered, proceed := make(chan struct{}), make(chan struct{})
		var reads atomic.Int64
		c.before = func() {
			if reads.Add(1) == 1 {
				close(entered)
				<-proceed
			}
		}
		s := source{}
		var caller sync.WaitGroup
		caller.Go(func() { _, _ = l.GetOrLoad(context.Background(), "k", s.load) })
		<-entered
		must(t, l.Delete(t.Context(), "k"))
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("after the Delete: %d, want what was loaded since", v)
		}
		close(proceed)
		caller.Wait()
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("after the read: %d, want what was loaded since the Delete", v)
		}
	})
}

// A cache that ends its caller's goroutine takes that caller along, not the others.
func TestContract_A1_APromptReadThatPanicsOrExits(t *testing.T) {
	for name, before := range map[string]func(){"panics": func() { panic("boom") }, "exits": runtime.Goexit} {
		bubble(t, "A1/"+name, func(t *testing.T) {
			c := newPrompt()
			entered := make(chan struct{})
			var reads atomic.Int64
			c.before = func() {
				if reads.Add(1) == 1 {
					close(entered)
					time.Sleep(time.Millisecond)
					before()
				}
			}
			l := newLoader(t, c, corral.Options{TTL: time.Minute})
			s := source{}
			var callers sync.WaitGroup
			callers.Go(func() {
				v, err := l.GetOrLoad(context.Background(), "k", s.load)
				want(t, "the reader", v, err, 1, nil)
			})
			<-entered
			callers.Go(func() { want(t, "a waiter", get(t, l, "k", s.load), nil, 1, nil) })
			callers.Wait()
			s.wantLoads(t, 1)
			if n := l.Stats().CacheErrors; n != 1 {
				t.Errorf("%d cache errors, want 1", n)
			}
		})
	}
}

// Stale values are served by the reader itself, and the refresh is another's.
func TestContract_F2_APromptReadOfAStaleValue(t *testing.T) {
	bubble(t, "F2", func(t *testing.T) {
		l := newLoader(t, newPrompt(), corral.Options{TTL: time.Minute, StaleFor: time.Hour})
		must(t, l.Set(t.Context(), "k", 7))
		time.Sleep(2 * time.Minute)
		s := source{took: time.Second}
		start := time.Now()
		v, err := l.GetOrLoad(context.Background(), "k", s.load)
		want(t, "the reader", v, err, 7, nil)
		wantTook(t, "the reader", start, 0)
		time.Sleep(2 * time.Second)
		v, err = l.GetOrLoad(context.Background(), "k", s.load)
		want(t, "later", v, err, 1, nil)
	})
}

// After Close a prompt cache is not read, and a read under way is waited for.
func TestContract_L1_CloseDuringAPromptRead(t *testing.T) {
	bubble(t, "L1", func(t *testing.T) {
		c := newPrompt()
		c.took.Store(int64(50 * time.Millisecond))
		l := newLoader(t, c, corral.Options{TTL: time.Minute})
		start := time.Now()
		go func() { _, _ = l.GetOrLoad(context.Background(), "k", (&source{}).load) }()
		synctest.Wait()
		must(t, l.Close(context.Background()))
		wantTook(t, "Close", start, 100*time.Millisecond)
		if _, err := l.GetOrLoad(context.Background(), "k", (&source{}).load); !errors.Is(err, corral.ErrClosed) {
			t.Errorf("err = %v, want ErrClosed", err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
