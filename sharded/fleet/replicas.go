package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// replicas are the shards of a group, as one cache that is a shard of the fleet.
//
// Each key ranks them, the same in every process whatever the group consists of. The
// first that is read is the key's holder: whoever loads has its lease, and what was
// loaded is stored there, as well as where the process itself reads. Replicas are
// copied from one that ranks higher to one that ranks lower, never back, and a write
// goes to them in their ranks' order, one after the other. So a copy that read before
// the write was there gets the lease that it stores with before the write comes to
// that replica, which ends it: what a Delete has ended comes back nowhere.
type replicas[K comparable, V any] struct {
	fleet  *Fleet[K, V]
	all    []replica[K, V] // in order of their IDs
	near   *member[K, V]   // the only one that is read in the zone of this process; nil if there is none, or several
	placed *placement[K, V]
	window time.Time // until when replicas are looked at that leave
	waits  waits[K]
}

// replica is a shard of a group, and what it is good for.
type replica[K comparable, V any] struct {
	*member[K, V]
	seed  uint64 // of its ranks
	own   bool   // in the zone of this process
	read  bool   // it belongs to the group
	was   bool   // it did before a change of the topology, and what is not where it is read may be there
	ends  bool   // its zone is ejected: it is only deleted from, and that no longer than
	until time.Time
}

var (
	_ corral.BatchCache[string, any]  = (*replicas[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*replicas[string, any])(nil)
	_ corral.Settler[string]          = (*replicas[string, any])(nil)
	_ corral.Scanner[string, any]     = (*replicas[string, any])(nil)
	_ corral.PlainCache[string, any]  = plainReplicas[string, any]{}
)

// newReplicas returns the shards as a group, with what they are good for.
func newReplicas[K comparable, V any](f *Fleet[K, V], all []replica[K, V], window time.Time) *replicas[K, V] {
	r := &replicas[K, V]{fleet: f, all: all, window: window}
	near := 0
	for i := range all {
		m := &all[i]
		m.seed = xxhash.Sum64String(m.shard.ID)
		if m.own && m.read {
			near++
			r.near = m.member
		}
	}
	if near > 1 {
		r.near = nil
	}
	return r
}

// ranked returns the replicas in the order of key.
func (r *replicas[K, V]) ranked(key K) ([]*replica[K, V], error) {
	hash, err := r.fleet.hasher.hash(key)
	if err != nil {
		return nil, err
	}
	hash = mix64(hash) // else the name of a group that is the ID of a replica would rank that first
	ranked := make([]*replica[K, V], len(r.all))
	for i := range r.all {
		ranked[i] = &r.all[i]
	}
	slices.SortFunc(ranked, func(a, b *replica[K, V]) int {
		return cmp.Or(cmp.Compare(mix64(hash^b.seed), mix64(hash^a.seed)), strings.Compare(a.shard.ID, b.shard.ID))
	})
	return ranked, nil
}

// way is where a key is looked for.
type way[K comparable, V any] struct {
	ranked []*replica[K, V]
	steps  []*replica[K, V] // first where it is read, then where else it may be
	spared []*replica[K, V] // those that are out, and would be asked before
}

// at returns a step, nil if there is none.
func (w way[K, V]) at(step int) *replica[K, V] {
	if step < len(w.steps) {
		return w.steps[step]
	}
	return nil
}

// before reports whether a copy may be made from one replica to the other.
func (w way[K, V]) before(from, to *replica[K, V]) bool {
	return slices.Index(w.ranked, from) < slices.Index(w.ranked, to)
}

// way returns where key is looked for: where this process reads, at its holder and, in
// a change of the topology, at the holder before. Those that are out are probed, and
// asked only if there is no other.
func (r *replicas[K, V]) way(key K) (w way[K, V], err error) {
	if w.ranked, err = r.ranked(key); err != nil {
		return w, err
	}
	for _, fits := range []func(m *replica[K, V]) bool{
		func(m *replica[K, V]) bool { return m.read && m.own },
		func(m *replica[K, V]) bool { return m.read },
		func(m *replica[K, V]) bool { return m.was },
	} {
		if m := w.firstWell(key, fits); m != nil && !slices.Contains(w.steps, m) {
			w.steps = append(w.steps, m)
		}
	}
	if len(w.steps) == 0 {
		for _, m := range w.ranked {
			if m.read { // which says itself that it is out
				w.steps = append(w.steps, m)
				w.spared = slices.DeleteFunc(w.spared, func(s *replica[K, V]) bool { return s == m })
				break
			}
		}
	}
	return w, nil
}

// firstWell returns the first that fits and is not out. Those before it are spared, and
// probed when that is due.
func (w *way[K, V]) firstWell(key K, fits func(m *replica[K, V]) bool) *replica[K, V] {
	for _, m := range w.ranked {
		switch {
		case !fits(m):
		case !m.vitals.out():
			return m
		case !slices.Contains(w.spared, m):
			w.spared = append(w.spared, m)
			m.probe(key)
		}
	}
	return nil
}

// spare counts a call that these are not asked by.
func spare[K comparable, V any](those []*replica[K, V]) {
	for _, m := range those {
		m.numbers.refused.Add(1)
	}
}

// enough reports whether an answer ends the search for a key. A Loader that misses asks
// for the lease next, and learns with it what the others hold; other callers want to
// know at once.
func (r *replicas[K, V]) enough(ctx context.Context, m *member[K, V], found bool, err error) bool {
	if err != nil {
		return ctx.Err() != nil || m.vitals.classify(err) == NoFault
	}
	return found || !ofUser(ctx)
}

// Get is Get of the replica that this process reads, and, for others than a Loader, of
// the key's holder if it has none; of another one if that fails.
func (r *replicas[K, V]) Get(ctx context.Context, key K) (e *corral.Entry[V], err error) {
	near := r.near
	if near != nil && !near.vitals.out() {
		if e, err = near.get(ctx, whole, key); r.enough(ctx, near, e != nil, err) {
			return e, err
		}
	}
	w, failed := r.way(key)
	if failed != nil {
		return nil, failed
	}
	spare(w.spared)
	if len(w.steps) == 0 {
		return nil, ErrUnhealthy
	}
	for _, m := range w.steps {
		if m.member == near && !near.vitals.out() {
			continue
		}
		if e, err = m.get(ctx, whole, key); r.enough(ctx, m.member, e != nil, err) {
			break
		}
	}
	return e, err
}

// GetMany is Get of many keys.
func (r *replicas[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	entries, errs, done := make([]*corral.Entry[V], len(keys)), make([]error, len(keys)), make([]bool, len(keys))
	ways, err := r.ways(keys)
	if err != nil {
		return nil, err
	}
	inRounds(keys, func(i, round int) *replica[K, V] {
		if done[i] {
			return nil
		}
		return ways[i].at(round)
	}, func(m *replica[K, V], _ int, keys []K, at []int) error {
		got, err := m.getMany(ctx, whole, keys)
		if !manykeys.Partial[K](err) {
			return err
		}
		for j, i := range at {
			entries[i] = got[j]
		}
		return err
	}, func(m *replica[K, V], i int, err error) {
		errs[i] = err
		done[i] = r.enough(ctx, m.member, entries[i] != nil, err)
	})
	return entries, manykeys.Each(keys, func(i int) error { return errs[i] })
}

// ways returns the way of each key. A key that none can be asked for has an error.
func (r *replicas[K, V]) ways(keys []K) ([]way[K, V], error) {
	ways := make([]way[K, V], len(keys))
	var spared []*replica[K, V] // of all keys, each by one call
	defer func() { spare(spared) }()
	for i, key := range keys {
		var err error
		if ways[i], err = r.way(key); err != nil {
			return nil, err
		}
		for _, m := range ways[i].spared {
			if !slices.Contains(spared, m) {
				spared = append(spared, m)
			}
		}
		if len(ways[i].steps) == 0 {
			return nil, ErrUnhealthy
		}
	}
	return ways, nil
}

// inRounds makes calls of replicas that follow each other for a key, each with all keys
// whose turn it is: next returns whose, nil if nothing is to be asked any more. then is
// told what came of each key, by one call at a time.
func inRounds[K comparable, V any](keys []K, next func(i, round int) *replica[K, V],
	call func(m *replica[K, V], round int, keys []K, at []int) error, then func(m *replica[K, V], i int, err error)) {
	for round := 0; ; round++ {
		var to []*replica[K, V]
		var parts []part[K]
		for i, key := range keys {
			m := next(i, round)
			if m == nil {
				continue
			}
			j := slices.Index(to, m)
			if j < 0 {
				j = len(to)
				to, parts = append(to, m), append(parts, part[K]{})
			}
			parts[j].keys, parts[j].at = append(parts[j].keys, key), append(parts[j].at, i)
		}
		if len(to) == 0 {
			return
		}
		errs := []error{nil}
		if len(to) == 1 {
			errs[0] = call(to[0], round, parts[0].keys, parts[0].at)
		} else {
			errs = manykeys.AtOnce(len(to), partsAtOnce, "the shard", errExited, func(j int) error {
				return call(to[j], round, parts[j].keys, parts[j].at)
			})
		}
		for j, m := range to {
			for k, i := range parts[j].at {
				then(m, i, manykeys.Of(errs[j], parts[j].keys[k]))
			}
		}
	}
}
