package memadapter

import (
	"context"
	"iter"
	"maps"
	"math"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/pages"
)

var (
	_ corral.Scanner[string, any] = (*Cache[string, any])(nil)
	_ corral.Scanner[string, any] = (*PlainCache[string, any])(nil)
	_ corral.Scanner[string, any] = (*Process[string, any])(nil)
)

const pkg = "memadapter"

// ScanPage returns the next entries, as [corral.Scanner] has it: exactly count of
// them unless it is the last page, or some end meanwhile. Each page looks at every
// key. A cursor is good in this process.
func (c *Cache[K, V]) ScanPage(_ context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	return scan(&c.store, cursor, count, keysOnly, func(h held[V], _ int64) *corral.Entry[V] { return h.entry })
}

// ScanPage returns the next values, as Get does; see [Cache.ScanPage].
func (c *PlainCache[K, V]) ScanPage(_ context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	return scan(&c.store, cursor, count, keysOnly, func(value V, left int64) *corral.Entry[V] {
		return &corral.Entry[V]{Value: value, Keep: time.Duration(left)}
	})
}

// ScanPage returns the next entries, in one step; see [Cache.ScanPage].
func (p *Process[K, V]) ScanPage(_ context.Context, cursor string, count int, keysOnly bool) (items []corral.ScanItem[K, V], next string, err error) {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now()
	living := func(yield func(K) bool) {
		for key := range maps.Keys(s.cells) {
			if s.entryLocked(key, at) != nil && !yield(key) {
				return
			}
		}
	}
	keys, next, err := pages.Of(pkg, living, cursor, count)
	for _, key := range keys {
		it := corral.ScanItem[K, V]{Key: key}
		if !keysOnly {
			it.Entry = s.entryLocked(key, at)
		}
		items = append(items, it)
	}
	return items, next, err
}

// scan returns a page of s, with what entry makes of a value and what is left of its
// life.
func scan[K comparable, T, V any](s *store[K, T], cursor string, count int, keysOnly bool, entry func(value T, left int64) *corral.Entry[V]) (items []corral.ScanItem[K, V], next string, err error) {
	at := now()
	keys, next, err := pages.Of(pkg, s.keys(at), cursor, count)
	for _, key := range keys {
		found := s.find(key)
		if found == nil || found.end <= at { // it went meanwhile
			continue
		}
		it := corral.ScanItem[K, V]{Key: key}
		if !keysOnly {
			left := int64(math.MaxInt64)
			if found.end != noEnd {
				left = found.end - at
			}
			it.Entry = entry(found.value, left)
		}
		items = append(items, it)
	}
	return items, next, err
}

// keys returns those whose time is not over.
func (s *store[K, T]) keys(at int64) iter.Seq[K] {
	return func(yield func(K) bool) {
		for i := range s.shards {
			t := s.shards[i].table.Load()
			if t == nil {
				continue
			}
			for it := range t.all {
				if it.end > at && !yield(it.key) {
					return
				}
			}
		}
	}
}
