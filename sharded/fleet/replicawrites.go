package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// Set sets key at its holder and deletes it at the other replicas, which copy it when it
// is asked for there.
func (r *replicas[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	return r.writeOne(ctx, key, func(ctx context.Context, m *member[K, V]) error { return m.set(ctx, whole, key, e) })
}

// Delete deletes key at all replicas. It is an error if one of them fails; the others are
// done all the same.
func (r *replicas[K, V]) Delete(ctx context.Context, key K) error {
	return r.writeOne(ctx, key, nil)
}

// SetMany is Set of many keys.
func (r *replicas[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := manykeys.Fit("fleet", len(keys), "entries", len(entries)); err != nil {
		return err
	}
	return r.write(ctx, keys, func(ctx context.Context, m *member[K, V], keys []K, at []int) error {
		return m.setMany(ctx, whole, keys, those(entries, at))
	})
}

// DeleteMany is Delete of many keys.
func (r *replicas[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return r.write(ctx, keys, nil)
}

// Settle waits for the replicas that buffer their writes.
func (r *replicas[K, V]) Settle(ctx context.Context, key K) error {
	var errs []error
	for i := range r.all {
		if s := r.all[i].settler; s != nil && r.all[i].read {
			errs = append(errs, s.Settle(ctx, key))
		}
	}
	return errors.Join(errs...)
}

func (r *replicas[K, V]) writeOne(ctx context.Context, key K, op func(ctx context.Context, m *member[K, V]) error) error {
	var many func(ctx context.Context, m *member[K, V], keys []K, at []int) error
	if op != nil {
		many = func(ctx context.Context, m *member[K, V], _ []K, _ []int) error { return op(ctx, m) }
	}
	return manykeys.Of(r.write(ctx, []K{key}, many), key)
}

// write calls op, where there is one, for keys at their holder, and deletes them at the
// other replicas, in the order in which they are copied: see [replicas].
func (r *replicas[K, V]) write(ctx context.Context, keys []K, op func(ctx context.Context, m *member[K, V], keys []K, at []int) error) error {
	order, holders := make([][]*replica[K, V], len(keys)), make([]*replica[K, V], len(keys))
	rounds := 0
	for i, key := range keys {
		ranked, err := r.ranked(key)
		if err != nil {
			return err
		}
		for _, m := range ranked {
			if m.ends && !time.Now().Before(m.until) {
				continue
			}
			order[i] = append(order[i], m)
			if holders[i] == nil && m.read && op != nil {
				holders[i] = m
			}
		}
		rounds = max(rounds, len(order[i]))
	}
	errs := make([][]error, len(keys))
	inRounds(keys, func(i, round int) *replica[K, V] {
		if round < len(order[i]) {
			return order[i][round]
		}
		return nil
	}, func(m *replica[K, V], round int, keys []K, at []int) error {
		var set, gone part[K]
		for j, i := range at {
			p := &gone
			if holders[i] == m {
				p = &set
			}
			p.keys, p.at = append(p.keys, keys[j]), append(p.at, i)
		}
		return r.fleet.share(ctx, m.member, keys, rounds-round, func(ctx context.Context) error {
			var failed []error
			if len(gone.keys) > 0 {
				failed = append(failed, manykeys.Join(gone.keys, m.deleteSome(ctx, gone.keys)))
			}
			if len(set.keys) > 0 {
				failed = append(failed, manykeys.Join(set.keys, op(ctx, m.member, set.keys, set.at)))
			}
			return manykeys.Join(keys, failed...)
		})
	}, func(_ *replica[K, V], i int, err error) { errs[i] = append(errs[i], err) })
	return manykeys.Each(keys, func(i int) error { return errors.Join(errs[i]...) })
}

func (m *member[K, V]) deleteSome(ctx context.Context, keys []K) error {
	if len(keys) == 1 {
		return m.delete(ctx, whole, keys[0])
	}
	return m.deleteMany(ctx, whole, keys)
}

// plainReplicas are those of bare values.
type plainReplicas[K comparable, V any] struct{ *replicas[K, V] }

// GetValue is Get of a bare value.
func (r plainReplicas[K, V]) GetValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	if near := r.near; near != nil && !near.vitals.out() {
		if value, life, ok, err = near.getValue(ctx, key); r.enough(ctx, near, ok, err) {
			return value, life, ok, err
		}
	}
	e, err := r.Get(ctx, key)
	return valueOf(e), lifeOf(e), e != nil, err
}

// SetValue is Set of a bare value.
func (r plainReplicas[K, V]) SetValue(ctx context.Context, key K, value V, life time.Duration) error {
	return r.writeOne(ctx, key, func(ctx context.Context, m *member[K, V]) error { return m.setValue(ctx, key, value, life) })
}
