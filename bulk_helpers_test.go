package corral_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// batchCache is a farCache, or a near one, that takes many keys in one call.
type batchCache struct {
	*farCache
	gets, sets, dels atomic.Int64 // calls

	mu  sync.Mutex
	bad map[string]error // guarded by mu
}

func newBatch(near bool) *batchCache {
	c := &batchCache{farCache: newFar()}
	c.near = near
	return c
}

// spoil lets the calls for some keys fail.
func (c *batchCache) spoil(bad map[string]error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad = bad
}

func (c *batchCache) many(calls *atomic.Int64, keys []string, do func(i int) error) error {
	var each atomic.Int64
	if err := c.call(&each); err != nil {
		return err
	}
	calls.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := map[string]error{}
	for i, key := range keys {
		err := c.bad[key]
		if err == nil {
			err = do(i)
		}
		if err != nil {
			failed[key] = err
		}
	}
	if len(failed) > 0 {
		return &corral.KeyErrors[string]{Errors: failed}
	}
	return nil
}

func (c *batchCache) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[int], error) {
	entries := make([]*corral.Entry[int], len(keys))
	err := c.many(&c.gets, keys, func(i int) (err error) {
		entries[i], err = c.Cache.Get(ctx, keys[i])
		return err
	})
	return entries, err
}

func (c *batchCache) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[int]) error {
	return c.many(&c.sets, keys, func(i int) error { return c.Cache.Set(ctx, keys[i], entries[i]) })
}

func (c *batchCache) DeleteMany(ctx context.Context, keys []string) error {
	return c.many(&c.dels, keys, func(i int) error { return c.Cache.Delete(ctx, keys[i]) })
}

// overBulk runs a test over each kind of cache that bulk calls tell apart.
func overBulk(t *testing.T, name string, opts corral.Options, test func(t *testing.T, l *corral.Loader[string, int])) {
	t.Helper()
	caches := map[string]func() corral.Cache[string, int]{
		"near": func() corral.Cache[string, int] {
			return struct{ corral.Cache[string, int] }{memadapter.New[string, int]()}
		},
		"near batch": func() corral.Cache[string, int] { return newBatch(true) },
		"plain": func() corral.Cache[string, int] {
			return struct{ corral.PlainCache[string, int] }{memadapter.Plain[string, int]()}
		},
		"batch plain": func() corral.Cache[string, int] { return memadapter.Plain[string, int]() },
		"far":         func() corral.Cache[string, int] { return newFar() },
		"far batch":   func() corral.Cache[string, int] { return newBatch(false) },
		"leases": func() corral.Cache[string, int] {
			return oneByOne(memadapter.NewShared[string, int](leaseLife).Process())
		},
		"leases batch": func() corral.Cache[string, int] {
			return &batchProcess{process: &process{Process: memadapter.NewShared[string, int](leaseLife).Process()}}
		},
	}
	for kind, open := range caches {
		bubble(t, name+"/"+kind, func(t *testing.T) { test(t, newLoader(t, open(), opts)) })
	}
}

// single is a process that takes one key at a time, whatever it can itself.
type single struct {
	corral.Cache[string, int]
	corral.Leaser[string, int]
	corral.Listener[string]
}

func oneByOne(p interface {
	corral.Cache[string, int]
	corral.Leaser[string, int]
	corral.Listener[string]
}) corral.Cache[string, int] {
	return &single{p, p, p}
}

func (*single) Far() bool { return true }

// batchProcess is a process that takes many keys in one call.
type batchProcess struct {
	*process
	asks, reads, stores, ends atomic.Int64 // calls
}

func eachKey(keys []string, do func(i int) error) error {
	failed := map[string]error{}
	for i, key := range keys {
		if err := do(i); err != nil {
			failed[key] = err
		}
	}
	if len(failed) > 0 {
		return &corral.KeyErrors[string]{Errors: failed}
	}
	return nil
}

func (p *batchProcess) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[int], error) {
	p.reads.Add(1)
	entries := make([]*corral.Entry[int], len(keys))
	return entries, eachKey(keys, func(i int) (err error) { entries[i], err = p.Get(ctx, keys[i]); return err })
}

func (p *batchProcess) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[int]) error {
	return eachKey(keys, func(i int) error { return p.Set(ctx, keys[i], entries[i]) })
}

func (p *batchProcess) DeleteMany(ctx context.Context, keys []string) error {
	return eachKey(keys, func(i int) error { return p.Delete(ctx, keys[i]) })
}

func (p *batchProcess) AcquireMany(ctx context.Context, keys []string, asks []corral.LeaseRequest[int]) ([]corral.Lease[int], error) {
	p.asks.Add(1)
	got := make([]corral.Lease[int], len(keys))
	return got, eachKey(keys, func(i int) (err error) { got[i], err = p.Acquire(ctx, keys[i], asks[i]); return err })
}

func (p *batchProcess) RenewMany(ctx context.Context, keys, tokens []string) error {
	return eachKey(keys, func(i int) error { return p.Renew(ctx, keys[i], tokens[i]) })
}

func (p *batchProcess) FillMany(ctx context.Context, keys, tokens []string, entries []*corral.Entry[int]) error {
	p.stores.Add(1)
	return eachKey(keys, func(i int) error { return p.Fill(ctx, keys[i], tokens[i], entries[i]) })
}

func (p *batchProcess) ReleaseMany(ctx context.Context, keys, tokens []string) error {
	p.ends.Add(1)
	return eachKey(keys, func(i int) error { return p.Release(ctx, keys[i], tokens[i]) })
}

// bulkSource counts, per key, how often it was loaded, and returns that number.
type bulkSource struct {
	mu    sync.Mutex
	took  time.Duration    // guarded by mu once it loads
	calls [][]string       // guarded by mu
	loads map[string]int   // guarded by mu
	fails map[string]error // guarded by mu
	err   error            // guarded by mu
}

func (s *bulkSource) load(_ context.Context, keys []string) (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loads == nil {
		s.loads = map[string]int{}
	}
	s.calls = append(s.calls, slices.Sorted(slices.Values(keys)))
	values, failed := map[string]int{}, map[string]error{}
	for _, key := range keys {
		s.loads[key]++
		if err := s.fails[key]; err != nil {
			failed[key] = err
		} else {
			values[key] = s.loads[key]
		}
	}
	err, took := s.err, s.took
	s.mu.Unlock()
	time.Sleep(took)
	s.mu.Lock()
	if len(failed) > 0 {
		err = &corral.KeyErrors[string]{Errors: failed}
	}
	return values, err
}

// change lets later calls take another time and fail for some keys.
func (s *bulkSource) change(took time.Duration, fails map[string]error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took, s.fails = took, fails
}

// asked returns the keys of each call.
func (s *bulkSource) asked() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// one is the source for a single key.
func (s *bulkSource) one(ctx context.Context, key string) (int, error) {
	values, err := s.load(ctx, []string{key})
	return values[key], err
}

// wantCalls checks the keys of each call.
func (s *bulkSource) wantCalls(t *testing.T, want ...[]string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := fmt.Sprint(s.calls); got != fmt.Sprint(want) {
		t.Errorf("the source was asked for %s, want %v", got, want)
	}
}

// wantMany checks what GetOrLoadMany returned.
func wantMany(t *testing.T, got map[string]int, err error, want map[string]int) {
	t.Helper()
	if err != nil {
		t.Errorf("GetOrLoadMany: %v", err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || got == nil {
		t.Errorf("GetOrLoadMany = %v, want %v", got, want)
	}
}
