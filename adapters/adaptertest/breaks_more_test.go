package adaptertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// Broken plain caches, abilities and codecs; and an honest buffered cache.

// lifeStays returns the life that a value was given, not what is left of it.
func lifeStays(b *bare) {
	var lives sync.Map
	b.setValue = func(ctx context.Context, key, value string, life time.Duration) error {
		lives.Store(key, life)
		return b.PlainCache.SetValue(ctx, key, value, life)
	}
	b.getValue = func(ctx context.Context, key string) (string, time.Duration, bool, error) {
		v, left, ok, err := b.PlainCache.GetValue(ctx, key)
		if life, set := lives.Load(key); set {
			left = life.(time.Duration)
		}
		return v, left, ok, err
	}
}

// overridden changes its entries on the way, and not those that are glanced at.
type overridden struct {
	*memadapter.Cache[string, string]
}

func (o *overridden) Get(ctx context.Context, key string) (*entry, error) {
	e, err := o.Cache.Get(ctx, key)
	if e != nil {
		e = &entry{Value: e.Value[1:], LoadedAt: e.LoadedAt, LoadTime: e.LoadTime, TTL: e.TTL, Keep: e.Keep, Absent: e.Absent}
	}
	return e, err
}

func (o *overridden) Set(ctx context.Context, key string, e *entry) error {
	own := *e
	own.Value = "v" + e.Value
	return o.Cache.Set(ctx, key, &own)
}

// calm has nothing but quiet entries.
type calm struct {
	*memadapter.Cache[string, string]
}

func (c *calm) Glance(ctx context.Context, key string) (corral.Glance[string], error) {
	g, err := c.Cache.Glance(ctx, key)
	g.Quiet = g.Entry != nil
	return g, err
}

// squinting sees another value than the entry has.
type squinting struct {
	*memadapter.Cache[string, string]
}

func (s *squinting) Glance(ctx context.Context, key string) (corral.Glance[string], error) {
	g, err := s.Cache.Glance(ctx, key)
	if g.Entry != nil {
		g.Value = g.Entry.Value + "!"
	}
	return g, err
}

// fickle is far every other time.
type fickle struct {
	*faulty
	asked atomic.Int64
}

func (f *fickle) Far() bool { return f.asked.Add(1)%2 == 1 }

// hasty settles before its writes are applied.
type hasty struct{ *faulty }

func (*hasty) Settle(context.Context, string) error { return nil }

// settled settles what is not buffered.
type settled struct{ *faulty }

func (*settled) Settle(context.Context, string) error { return nil }

// forgetful cannot settle a key that it did not see.
type forgetful struct {
	*faulty
	seen sync.Map
}

func (f *forgetful) Set(ctx context.Context, key string, e *entry) error {
	f.seen.Store(key, true)
	return f.faulty.Set(ctx, key, e)
}

func (f *forgetful) Settle(_ context.Context, key string) error {
	if _, ok := f.seen.Load(key); !ok {
		return errors.New("no write of this key")
	}
	return nil
}

// anxious checks what need not be.
type anxious struct{ *faulty }

func (*anxious) Check() error { return errors.New("no logger") }

// deaf listens for as long as it likes.
type deaf struct{ *faulty }

func (*deaf) Listen(context.Context, func(...string)) error { select {} }

// The codecs of far caches.

func trusting(key string, b []byte) (*entry, error) {
	_, e, err := open(b)
	if err != nil {
		err = corral.ErrUndecodable
	}
	return e, err
}

func ownError(key string, b []byte) (*entry, error) {
	e, err := unseal(key, b)
	if err != nil {
		err = errors.New("gob: bad data")
	}
	return e, err
}

func unreadableIsMiss(key string, b []byte) (*entry, error) {
	e, _ := unseal(key, b)
	return e, nil
}

func short(key string, b []byte) (*entry, error) {
	_ = b[31]
	return unseal(key, b)
}

// claimed believes a length, within what the test machine can bear.
func claimed(key string, b []byte) (*entry, error) {
	if len(b) >= 8 && binary.LittleEndian.Uint64(b) == 0x7f7f7f7f7f7f7f7f {
		_ = bytes.Repeat(b[:1], 128<<20)
	}
	return unseal(key, b)
}

// slow is an honest cache that buffers its writes.
type slow struct {
	mu      sync.Mutex
	pending map[string]*entry        // guarded by mu
	kept    map[string]func() *entry // guarded by mu; what to take in place of pending
	inner   *memadapter.Cache[string, string]
}

func buffered() *slow {
	return &slow{pending: map[string]*entry{}, kept: map[string]func() *entry{}, inner: memadapter.New[string, string]()}
}

func (s *slow) Get(ctx context.Context, key string) (*entry, error) { return s.inner.Get(ctx, key) }

func (s *slow) Set(_ context.Context, key string, e *entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending[key] = e
	return nil
}

func (s *slow) Delete(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, key)
	return s.inner.Delete(ctx, key)
}

func (s *slow) Settle(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.pending[key]; e != nil {
		if kept := s.kept[key]; kept != nil {
			e = kept()
		}
		delete(s.pending, key)
		return s.inner.Set(ctx, key, e)
	}
	return nil
}
