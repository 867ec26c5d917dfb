package fleet

import (
	"context"
	"errors"
	"slices"

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
	_ corral.Prompt                   = (*Fleet[string, any])(nil)
	_ corral.Wrapper[string, any]     = (*Fleet[string, any])(nil)
)

// Get is Get of the key's shard. While the topology changes, a key that is not where
// it belongs now is looked for where it was; see [Fleet.Apply].
func (c calls[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	s, err := c.fleet.route(ctx, key)
	if err != nil {
		return nil, err
	}
	e, err := s.at.get(ctx, c.tier, key)
	if e == nil {
		return c.missed(ctx, s, key, err)
	}
	return e, err
}

// missed looks for what is not where it belongs, or cannot be asked for there.
func (c calls[K, V]) missed(ctx context.Context, s site[K, V], key K, err error) (*corral.Entry[V], error) {
	switch {
	case err == nil && s.phase == PhaseSwitch && c.tier == whole:
		return c.fleet.fromOther(ctx, s, key)
	case refused(err):
		if m := c.fleet.gutterOf(ctx, key); m != nil {
			c.fleet.numbers.routes.fallback.Add(1)
			e, err := m.get(ctx, c.tier, key)
			c.fleet.found(e != nil)
			return e, err
		}
	}
	return nil, err
}

// Set is Set of the key's shard. While the topology changes, it deletes the key where
// it was, and is an error if that is.
func (c calls[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	e = endsBy(e, c.fleet.opts.MaxLife)
	return c.write(ctx, key, func(ctx context.Context, m *member[K, V]) error { return m.set(ctx, c.tier, key, e) }, func(ctx context.Context, m *member[K, V]) error {
		return c.fleet.lendOne(m, func() error { return m.set(ctx, c.tier, key, c.fleet.shortLived(e)) })
	})
}

// Delete is Delete of the key's shard. While the topology changes, it deletes the key
// wherever any process may find it.
func (c calls[K, V]) Delete(ctx context.Context, key K) error {
	remove := func(ctx context.Context, m *member[K, V]) error { return m.delete(ctx, c.tier, key) }
	return c.write(ctx, key, remove, remove)
}

// write makes op where the key is, or lend in its gutter; see [Fleet.writeOne].
func (c calls[K, V]) write(ctx context.Context, key K, op, lend func(ctx context.Context, m *member[K, V]) error) error {
	return c.writing(ctx, func() []K { return []K{key} }, func(p *placement[K, V], before []*placement[K, V]) error {
		s, err := c.fleet.routeBy(ctx, p, key, len(before) > 0)
		if err != nil {
			return err
		}
		if c.fleet.lates.any() {
			if err := c.fleet.afterLate(ctx, c.tier, s, []K{key}); err != nil {
				return err
			}
		}
		err = c.fleet.writeOne(ctx, p, s, key, op, func(ctx context.Context, m *member[K, V]) error { return m.delete(ctx, c.tier, key) }, lend)
		if len(before) > 0 {
			err = errors.Join(err, c.clearEarlier(ctx, before, p, []K{key}))
		}
		return err
	})
}

func (c calls[K, V]) clearEarlier(ctx context.Context, before []*placement[K, V], now *placement[K, V], keys []K) error {
	return c.fleet.clearEarlier(ctx, before, now, keys, func(m *member[K, V], keys []K) error {
		return m.deleteMany(ctx, c.tier, keys)
	})
}

// GetMany is GetMany of every shard that a key is on, all at a time. A
// [*corral.KeyErrors] says which keys failed; the others have their entries. So it
// is with every call of many keys. A shard that takes one key at a time is asked by
// single calls, 16 at once.
func (c calls[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	return scatter(ctx, c.fleet, keys, func(ctx context.Context, s site[K, V], p part[K]) ([]*corral.Entry[V], error) {
		entries, err := s.at.getMany(ctx, c.tier, p.keys)
		if refused(err) {
			return atGutter(ctx, c.fleet, p.keys, entries, err, toRead, c.readMany)
		}
		if s.phase != PhaseSwitch || c.tier != whole || s.at.leaser != nil || !manykeys.Partial[K](err) || len(entries) != len(p.keys) {
			return entries, err
		}
		return entries, manykeys.Join(p.keys, err, inTurns(p.keys, func(i int) error {
			if entries[i] != nil || manykeys.Of(err, p.keys[i]) != nil {
				return nil
			}
			e, err := c.fleet.fromOther(ctx, s, p.keys[i])
			entries[i] = e
			return err
		}))
	})
}

// SetMany is SetMany of every shard that a key is on.
func (c calls[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("fleet", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	entries = allEndBy(entries, c.fleet.opts.MaxLife)
	return c.writeMany(ctx, keys, func(ctx context.Context, m *member[K, V], p part[K]) error {
		return m.setMany(ctx, c.tier, p.keys, those(entries, p.at))
	}, func(ctx context.Context, m *member[K, V], p part[K]) error {
		return c.lendMany(ctx, m, p.keys, those(entries, p.at))
	})
}

// DeleteMany is DeleteMany of every shard that a key is on.
func (c calls[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	remove := func(ctx context.Context, m *member[K, V], p part[K]) error { return m.deleteMany(ctx, c.tier, p.keys) }
	return c.writeMany(ctx, keys, remove, remove)
}

// writeMany makes op where keys are, or lend in their gutters; see [Fleet.writeOne].
func (c calls[K, V]) writeMany(ctx context.Context, keys []K, op, lend func(ctx context.Context, m *member[K, V], p part[K]) error) error {
	return c.writing(ctx, func() []K { return keys }, func(pl *placement[K, V], before []*placement[K, V]) error {
		to := toWrite
		if len(before) > 0 {
			to = toWriteAgain
		}
		err := c.writeAll(ctx, pl, keys, func() error {
			return each(ctx, c.fleet, pl, keys, to, func(ctx context.Context, s site[K, V], p part[K]) (err error) {
				if err := c.fleet.afterLate(ctx, c.tier, s, p.keys); err != nil {
					return err
				}
				if s.mayStop(ctx) {
					defer func() { s.stopped(ctx, p.keys, err) }()
				}
				if s.other != nil {
					p.keys = slices.Clone(p.keys) // a call that is left behind goes on reading them
				}
				return manykeys.Join(p.keys, s.write(ctx, c.fleet, p.keys,
					func(ctx context.Context, m *member[K, V]) error { return op(ctx, m, p) },
					func(ctx context.Context, m *member[K, V]) error { return m.deleteMany(ctx, c.tier, p.keys) },
					func() error { return c.fleet.copies.detach(ctx, p.keys...) },
				)...)
			})
		}, lend)
		if gone := c.clearEarlier(ctx, before, pl, keys); gone != nil {
			err = manykeys.Join(keys, err, gone)
		}
		return err
	})
}

// fromOther looks for what is not where it belongs now where it was, and copies it
// if that can be made safe. Where shards give leases it does not look: whoever gets
// the lease of the key does.
func (f *Fleet[K, V]) fromOther(ctx context.Context, s site[K, V], key K) (*corral.Entry[V], error) {
	if s.at.leaser != nil {
		return nil, nil
	}
	f.numbers.routes.oldOwner.Add(1)
	moved := &f.numbers.moved
	read := func() (*corral.Entry[V], error) {
		e, err := s.other.get(ctx, whole, key)
		if err != nil {
			f.copyError(ctx, s.other, err)
			return nil, nil
		}
		if e != nil {
			moved.found.Add(1)
		}
		return endsBy(e, f.opts.MaxLife), nil
	}
	if s.at.far || s.other.far {
		return read()
	}
	e, err := f.copies.make(key, func() bool { return f.still(s.by) }, read, func(e *corral.Entry[V]) error {
		err := s.at.set(ctx, whole, key, e)
		f.clearCopy(ctx, s.by, key)
		if moved.stored(err); err != nil {
			f.copyError(ctx, s.at, err)
		}
		return nil
	}, func() { moved.refused.Add(1) })
	if e == nil && err == nil { // a migration may have brought it over after the first look
		return s.at.get(ctx, whole, key)
	}
	return e, err
}

// copyError tells that nothing can be copied from a shard, or to it. Of one that is
// out, HealthChange has told.
func (f *Fleet[K, V]) copyError(ctx context.Context, m *member[K, V], err error) {
	if !errors.Is(err, ErrUnhealthy) {
		f.opts.Hooks.changeError(ctx, m.shard, err)
	}
}

// Settle waits until the last Set of key is applied, if its shard buffers writes.
func (f *Fleet[K, V]) Settle(ctx context.Context, key K) error {
	s, err := f.route(ctx, key)
	if err != nil || s.at.settler == nil {
		return err
	}
	at := s.at
	if !at.healthy() { // what was stored is in the gutter
		if m := f.gutterOf(ctx, key); m != nil && m.settler != nil {
			at = m
		}
	}
	return at.settler.Settle(ctx, key)
}

// Far reports whether any shard is far.
func (f *Fleet[K, V]) Far() bool {
	return slices.ContainsFunc(f.placed.Load().layout.members, func(m *member[K, V]) bool { return m.far })
}

// Prompt reports whether all shards that are far are a [corral.Prompt] that says so.
func (f *Fleet[K, V]) Prompt() bool { return f.can.prompt && f.can.far }

// Check returns what the shards that can tell say of themselves.
func (f *Fleet[K, V]) Check() error {
	l := f.placed.Load().all
	return ofShards(l.topology.Shards, func(i int, _ Shard) error {
		if c := l.members[i].checker; c != nil {
			return c.Check()
		}
		return nil
	})
}
