package memadapter

import (
	"cmp"
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

var (
	_ corral.BatchCache[string, any]  = (*Cache[string, any])(nil)
	_ corral.BatchCache[string, any]  = (*PlainCache[string, any])(nil)
	_ corral.BatchCache[string, any]  = (*Process[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*Process[string, any])(nil)
)

// GetMany is Get of every key.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	entries = make([]*corral.Entry[V], len(keys))
	for i, key := range keys {
		entries[i], _ = c.Get(ctx, key)
	}
	return entries, nil
}

// SetMany is Set of every key.
func (c *Cache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("memadapter", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	return manykeys.Each(keys, func(i int) error { return c.Set(ctx, keys[i], entries[i]) })
}

// DeleteMany is Delete of every key.
func (c *Cache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return manykeys.Each(keys, func(i int) error { return c.Delete(ctx, keys[i]) })
}

// GetMany is Get of every key.
func (c *PlainCache[K, V]) GetMany(ctx context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	entries = make([]*corral.Entry[V], len(keys))
	for i, key := range keys {
		entries[i], _ = c.Get(ctx, key)
	}
	return entries, nil
}

// SetMany is Set of every key.
func (c *PlainCache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("memadapter", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	return manykeys.Each(keys, func(i int) error { return c.Set(ctx, keys[i], entries[i]) })
}

// DeleteMany is Delete of every key.
func (c *PlainCache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return manykeys.Each(keys, func(i int) error { return c.Delete(ctx, keys[i]) })
}

// GetMany is Get of every key, in one step.
func (p *Process[K, V]) GetMany(_ context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	s, entries := p.store, make([]*corral.Entry[V], len(keys))
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	for i, key := range keys {
		entries[i] = s.entryLocked(key, at)
	}
	return entries, nil
}

// SetMany is Set of every key, in one step. A nil entry is its key's error.
func (p *Process[K, V]) SetMany(_ context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("memadapter", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return manykeys.Each(keys, func(i int) error {
		if entries[i] == nil {
			return errNilEntry
		}
		s.setLocked(keys[i], entries[i], p)
		return nil
	})
}

// DeleteMany is Delete of every key, in one step.
func (p *Process[K, V]) DeleteMany(_ context.Context, keys []K) error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.setLocked(key, nil, p)
	}
	return nil
}

// AcquireMany is Acquire of every key, in one step.
func (p *Process[K, V]) AcquireMany(_ context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if err := manykeys.Fit("memadapter", len(keys), "requests", len(requests)); err != nil {
		return nil, err
	}
	s, leases := p.store, make([]corral.Lease[V], len(keys))
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	return leases, manykeys.Each(keys, func(i int) (err error) {
		leases[i], err = s.acquireLocked(keys[i], requests[i], at)
		return err
	})
}

// RenewMany is Renew of every key, in one step.
func (p *Process[K, V]) RenewMany(_ context.Context, keys []K, tokens []string) error {
	if err := manykeys.Fit("memadapter", len(keys), "tokens", len(tokens)); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	return manykeys.Each(keys, func(i int) error { return s.renewLocked(keys[i], tokens[i], at) })
}

// FillMany is Fill of every key, in one step.
func (p *Process[K, V]) FillMany(_ context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := cmp.Or(manykeys.Fit("memadapter", len(keys), "tokens", len(tokens)), manykeys.Fit("memadapter", len(keys), "entries", len(entries))); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	return manykeys.Each(keys, func(i int) error { return s.fillLocked(keys[i], tokens[i], entries[i], at) })
}

// ReleaseMany is Release of every key, in one step.
func (p *Process[K, V]) ReleaseMany(_ context.Context, keys []K, tokens []string) error {
	if err := manykeys.Fit("memadapter", len(keys), "tokens", len(tokens)); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	for i, key := range keys {
		s.releaseLocked(key, tokens[i], at)
	}
	return nil
}
