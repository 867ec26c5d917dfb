package fleet

import (
	"context"
	"errors"
	"slices"
)

// clearEarlier calls clear with the keys that a write, which is made again because the
// topology changed meanwhile, may have stored by one of the placements before at a shard
// that is neither of those where they are now: that one has nothing to do with them any
// more, and would keep what is there for a later topology to find.
func (f *Fleet[K, V]) clearEarlier(ctx context.Context, before []*placement[K, V], now *placement[K, V], keys []K, clear func(m *member[K, V], keys []K) error) error {
	if len(before) == 0 {
		return nil
	}
	var errs []error
	left := map[*member[K, V]][]K{}
	for _, key := range keys {
		s, err := f.site(ctx, now, key)
		errs = append(errs, err)
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
