package fleet_test

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// faulty is a cache in memory that does what a test wants before each call.
type faulty struct {
	*memadapter.Cache[string, string]
	calls  atomic.Int64
	before atomic.Pointer[func(ctx context.Context) error]
}

func newFaulty() *faulty { return &faulty{Cache: memadapter.New[string, string]()} }

func (f *faulty) do(before func(ctx context.Context) error) { f.before.Store(&before) }

func (f *faulty) call(ctx context.Context) error {
	f.calls.Add(1)
	if before := f.before.Load(); before != nil {
		return (*before)(ctx)
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	if err := f.call(ctx); err != nil {
		return nil, err
	}
	return f.Cache.Get(ctx, key)
}

func (f *faulty) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[string], error) {
	if err := f.call(ctx); err != nil {
		return nil, err
	}
	return f.Cache.GetMany(ctx, keys)
}

func (f *faulty) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[string]) error {
	if err := f.call(ctx); err != nil {
		return err
	}
	return f.Cache.SetMany(ctx, keys, entries)
}

func (f *faulty) DeleteMany(ctx context.Context, keys []string) error {
	if err := f.call(ctx); err != nil {
		return err
	}
	return f.Cache.DeleteMany(ctx, keys)
}

func (f *faulty) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, string], string, error) {
	if err := f.call(ctx); err != nil {
		return nil, "", err
	}
	return f.Cache.ScanPage(ctx, cursor, count, keysOnly)
}

// slowScan is a cache of which a page takes its time, and each item that it was asked
// for.
type slowScan struct {
	*faulty
	page, item time.Duration
}

func (s slowScan) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, string], string, error) {
	time.Sleep(s.page + time.Duration(count)*s.item)
	return s.faulty.ScanPage(ctx, cursor, count, keysOnly)
}

// remote is a faulty cache that is far: a Loader bounds its calls.
type remote struct{ *faulty }

func (remote) Far() bool { return true }

// single is a cache that takes one key at a time.
type single struct{ corral.Cache[string, string] }

func fresh(value string) *corral.Entry[string] {
	return &corral.Entry[string]{Value: value, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Hour}
}
