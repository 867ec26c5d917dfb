package fleet

import (
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// member is a shard of a fleet: its cache and what that can do, each nil if it
// cannot.
type member[K comparable, V any] struct {
	shard  Shard
	opened any            // what OpenFunc returned
	tiers  [3]store[K, V] // by tier; those of layers only in a corral.Layered

	checker    corral.Checker
	settler    corral.Settler[K]
	plain      corral.PlainCache[K, V]
	leaser     corral.Leaser[K, V]      // if its leases are on
	leaserMany corral.BatchLeaser[K, V] // leaser
	listener   corral.Listener[K]

	far, layered bool
	tells, lets  bool // it is a corral.Far, or a corral.Leaser, that may say no
}

// tier is what of a shard is called: all of it, or one of its layers.
type tier uint8

const (
	whole tier = iota
	nearLayer
	farLayer
)

// look finds out what cache can do.
func (m *member[K, V]) look(cache corral.Cache[K, V]) {
	if w, ok := cache.(corral.Wrapper[K, V]); ok { // such as another fleet
		cache = w.AsCache()
	}
	m.tiers[whole] = newStore(cache)
	m.checker, _ = cache.(corral.Checker)
	m.settler, _ = cache.(corral.Settler[K])
	m.plain, _ = cache.(corral.PlainCache[K, V])
	m.listener, _ = cache.(corral.Listener[K])
	if f, ok := cache.(corral.Far); ok {
		m.tells, m.far = true, f.Far()
	}
	if l, ok := cache.(corral.Layered[K, V]); ok {
		near, far := l.Layers()
		m.layered, m.tiers[nearLayer], m.tiers[farLayer] = true, newStore(near), newStore(far)
	}
	l, leases := cache.(corral.Leaser[K, V])
	if m.lets = leases; leases && l.LeaseLife() > 0 {
		m.leaser = l
		m.leaserMany, _ = l.(corral.BatchLeaser[K, V])
	}
}

// goTogether says which member lacks what others have and a Loader counts on for
// every key.
func goTogether[K comparable, V any](members []*member[K, V]) error {
	for _, a := range []struct {
		ability string
		has     func(*member[K, V]) bool
	}{
		{"PlainCache", func(m *member[K, V]) bool { return m.plain != nil }},
		{"Layered", func(m *member[K, V]) bool { return m.layered }},
		{leaserOn, func(m *member[K, V]) bool { return m.leaser != nil }},
	} {
		var without *member[K, V]
		with := 0
		for _, m := range members {
			if a.has(m) {
				with++
			} else if without == nil {
				without = m
			}
		}
		if with > 0 && without != nil {
			return &AbilityError{Shard: without.shard.ID, Ability: a.ability}
		}
	}
	return nil
}

// store is a cache that takes many keys, itself or in turns.
type store[K comparable, V any] struct {
	cache corral.Cache[K, V]
	many  corral.BatchCache[K, V] // nil if it takes one key at a time
}

func newStore[K comparable, V any](cache corral.Cache[K, V]) store[K, V] {
	s := store[K, V]{cache: cache}
	s.many, _ = cache.(corral.BatchCache[K, V])
	return s
}

func (s *store[K, V]) getMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	if s.many != nil {
		return s.many.GetMany(ctx, keys)
	}
	entries := make([]*corral.Entry[V], len(keys))
	return entries, manykeys.InTurns(keys, "the shard", errExited, func(i int) (err error) {
		entries[i], err = s.cache.Get(ctx, keys[i])
		return err
	})
}

func (s *store[K, V]) setMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if s.many != nil {
		return s.many.SetMany(ctx, keys, entries)
	}
	return manykeys.InTurns(keys, "the shard", errExited, func(i int) error { return s.cache.Set(ctx, keys[i], entries[i]) })
}

func (s *store[K, V]) deleteMany(ctx context.Context, keys []K) error {
	if s.many != nil {
		return s.many.DeleteMany(ctx, keys)
	}
	return manykeys.InTurns(keys, "the shard", errExited, func(i int) error { return s.cache.Delete(ctx, keys[i]) })
}
