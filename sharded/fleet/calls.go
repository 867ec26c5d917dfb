package fleet

import (
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// calls are those of a cache: each goes to the shard that its key is on, or to one
// of that shard's layers.
type calls[K comparable, V any] struct {
	fleet *Fleet[K, V]
	tier  tier
}

var (
	_ corral.BatchCache[string, any]  = (*Fleet[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*Fleet[string, any])(nil)
	_ corral.Settler[string]          = (*Fleet[string, any])(nil)
	_ corral.Listener[string]         = (*Fleet[string, any])(nil)
	_ corral.Checker                  = (*Fleet[string, any])(nil)
	_ corral.Far                      = (*Fleet[string, any])(nil)
	_ corral.Wrapper[string, any]     = (*Fleet[string, any])(nil)
)

// Get is Get of the key's shard.
func (c calls[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	m, err := c.fleet.route(ctx, key)
	if err != nil {
		return nil, err
	}
	return m.tiers[c.tier].cache.Get(ctx, key)
}

// Set is Set of the key's shard.
func (c calls[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	m, err := c.fleet.route(ctx, key)
	if err != nil {
		return err
	}
	return m.tiers[c.tier].cache.Set(ctx, key, e)
}

// Delete is Delete of the key's shard.
func (c calls[K, V]) Delete(ctx context.Context, key K) error {
	m, err := c.fleet.route(ctx, key)
	if err != nil {
		return err
	}
	return m.tiers[c.tier].cache.Delete(ctx, key)
}

// GetMany is GetMany of every shard that a key is on, all at a time. A
// [*corral.KeyErrors] says which keys failed; the others have their entries. So it
// is with every call of many keys. A shard that takes one key at a time is asked by
// single calls, 16 at once.
func (c calls[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	return scatter(ctx, c.fleet, keys, func(ctx context.Context, m *member[K, V], p part[K]) ([]*corral.Entry[V], error) {
		return m.tiers[c.tier].getMany(ctx, p.keys)
	})
}

// SetMany is SetMany of every shard that a key is on.
func (c calls[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("fleet", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	return each(ctx, c.fleet, keys, func(ctx context.Context, m *member[K, V], p part[K]) error {
		return m.tiers[c.tier].setMany(ctx, p.keys, those(entries, p.at))
	})
}

// DeleteMany is DeleteMany of every shard that a key is on.
func (c calls[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return each(ctx, c.fleet, keys, func(ctx context.Context, m *member[K, V], p part[K]) error {
		return m.tiers[c.tier].deleteMany(ctx, p.keys)
	})
}

// Settle waits until the last Set of key is applied, if its shard buffers writes.
func (f *Fleet[K, V]) Settle(ctx context.Context, key K) error {
	m, err := f.route(ctx, key)
	if err != nil || m.settler == nil {
		return err
	}
	return m.settler.Settle(ctx, key)
}

// Far reports whether any shard is far.
func (f *Fleet[K, V]) Far() bool {
	for _, m := range f.layout.members {
		if m.far {
			return true
		}
	}
	return false
}

// Check returns what the shards that can tell say of themselves.
func (f *Fleet[K, V]) Check() error {
	return ofShards(f.layout.topology.Shards, func(i int, _ Shard) error {
		if c := f.layout.members[i].checker; c != nil {
			return c.Check()
		}
		return nil
	})
}
