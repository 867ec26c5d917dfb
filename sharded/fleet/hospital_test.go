package fleet_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// patient is a far cache that does before each call what a test wants.
type patient struct {
	*memadapter.Cache[string, string]
	reads, writes atomic.Int64
	before        atomic.Pointer[func(ctx context.Context, call string) error]
}

func (p *patient) Far() bool { return true }

func (p *patient) do(before func(ctx context.Context, call string) error) { p.before.Store(&before) }

func (p *patient) fails(err error) {
	p.do(func(context.Context, string) error { return err })
}

// hangs until the context ends.
func hangs(ctx context.Context, _ string) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (p *patient) call(ctx context.Context, call string) error {
	if strings.HasPrefix(call, "get") {
		p.reads.Add(1)
	} else {
		p.writes.Add(1)
	}
	if before := p.before.Load(); before != nil {
		return (*before)(ctx, call)
	}
	return nil
}

func (p *patient) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	if err := p.call(ctx, "get"); err != nil {
		return nil, err
	}
	return p.Cache.Get(ctx, key)
}

func (p *patient) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[string], error) {
	if err := p.call(ctx, "get many"); err != nil {
		return make([]*corral.Entry[string], len(keys)), err
	}
	return p.Cache.GetMany(ctx, keys)
}

func (p *patient) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	if err := p.call(ctx, "set"); err != nil {
		return err
	}
	return p.Cache.Set(ctx, key, e)
}

func (p *patient) Delete(ctx context.Context, key string) error {
	if err := p.call(ctx, "delete"); err != nil {
		return err
	}
	return p.Cache.Delete(ctx, key)
}

func (p *patient) DeleteMany(ctx context.Context, keys []string) error {
	if err := p.call(ctx, "delete many"); err != nil {
		return err
	}
	return p.Cache.DeleteMany(ctx, keys)
}

// hospital is a fleet of patients.
type hospital struct {
	*fleet.Fleet[string, string]
	t        *testing.T
	patients []*patient
	keys     [][]string // some of each shard
	mu       sync.Mutex
	changes  []string // that the hook was told of; guarded by mu
}

func newHospital(t *testing.T, n int, opts fleet.Options[string]) *hospital {
	h := &hospital{t: t}
	opts.Hooks.HealthChange = func(_ context.Context, e fleet.HealthChange) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.changes = append(h.changes, fmt.Sprintf("%s %v>%v out=%v", e.Shard.ID, e.From, e.To, e.Out))
	}
	h.Fleet, _ = open(t, equal(n), opts, func(int) corral.Cache[string, string] {
		h.patients = append(h.patients, &patient{Cache: memadapter.New[string, string]()})
		return h.patients[len(h.patients)-1]
	})
	h.keys = keysOn(h.Fleet, n, 20)
	return h
}

// get reads a key of the i-th shard so often, and returns the last error.
func (h *hospital) get(i, times int) (err error) {
	for range times {
		_, err = h.Get(h.t.Context(), h.keys[i][0])
	}
	return err
}

// putOut makes the i-th shard fail until it is out.
func (h *hospital) putOut(i int) {
	h.t.Helper()
	h.patients[i].fails(errDown)
	_ = h.get(i, 3)
	if !h.Health()[i].Out {
		h.t.Fatalf("shard %d is not out: %+v", i, h.Health()[i])
	}
}

// recover makes the i-th shard work, and asks for its keys until it is read again.
func (h *hospital) recover(i int) (took time.Duration) {
	h.t.Helper()
	start := time.Now()
	h.patients[i].fails(nil)
	for h.Health()[i].Out {
		if took = time.Since(start); took > 2*time.Minute {
			h.t.Fatalf("shard %d is still out after %v: %+v", i, took, h.Health()[i])
		}
		_ = h.get(i, 1)
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
	}
	return took
}

func (h *hospital) wantChanges(want ...string) {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if fmt.Sprint(h.changes) != fmt.Sprint(want) {
		h.t.Errorf("the hook was told of %q, want %q", h.changes, want)
	}
}
