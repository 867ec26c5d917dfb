package layered_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

type (
	entry = *corral.Entry[int]
	store = memadapter.Shared[string, int]
	cache = layered.Cache[string, int]
)

func openRistretto[V any](t testing.TB) *ristretto.Cache[string, ristrettoadapter.Item[V]] {
	t.Helper()
	c, err := ristretto.NewCache(&ristretto.Config[string, ristrettoadapter.Item[V]]{
		NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64, IgnoreInternalCost: true,
	})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// process is one process of a fleet: its near cache, its view of the store, and
// both as one.
type process struct {
	t    testing.TB
	near *nearCache
	far  *farCache
	*cache
}

func newProcess(t testing.TB, s *store, opts layered.Options) *process {
	near := &nearCache{Cache: memadapter.New[string, int]()}
	far := &farCache{Process: s.Process(), cut: make(chan struct{})}
	return &process{t, near, far, layered.New(near, far, opts)}
}

// hearing is newProcess that hears what the others write.
func hearing(t *testing.T, s *store, opts layered.Options) *process {
	p := newProcess(t, s, opts)
	p.listen(func(...string) {})
	return p
}

// listen hears until the end of the test and returns what ends it before. It
// returns once it hears.
func (p *process) listen(drop func(...string)) (stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	begun, ended := make(chan struct{}), make(chan struct{})
	heard := false
	go func() {
		defer close(ended)
		_ = p.Listen(ctx, func(keys ...string) {
			if !heard {
				heard = true
				close(begun)
			}
			drop(keys...)
		})
	}()
	<-begun
	stop = func() { cancel(); <-ended }
	p.t.Cleanup(stop)
	return stop
}

// copyOf returns what a hit would be, without asking far.
func (p *process) copyOf(key string) entry {
	p.t.Helper()
	near, _ := p.Layers()
	e, err := near.Get(context.Background(), key)
	must(p.t, err)
	return e
}

func (p *process) read(key string) entry {
	p.t.Helper()
	e, err := p.Get(context.Background(), key)
	must(p.t, err)
	return e
}

func (p *process) wantCopy(key string, value int, when string) {
	p.t.Helper()
	if e := p.copyOf(key); e == nil || e.Value != value {
		p.t.Errorf("%s near serves %v, want %d", when, show(e), value)
	}
}

func (p *process) wantNone(key, when string) {
	p.t.Helper()
	if e := p.copyOf(key); e != nil {
		p.t.Errorf("%s near serves %v, want nothing", when, show(e))
	}
}

// nearCache is a near cache that can fail.
type nearCache struct {
	*memadapter.Cache[string, int]
	getErr, setErr, deleteErr, settleErr, checkErr error

	sets, deletes atomic.Int64
	panics        bool
	onDelete      func(ctx context.Context)
}

func (c *nearCache) Get(ctx context.Context, key string) (entry, error) {
	if c.getErr != nil {
		return nil, c.getErr
	}
	return c.Cache.Get(ctx, key)
}

func (c *nearCache) Set(ctx context.Context, key string, e entry) error {
	c.sets.Add(1)
	if c.panics {
		panic("near")
	}
	if c.setErr != nil {
		return c.setErr
	}
	return c.Cache.Set(ctx, key, e)
}

func (c *nearCache) Delete(ctx context.Context, key string) error {
	c.deletes.Add(1)
	if c.onDelete != nil {
		c.onDelete(ctx)
	}
	if c.deleteErr != nil {
		return c.deleteErr
	}
	return c.Cache.Delete(ctx, key)
}

func (c *nearCache) Check() error { return c.checkErr }

func (c *nearCache) Settle(context.Context, string) error { return c.settleErr }

// farCache is a view of the store whose calls can be stopped on their way there,
// on their way back, and fail.
type farCache struct {
	*memadapter.Process[string, int]
	going, coming func(op string) error // nil: at once

	reads atomic.Int64
	cut   chan struct{} // sent to, ends a Listen
}

func (c *farCache) call(op string, do func()) error {
	if c.going != nil {
		if err := c.going(op); err != nil {
			return err
		}
	}
	do()
	if c.coming != nil {
		return c.coming(op)
	}
	return nil
}

func (c *farCache) Get(ctx context.Context, key string) (e entry, err error) {
	c.reads.Add(1)
	failed := c.call("Get", func() { e, err = c.Process.Get(ctx, key) })
	return e, errors.Join(failed, err)
}

func (c *farCache) Set(ctx context.Context, key string, e entry) (err error) {
	failed := c.call("Set", func() { err = c.Process.Set(ctx, key, e) })
	return errors.Join(failed, err)
}

func (c *farCache) Delete(ctx context.Context, key string) (err error) {
	failed := c.call("Delete", func() { err = c.Process.Delete(ctx, key) })
	return errors.Join(failed, err)
}

func (c *farCache) Acquire(ctx context.Context, key string, r corral.LeaseRequest[int]) (l corral.Lease[int], err error) {
	failed := c.call("Acquire", func() { l, err = c.Process.Acquire(ctx, key, r) })
	return l, errors.Join(failed, err)
}

func (c *farCache) Fill(ctx context.Context, key, token string, e entry) (err error) {
	failed := c.call("Fill", func() { err = c.Process.Fill(ctx, key, token, e) })
	return errors.Join(failed, err)
}

func (c *farCache) Listen(ctx context.Context, drop func(...string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-c.cut:
			cancel(errBoom)
		case <-ctx.Done():
		}
	}()
	return c.Process.Listen(ctx, drop)
}

// lasting is an entry made now that is fresh for a minute and kept for two.
func lasting(value int) entry {
	return &corral.Entry[int]{Value: value, LoadedAt: time.Now(), TTL: time.Minute, Keep: 2 * time.Minute}
}

func show(e entry) any {
	if e == nil {
		return "nothing"
	}
	return e.Value
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newStore() *store { return memadapter.NewShared[string, int](2 * time.Second) }
