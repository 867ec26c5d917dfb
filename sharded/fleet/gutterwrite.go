package fleet

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// What is in the gutter was loaded under a lease of the gutter's own, or by a flight of
// this process, and nothing is ever copied from there or to there. So a delete there
// voids what is under way there, as one at the owner does there, and which of the two
// comes first makes no difference: they are made at the same time, since one of the two
// shards is likely not to answer.

// gutters returns the gutter of key by which is read, nil for none, and all those where
// a process may read it that is one phase ahead or behind, without the shards of s.
func (f *Fleet[K, V]) gutters(p *placement[K, V], s site[K, V], key K) (own *member[K, V], all []*member[K, V], err error) {
	if own, err = f.gutterBy(p.layout, s.at, key); err != nil {
		return nil, nil, err
	}
	candidates := [2]*member[K, V]{own}
	if p.other != nil {
		owner := s.other
		if owner == nil {
			owner = s.at
		}
		if candidates[1], err = f.gutterBy(p.other, owner, key); err != nil {
			return nil, nil, err
		}
	}
	for i, m := range candidates {
		if m != nil && m != s.at && m != s.other && (i == 0 || m != own) {
			all = append(all, m)
		}
	}
	return own, all, nil
}

// writeOne makes a write of key at s and, where there is a gutter, there. A user's write
// deletes there. What was loaded and its shard did not take because it is out is lent:
// lend stores it there.
func (f *Fleet[K, V]) writeOne(ctx context.Context, p *placement[K, V], s site[K, V], key K, op, clear, lend func(ctx context.Context, m *member[K, V]) error) (err error) {
	if s.mayStop(ctx) {
		defer func() { s.stopped(ctx, []K{key}, err) }()
	}
	between := func() error { return f.copies.detach(ctx, key) }
	if !f.gutter().on() {
		return s.writeOne(ctx, f, key, op, clear, between)
	}
	own, gutters, err := f.gutters(p, s, key)
	if err != nil {
		return err
	}
	if ofUser(ctx) {
		calls := []func() error{func() error { return s.writeOne(ctx, f, key, op, clear, between) }}
		for _, m := range gutters {
			calls = append(calls, func() error { return clear(ctx, m) })
		}
		return f.together(calls)
	}
	var out atomic.Bool // op may be left behind
	err = s.writeOne(ctx, f, key, func(ctx context.Context, m *member[K, V]) error {
		err := op(ctx, m)
		out.Store(refused(err))
		return err
	}, clear, between)
	if out.Load() && own != nil && f.lends(s.at) {
		f.numbers.routes.fallback.Add(1)
		return lend(ctx, own)
	}
	return err
}

// lends reports whether what was loaded for a shard is stored in the gutter without a
// lease. Where there are leases, what has none may be older than a Delete.
func (f *Fleet[K, V]) lends(owner *member[K, V]) bool {
	return f.gutter().used() && owner.leaser == nil
}

// together makes calls at the same time, if any shard is far, and returns all their errors.
func (f *Fleet[K, V]) together(calls []func() error) error {
	if len(calls) == 1 || !f.can.far {
		var errs []error
		for _, call := range calls {
			errs = append(errs, call())
		}
		return errors.Join(errs...)
	}
	return errors.Join(manykeys.AtOnce(len(calls), len(calls), "the shard", errExited, func(i int) error { return calls[i]() })...)
}

// writeAll is writeOne of many keys. write makes the write without a gutter.
func (c calls[K, V]) writeAll(ctx context.Context, p *placement[K, V], keys []K, write func() error,
	lend func(ctx context.Context, m *member[K, V], p part[K]) error) error {
	f := c.fleet
	switch {
	case !f.gutter().on():
		return write()
	case ofUser(ctx):
		errs := manykeys.AtOnce(2, 2, "the shard", errExited, func(i int) error {
			if i == 0 {
				return write()
			}
			return c.clearGutters(ctx, p, keys)
		})
		return manykeys.Join(keys, errs...)
	}
	err := write()
	if !f.lends(p.layout.members[0]) { // all or none give leases
		return err
	}
	_, err = atGutter(ctx, f, keys, make([]struct{}, len(keys)), err, toWrite, func(ctx context.Context, m *member[K, V], p part[K]) ([]struct{}, error) {
		return make([]struct{}, len(p.keys)), lend(ctx, m, p)
	})
	return err
}

// clearGutters deletes keys wherever a process may find them that takes their shard for
// out.
func (c calls[K, V]) clearGutters(ctx context.Context, p *placement[K, V], keys []K) error {
	parts, failed := map[site[K, V]]*part[K]{}, manykeys.Failures[K]{}
	for i, key := range keys {
		s, err := c.fleet.site(ctx, p, key)
		if err != nil {
			continue // the write itself tells
		}
		_, gutters, err := c.fleet.gutters(p, s, key)
		if err != nil {
			failed.Add(key, err)
		}
		for _, m := range gutters {
			addTo(parts, site[K, V]{at: m}, key, i)
		}
	}
	_, err := callParts(ctx, c.fleet, keys, parts, failed, toWrite, func(ctx context.Context, s site[K, V], p part[K]) ([]struct{}, error) {
		if err := c.fleet.afterLate(ctx, c.tier, s, p.keys); err != nil {
			return nil, err
		}
		return make([]struct{}, len(p.keys)), s.at.deleteMany(ctx, c.tier, p.keys)
	})
	return err
}

// lendOne stores a value for another shard, if m has room.
func (f *Fleet[K, V]) lendOne(m *member[K, V], store func() error) error {
	if f.takes(m, 1) == 0 {
		return ErrUnhealthy
	}
	err := store()
	if err == nil {
		f.numbers.gutter.fills.Add(1)
	}
	return err
}

// lendMany stores values for other shards, as far as m has room.
func (c calls[K, V]) lendMany(ctx context.Context, m *member[K, V], keys []K, entries []*corral.Entry[V]) error {
	n := c.fleet.takes(m, len(keys))
	var stored error = ErrUnhealthy
	if n > 0 {
		stored = filled(c.fleet, keys[:n], m.setMany(ctx, c.tier, keys[:n], c.fleet.allShortLived(entries[:n])))
	}
	return manykeys.Each(keys, func(i int) error {
		if i >= n {
			return ErrUnhealthy
		}
		return manykeys.Of(stored, keys[i])
	})
}
