package corral_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// bubble runs a sub-test in fake time.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// newLoader returns a Loader that is closed, with nothing left under way, when
// the test ends.
func newLoader[K comparable, V any](t *testing.T, cache corral.Cache[K, V], opts corral.Options) *corral.Loader[K, V] {
	t.Helper()
	l, err := corral.New(cache, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// memLoader is a Loader over memory.
func memLoader(t *testing.T, opts corral.Options) *corral.Loader[string, int] {
	t.Helper()
	return newLoader(t, memadapter.New[string, int](), opts)
}

// source counts its loads. Each takes the given time and returns its number.
type source struct {
	took    time.Duration
	loads   atomic.Int64
	running atomic.Int64
	peak    atomic.Int64
	mu      sync.Mutex
	err     error // guarded by mu
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// load ignores the end of its context.
func (s *source) load(context.Context, string) (int, error) {
	n := s.loads.Add(1)
	if now := s.running.Add(1); now > s.peak.Load() {
		s.peak.Store(now)
	}
	defer s.running.Add(-1)
	time.Sleep(s.took)
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(n), s.err
}

// wantLoads checks how often the source was asked.
func (s *source) wantLoads(t *testing.T, want int64) {
	t.Helper()
	if got := s.loads.Load(); got != want {
		t.Errorf("the source was asked %d times, want %d", got, want)
	}
}

// want checks a value and an error.
func want(t *testing.T, what string, got int, err error, wantValue int, wantErr error) {
	t.Helper()
	if got != wantValue || !errors.Is(err, wantErr) {
		t.Errorf("%s = %d, %v; want %d, %v", what, got, err, wantValue, wantErr)
	}
}

// wantTook checks how much fake time has passed.
func wantTook(t *testing.T, what string, start time.Time, want time.Duration) {
	t.Helper()
	if took := time.Since(start); took != want {
		t.Errorf("%s took %v, want %v", what, took, want)
	}
}

// get is GetOrLoad with a fatal error.
func get(t *testing.T, l *corral.Loader[string, int], key string, load corral.LoadFunc[string, int]) int {
	t.Helper()
	v, err := l.GetOrLoad(t.Context(), key, load)
	if err != nil {
		t.Fatalf("GetOrLoad: %v", err)
	}
	return v
}

// flying counts the goroutines on which Loaders' flights run, in this test and,
// while it runs alone, everywhere. runtime.NumGoroutine would count those of
// earlier tests too that are about to end.
func flying() int {
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "]).fly(")
}

// farCache is a far cache in memory whose calls can be made to take time, fail
// or hang.
type farCache struct {
	corral.Cache[string, int]
	near    bool
	took    atomic.Int64
	reads   atomic.Int64
	writes  atomic.Int64
	deletes atomic.Int64
	mu      sync.Mutex
	err     error         // guarded by mu
	hang    chan struct{} // calls wait until it is closed, whatever their context says; guarded by mu
}

func newFar() *farCache { return &farCache{Cache: memadapter.New[string, int]()} }

func (c *farCache) Far() bool { return !c.near }

func (c *farCache) break_(err error, hang chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.hang = err, hang
}

func (c *farCache) call(calls *atomic.Int64) error {
	calls.Add(1)
	c.mu.Lock()
	err, hang := c.err, c.hang
	c.mu.Unlock()
	time.Sleep(time.Duration(c.took.Load()))
	if hang != nil {
		<-hang
	}
	return err
}

func (c *farCache) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	if err := c.call(&c.reads); err != nil {
		return nil, err
	}
	return c.Cache.Get(ctx, key)
}

func (c *farCache) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	if err := c.call(&c.writes); err != nil {
		return err
	}
	return c.Cache.Set(ctx, key, e)
}

func (c *farCache) Delete(ctx context.Context, key string) error {
	if err := c.call(&c.deletes); err != nil {
		return err
	}
	return c.Cache.Delete(ctx, key)
}

// both runs a test over a near cache and over a far one.
func both(t *testing.T, name string, opts corral.Options, test func(t *testing.T, l *corral.Loader[string, int])) {
	t.Helper()
	bubble(t, name+"/near", func(t *testing.T) { test(t, memLoader(t, opts)) })
	bubble(t, name+"/far", func(t *testing.T) { test(t, newLoader[string, int](t, newFar(), opts)) })
}
