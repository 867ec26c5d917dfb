package fleet

import (
	"context"
	"sync/atomic"

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
	scanner    corral.Scanner[K, V] // if it can enumerate
	group      *replicas[K, V]      // if it is several shards, which are members by themselves
	cannotScan error                // why scanner is nil, if the shard says it

	numbers *shardNumbers
	vitals  vitals
	fence   fence[K]

	lent allowance // what it takes for other shards

	cleaning atomic.Bool  // somebody cleans the fence
	cleanDue atomic.Int64 // as ward.now; not before

	far, layered bool
	prompt       bool // as corral.Prompt has it
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
	m.scanner, _ = cache.(corral.Scanner[K, V])
	if c, ok := cache.(corral.ScanChecker); ok && m.scanner != nil {
		if m.cannotScan = c.CheckScan(); m.cannotScan != nil {
			m.scanner = nil
		}
	}
	if f, ok := cache.(corral.Far); ok {
		m.tells, m.far = true, f.Far()
	}
	m.vitals.self.asks, _ = cache.(corral.Incarnate)
	if p, ok := cache.(corral.Prompt); ok {
		m.prompt = p.Prompt()
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

// healthy reports whether the shard is to be asked by calls over all shards.
func (m *member[K, V]) healthy() bool {
	if m.group != nil {
		return m.group.healthy()
	}
	return !m.vitals.out()
}

// shards are those that a member consists of; none of no member.
func (m *member[K, V]) shards() []*member[K, V] {
	switch {
	case m == nil:
		return nil
	case m.group == nil:
		return []*member[K, V]{m}
	}
	all := make([]*member[K, V], len(m.group.all))
	for i := range m.group.all {
		all[i] = m.group.all[i].member
	}
	return all
}

func (m *member[K, V]) mustScan() error {
	if m.scanner == nil {
		return &AbilityError{Shard: m.shard.ID, Ability: "Scanner", Reason: m.cannotScan}
	}
	return nil
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
	return entries, inTurns(keys, func(i int) (err error) {
		entries[i], err = s.cache.Get(ctx, keys[i])
		return err
	})
}

func (s *store[K, V]) setMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if s.many != nil {
		return s.many.SetMany(ctx, keys, entries)
	}
	return inTurns(keys, func(i int) error { return s.cache.Set(ctx, keys[i], entries[i]) })
}

func (s *store[K, V]) deleteMany(ctx context.Context, keys []K) error {
	if s.many != nil {
		return s.many.DeleteMany(ctx, keys)
	}
	return inTurns(keys, func(i int) error { return s.cache.Delete(ctx, keys[i]) })
}

// mustLease returns an error unless the shard gives leases.
func (m *member[K, V]) mustLease() error {
	if m.leaser == nil {
		return &AbilityError{Shard: m.shard.ID, Ability: leaserOn}
	}
	return nil
}

const leaserOn = "Leaser whose leases are on"

// acquireThose, renewThose, fillThose and releaseThose are calls of many leases, made
// one by one where the shard takes one at a time.
func (m *member[K, V]) acquireThose(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if m.leaserMany != nil {
		return m.leaserMany.AcquireMany(ctx, keys, requests)
	}
	leases := make([]corral.Lease[V], len(keys))
	return leases, inTurns(keys, func(i int) (err error) {
		leases[i], err = m.leaser.Acquire(ctx, keys[i], requests[i])
		return err
	})
}

func (m *member[K, V]) renewThose(ctx context.Context, keys []K, tokens []string) error {
	if m.leaserMany != nil {
		return m.leaserMany.RenewMany(ctx, keys, tokens)
	}
	return inTurns(keys, func(i int) error { return m.leaser.Renew(ctx, keys[i], tokens[i]) })
}

func (m *member[K, V]) fillThose(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if m.leaserMany != nil {
		return m.leaserMany.FillMany(ctx, keys, tokens, entries)
	}
	return inTurns(keys, func(i int) error { return m.leaser.Fill(ctx, keys[i], tokens[i], entries[i]) })
}

func (m *member[K, V]) releaseThose(ctx context.Context, keys []K, tokens []string) error {
	if m.leaserMany != nil {
		return m.leaserMany.ReleaseMany(ctx, keys, tokens)
	}
	return inTurns(keys, func(i int) error { return m.leaser.Release(ctx, keys[i], tokens[i]) })
}

func inTurns[K comparable](keys []K, call func(i int) error) error {
	return manykeys.InTurns(keys, "the shard", errExited, call)
}
