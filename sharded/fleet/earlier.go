package fleet

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

// writing calls write with what is in force, and again if that changed meanwhile: a
// write that began before another process read elsewhere, however long it took, has
// not told that process. before is what was in force when it was made before. A write that
// cannot be made again leaves nothing by that, either.
func (c calls[K, V]) writing(ctx context.Context, keys func() []K, write func(p *placement[K, V], before []*placement[K, V]) error) error {
	var before []*placement[K, V]
	for {
		p, err := c.fleet.inForce(ctx)
		if err != nil {
			return errors.Join(err, c.clearLate(ctx, before, keys))
		}
		err = write(p, before)
		if c.fleet.still(p) {
			return err
		}
		if len(before) == 0 || before[len(before)-1] != p {
			before = append(before, p)
		}
		if ctx.Err() != nil {
			return errors.Join(err, context.Cause(ctx), c.clearLate(ctx, before, keys))
		}
	}
}

// clearTimeout bounds what is cleared after the context of a write has ended.
const clearTimeout = time.Second

// clearLate is clearEarlier of a write that nobody waits for any more. What cannot be
// cleared is fenced.
func (c calls[K, V]) clearLate(ctx context.Context, before []*placement[K, V], keys func() []K) error {
	if len(before) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), clearTimeout, errLate)
	defer cancel()
	now := c.fleet.placed.Load()
	if !c.fleet.still(now) {
		now = nil // nobody knows
	}
	return c.fleet.clearEarlier(ctx, before, now, keys(), func(m *member[K, V], keys []K) error {
		_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, m.deleteMany(ctx, c.tier, keys)
		})
		if err != nil {
			m.fenceFailed(ctx, keys, err, true)
		}
		return err
	})
}

// clearCopy clears what a copy has stored by a placement that is no longer in force. It comes
// before the copy has ended, so that a write waits for it.
func (f *Fleet[K, V]) clearCopy(ctx context.Context, by *placement[K, V], key K) {
	if !f.still(by) {
		_ = calls[K, V]{f, whole}.clearLate(ctx, []*placement[K, V]{by}, func() []K { return []K{key} })
	}
}

// clearEarlier calls clear with the keys that a write, which is made again because the
// topology changed meanwhile, may have stored by one of the placements before at a shard
// that is neither of those where they are now: that one has nothing to do with them any
// more, and would keep what is there for a later topology to find. Where they are now is
// nowhere if now is nil.
func (f *Fleet[K, V]) clearEarlier(ctx context.Context, before []*placement[K, V], now *placement[K, V], keys []K, clear func(m *member[K, V], keys []K) error) error {
	if len(before) == 0 {
		return nil
	}
	var errs []error
	left := map[*member[K, V]][]K{}
	for _, key := range keys {
		var s site[K, V]
		if now != nil {
			var err error
			s, err = f.site(ctx, now, key)
			errs = append(errs, err)
		}
		for _, p := range before {
			m, gutter, err := f.storedAt(ctx, p, key)
			errs = append(errs, err)
			for _, m := range slices.Concat(m.shards(), gutter.shards()) {
				if !slices.Contains(s.at.shards(), m) && !slices.Contains(s.other.shards(), m) {
					left[m] = append(left[m], key)
				}
			}
		}
	}
	for m, keys := range left {
		errs = append(errs, clear(m, keys))
	}
	return errors.Join(errs...)
}

// storedAt returns where a write stores a key by a placement that may no longer be in
// force, and where besides if there is a gutter. It moves no pin.
func (f *Fleet[K, V]) storedAt(ctx context.Context, p *placement[K, V], key K) (m, gutter *member[K, V], err error) {
	hash, err := f.hasher.hash(key)
	if err != nil {
		return nil, nil, err
	}
	pin, _ := f.pins.find(ctx, key)
	if m, err = p.layout.owner(hash, pin); err == nil && f.gutter().used() {
		gutter, err = p.layout.next(hash, m)
	}
	return m, gutter, err
}
