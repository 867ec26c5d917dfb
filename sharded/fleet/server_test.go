package fleet_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// server is a store that restarts, with what it once had on its disk.
type server struct {
	mu     sync.Mutex
	store  *memadapter.Shared[string, string]           // guarded by mu, as all below
	disk   []corral.ScanItem[string, string]            // what it held at the last save
	run    string                                       // which it tells
	calls  map[string]int                               // by name
	before func(ctx context.Context, call string) error // of each call
}

const serverLeases = 10 * time.Second

func newServer() *server {
	return &server{store: memadapter.NewShared[string, string](serverLeases), run: "run 1", calls: map[string]int{}}
}

// save keeps what is there now.
func (s *server) save(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disk = nil
	for cursor, first := "", true; first || cursor != ""; first = false {
		items, next, err := s.store.Process().ScanPage(t.Context(), cursor, 1_000, false)
		must(t, err)
		s.disk, cursor = append(s.disk, items...), next
	}
}

// restart has it run anew, with what it saved.
func (s *server) restart(t *testing.T, run string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store, s.run = memadapter.NewShared[string, string](serverLeases), run
	for _, it := range s.disk {
		must(t, s.store.Process().Set(t.Context(), it.Key, it.Entry))
	}
}

func (s *server) do(before func(ctx context.Context, call string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *server) fails(err error) { s.do(func(context.Context, string) error { return err }) }

func (s *server) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

// client is a cache over a server, as a process has one.
type client struct{ *server }

func on[T any](ctx context.Context, c client, name string, call func(p *memadapter.Process[string, string]) (T, error)) (T, error) {
	c.mu.Lock()
	c.calls[name]++
	before, store := c.before, c.store
	c.mu.Unlock()
	if before != nil {
		if err := before(ctx, name); err != nil {
			var none T
			return none, err
		}
	}
	return call(store.Process())
}

func does(ctx context.Context, c client, name string, call func(p *memadapter.Process[string, string]) error) error {
	_, err := on(ctx, c, name, func(p *memadapter.Process[string, string]) (struct{}, error) { return struct{}{}, call(p) })
	return err
}

type (
	anEntry  = *corral.Entry[string]
	aLease   = corral.Lease[string]
	aRequest = corral.LeaseRequest[string]
	aProcess = *memadapter.Process[string, string]
	anItem   = corral.ScanItem[string, string]
)

func (c client) Far() bool { return true }

func (c client) Incarnation(ctx context.Context) (string, error) {
	run, err := on(ctx, c, "incarnation", func(aProcess) (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.run, nil
	})
	if err != nil {
		return "", err
	}
	return run, does(ctx, c, "incarnation told", func(aProcess) error { return nil }) // which may take a while
}

func (c client) Get(ctx context.Context, key string) (anEntry, error) {
	return on(ctx, c, "get", func(p aProcess) (anEntry, error) { return p.Get(ctx, key) })
}

func (c client) GetMany(ctx context.Context, keys []string) ([]anEntry, error) {
	return on(ctx, c, "get", func(p aProcess) ([]anEntry, error) { return p.GetMany(ctx, keys) })
}

func (c client) Set(ctx context.Context, key string, e anEntry) error {
	return does(ctx, c, "set", func(p aProcess) error { return p.Set(ctx, key, e) })
}

func (c client) SetMany(ctx context.Context, keys []string, entries []anEntry) error {
	return does(ctx, c, "set", func(p aProcess) error { return p.SetMany(ctx, keys, entries) })
}

func (c client) Delete(ctx context.Context, key string) error {
	return does(ctx, c, "delete", func(p aProcess) error { return p.Delete(ctx, key) })
}

func (c client) DeleteMany(ctx context.Context, keys []string) error {
	return does(ctx, c, "delete", func(p aProcess) error { return p.DeleteMany(ctx, keys) })
}

func (c client) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []anItem, next string, err error) {
	err = does(ctx, c, "scan", func(p aProcess) (err error) {
		items, next, err = p.ScanPage(ctx, cursor, count, keysOnly)
		return err
	})
	return items, next, err
}

// leaser is a client that gives leases.
type leaser struct{ client }

func (c leaser) LeaseLife() time.Duration { return serverLeases }

func (c leaser) Acquire(ctx context.Context, key string, r aRequest) (aLease, error) {
	return on(ctx, c.client, "acquire", func(p aProcess) (aLease, error) { return p.Acquire(ctx, key, r) })
}

func (c leaser) AcquireMany(ctx context.Context, keys []string, r []aRequest) ([]aLease, error) {
	return on(ctx, c.client, "acquire", func(p aProcess) ([]aLease, error) { return p.AcquireMany(ctx, keys, r) })
}

func (c leaser) Renew(ctx context.Context, key, token string) error {
	return does(ctx, c.client, "renew", func(p aProcess) error { return p.Renew(ctx, key, token) })
}

func (c leaser) RenewMany(ctx context.Context, keys, tokens []string) error {
	return does(ctx, c.client, "renew", func(p aProcess) error { return p.RenewMany(ctx, keys, tokens) })
}

func (c leaser) Fill(ctx context.Context, key, token string, e anEntry) error {
	return does(ctx, c.client, "fill", func(p aProcess) error { return p.Fill(ctx, key, token, e) })
}

func (c leaser) FillMany(ctx context.Context, keys, tokens []string, entries []anEntry) error {
	return does(ctx, c.client, "fill", func(p aProcess) error { return p.FillMany(ctx, keys, tokens, entries) })
}

func (c leaser) Release(ctx context.Context, key, token string) error {
	return does(ctx, c.client, "release", func(p aProcess) error { return p.Release(ctx, key, token) })
}

func (c leaser) ReleaseMany(ctx context.Context, keys, tokens []string) error {
	return does(ctx, c.client, "release", func(p aProcess) error { return p.ReleaseMany(ctx, keys, tokens) })
}

func (c leaser) Watch(key string) (<-chan struct{}, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.Process().Watch(key)
}

// farm is servers, and the fleets of processes over them.
type farm struct {
	t       *testing.T
	servers []*server
	keys    [][]string // some of each server
}

func newFarm(t *testing.T, n int) *farm {
	f := &farm{t: t}
	for range n {
		f.servers = append(f.servers, newServer())
	}
	return f
}

// process returns a fleet over the servers, each seen through what a client is made into.
func (f *farm) process(opts fleet.Options[string], through func(client) corral.Cache[string, string]) *fleet.Fleet[string, string] {
	f.t.Helper()
	opened, _ := open(f.t, equal(len(f.servers)), opts, func(i int) corral.Cache[string, string] { return through(client{f.servers[i]}) })
	f.keys = keysOn(opened, len(f.servers), 20)
	return opened
}

func plainly(c client) corral.Cache[string, string] { return c }
func leasing(c client) corral.Cache[string, string] { return leaser{c} }

// wantGet fails unless what f has of key is value, empty for nothing.
func wantGet(t *testing.T, f corral.Cache[string, string], key, value, when string) {
	t.Helper()
	e, err := f.Get(t.Context(), key)
	got := ""
	if e != nil {
		got = e.Value
	}
	if err != nil || got != value {
		t.Errorf("%s: %s is %q, %v; want %q", when, key, got, err, value)
	}
}

// numberedLoads returns a load that tells its number, and how many there were.
func numberedLoads() (load corral.LoadFunc[string, string], count func() int) {
	var mu sync.Mutex
	n := 0
	return func(context.Context, string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			n++
			return fmt.Sprint("load ", n), nil
		}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return n
		}
}
