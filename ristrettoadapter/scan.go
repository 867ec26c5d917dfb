package ristrettoadapter

import (
	"context"
	"hash/maphash"
	"iter"
	"maps"
	"sync"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/pages"
)

var (
	_ corral.Scanner[string, any] = (*Cache[string, any])(nil)
	_ corral.ScanChecker          = (*Cache[string, any])(nil)
)

// CheckScan returns an [*corral.OptionError] unless Options.Enumerable is set, or
// what [Cache.Check] returns.
func (a *Cache[K, V]) CheckScan() error {
	if err := a.Check(); err != nil {
		return err
	}
	if a.index == nil {
		return &corral.OptionError{
			Field: "ristrettoadapter.Options.Enumerable",
			Value: false,
			Bound: "must be true: Ristretto tells no keys",
		}
	}
	return nil
}

// ScanPage returns the next entries, as [corral.Scanner] has it: of those that were
// set through this adapter. Each page looks at every key. A cursor is good in this
// process. Reading counts as a use of the entry.
func (a *Cache[K, V]) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	if err := a.CheckScan(); err != nil {
		return nil, "", err
	}
	keys, next, err := pages.Of("ristrettoadapter", a.index.all(), cursor, count)
	if err != nil {
		return nil, "", err
	}
	for _, key := range keys {
		set := a.index.last(key)
		e, err := a.Get(ctx, key)
		switch {
		case err != nil:
			return nil, "", err
		case e == nil:
			a.index.forget(key, set)
		case left(e) <= 0 && !e.LoadedAt.IsZero(): // dead, and not let go yet
		case keysOnly:
			items = append(items, corral.ScanItem[K, V]{Key: key})
		default:
			items = append(items, corral.ScanItem[K, V]{Key: key, Entry: e})
		}
	}
	return items, next, nil
}

// index knows the keys of a Ristretto cache, which tells none: IterValues has values
// alone, and to keep the key with each would be to store another entry than the one
// that was set. It does not hear of evictions: a key that Ristretto has no more is
// forgotten when a scan finds that out, or when the keys have doubled. So it holds at
// most twice the keys that there are, or 256 of a stripe.
type index[K Key] struct {
	stripe func(K) int
	there  func(K) bool // whether the key has an entry
	parts  [numStripes]part[K]
}

// part is the keys of a stripe. Each has the number of its last Set, by which who
// found that the key has no entry knows that there was none since.
type part[K Key] struct {
	mu    sync.Mutex
	keys  map[K]uint64 // guarded by mu
	sets  uint64       // guarded by mu
	limit int          // guarded by mu; with so many keys, those that are gone are looked for
}

const leastLimit = 256

// add takes note of a Set that is done. Before, a scan could have found the key
// without an entry, and forgotten it.
func (x *index[K]) add(key K) {
	p := &x.parts[x.stripe(key)]
	p.mu.Lock()
	if p.keys == nil {
		p.keys, p.limit = map[K]uint64{}, leastLimit
	}
	p.sets++
	p.keys[key] = p.sets
	crowded := len(p.keys) >= p.limit
	if crowded {
		p.limit *= 2 // nobody else looks meanwhile
	}
	p.mu.Unlock()
	if crowded {
		x.tidy(p)
	}
}

// last returns the number of the last Set of key.
func (x *index[K]) last(key K) uint64 {
	p := &x.parts[x.stripe(key)]
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[key]
}

// forget forgets key, unless it was set after set.
func (x *index[K]) forget(key K, set uint64) {
	p := &x.parts[x.stripe(key)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[key] == set {
		delete(p.keys, key)
	}
}

// tidy forgets the keys of a part that have no entry.
func (x *index[K]) tidy(p *part[K]) {
	for key, set := range p.snapshot() {
		if !x.there(key) {
			x.forget(key, set)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = p.copyLocked() // a map stays as large as it ever was
	p.limit = max(leastLimit, 2*len(p.keys))
}

func (p *part[K]) snapshot() map[K]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.copyLocked()
}

func (p *part[K]) copyLocked() map[K]uint64 {
	keys := make(map[K]uint64, len(p.keys))
	maps.Copy(keys, p.keys)
	return keys
}

// all visits the keys of the index, of which some may be gone.
func (x *index[K]) all() iter.Seq[K] {
	return func(yield func(K) bool) {
		for i := range x.parts {
			for key := range x.parts[i].snapshot() {
				if !yield(key) {
					return
				}
			}
		}
	}
}

// newIndex makes an index over s.
func newIndex[K Key, S any](s *store[K, S]) *index[K] {
	return &index[K]{
		stripe: func(key K) int { return int(maphash.Comparable(s.seed, key) % numStripes) },
		there: func(key K) bool {
			_, _, ok, err := s.missed(key) // the overlay first: what is applied meanwhile is found in Ristretto
			return ok || err != nil
		},
	}
}
