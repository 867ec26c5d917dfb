package sharded_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sub runs a sub-test in a bubble of its own.
func sub(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

type (
	group  = sharded.Group[string, int]
	result = sharded.Result[int]
	load   = func(context.Context) (int, error)
)

func newGroup(opts sharded.Options[string]) *group { return sharded.NewGroup[string, int](opts) }

// counter is a source that counts its loads.
type counter struct{ loads atomic.Int64 }

// takes returns a load that takes d, whatever its context says, and returns its
// number.
func (c *counter) takes(d time.Duration) load {
	return func(context.Context) (int, error) {
		n := c.loads.Add(1)
		time.Sleep(d)
		return int(n), nil
	}
}

func (c *counter) want(t *testing.T, loads int64) {
	t.Helper()
	if got := c.loads.Load(); got != loads {
		t.Errorf("%d loads, want %d", got, loads)
	}
}

// call calls Do on a goroutine and returns where its result comes.
func call(ctx context.Context, g *group, key string, fn load) <-chan result {
	results := make(chan result, 1)
	go func() {
		v, shared, err := g.Do(ctx, key, fn)
		results <- result{Value: v, Shared: shared, Err: err}
	}()
	settle(ctx)
	return results
}

// settle waits until everybody waits, unless ctx is that of a call inside a load:
// there the test itself goes on meanwhile.
func settle(ctx context.Context) {
	if ctx.Value(inside{}) == nil {
		synctest.Wait()
	}
}

// inside marks a context of a call inside a load.
type inside struct{}

// calls is the ways to ask for a key: they must not differ.
var calls = map[string]func(context.Context, *group, string, load) <-chan result{
	"Do": call,
	"DoChan": func(ctx context.Context, g *group, key string, fn load) <-chan result {
		results := g.DoChan(ctx, key, fn)
		settle(ctx)
		return results
	},
}

// each runs a sub-test per way to ask.
func each(t *testing.T, f func(t *testing.T, ask func(context.Context, *group, string, load) <-chan result)) {
	t.Helper()
	for name, ask := range calls {
		sub(t, name, func(t *testing.T) { f(t, ask) })
	}
}

func cancellable(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx
}

func waiters(g *group, key string) int {
	for k, f := range g.InFlight() {
		if k == key {
			return f.Waiters
		}
	}
	return -1
}
