package memadapter

import (
	"cmp"
	"context"
	"fmt"

	"github.com/corralcache/corral"
)

var (
	_ corral.BatchCache[string, any]  = (*Cache[string, any])(nil)
	_ corral.BatchCache[string, any]  = (*PlainCache[string, any])(nil)
	_ corral.BatchCache[string, any]  = (*Process[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*Process[string, any])(nil)
)

// forEach calls f for every key. Its error is a [*corral.KeyErrors] of f's.
func forEach[K comparable](keys []K, f func(i int, key K) error) error {
	var failed map[K]error
	for i, key := range keys {
		if err := f(i, key); err != nil {
			if failed == nil {
				failed = map[K]error{}
			}
			failed[key] = err
		}
	}
	if failed == nil {
		return nil
	}
	return &corral.KeyErrors[K]{Errors: failed}
}

// fits returns an error unless there are as many of something as keys.
func fits[K comparable](keys []K, what string, n int) error {
	if n == len(keys) {
		return nil
	}
	return fmt.Errorf("memadapter: %d %s for %d keys: want as many", n, what, len(keys))
}

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
	if err := fits(keys, "entries", len(entries)); err != nil {
		return err
	}
	return forEach(keys, func(i int, key K) error { return c.Set(ctx, key, entries[i]) })
}

// DeleteMany is Delete of every key.
func (c *Cache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return forEach(keys, func(_ int, key K) error { return c.Delete(ctx, key) })
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
	if err := fits(keys, "entries", len(entries)); err != nil {
		return err
	}
	return forEach(keys, func(i int, key K) error { return c.Set(ctx, key, entries[i]) })
}

// DeleteMany is Delete of every key.
func (c *PlainCache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return forEach(keys, func(_ int, key K) error { return c.Delete(ctx, key) })
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
	if err := fits(keys, "entries", len(entries)); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return forEach(keys, func(i int, key K) error {
		if entries[i] == nil {
			return errNilEntry
		}
		s.setLocked(key, entries[i], p)
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
	if err := fits(keys, "requests", len(requests)); err != nil {
		return nil, err
	}
	s, leases := p.store, make([]corral.Lease[V], len(keys))
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	return leases, forEach(keys, func(i int, key K) (err error) {
		leases[i], err = s.acquireLocked(key, requests[i], at)
		return err
	})
}

// RenewMany is Renew of every key, in one step.
func (p *Process[K, V]) RenewMany(_ context.Context, keys []K, tokens []string) error {
	if err := fits(keys, "tokens", len(tokens)); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	return forEach(keys, func(i int, key K) error { return s.renewLocked(key, tokens[i], at) })
}

// FillMany is Fill of every key, in one step.
func (p *Process[K, V]) FillMany(_ context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := cmp.Or(fits(keys, "tokens", len(tokens)), fits(keys, "entries", len(entries))); err != nil {
		return err
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	return forEach(keys, func(i int, key K) error { return s.fillLocked(key, tokens[i], entries[i], at) })
}

// ReleaseMany is Release of every key, in one step.
func (p *Process[K, V]) ReleaseMany(_ context.Context, keys []K, tokens []string) error {
	if err := fits(keys, "tokens", len(tokens)); err != nil {
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
