package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
)

// layout is a topology with its open shards: everything that a route depends on,
// in one value that never changes.
type layout[K comparable, V any] struct {
	topology Topology // in order of IDs
	placed   []Shard  // what keys are placed on: the shards or, by their names, the groups
	members  []*member[K, V]
	at       map[string]int // by the ID of what is placed
	router   Router
	picker   Picker // router, if it is one of this package
}

// openAtOnce is how many shards are opened or closed at a time.
const openAtOnce = 16

// layOut returns the layout of t, by which keys are placed on those that member returns.
func layOut[K comparable, V any](t, placed Topology, r Router, member func(s Shard) *member[K, V]) *layout[K, V] {
	l := &layout[K, V]{topology: t, placed: placed.Shards, at: map[string]int{}, router: r}
	switch r := r.(type) {
	case equalWeights, *unequalWeights, *ring, jump:
		l.picker = r.(Picker)
	}
	for i, s := range placed.Shards {
		l.at[s.ID] = i
		l.members = append(l.members, member(s))
	}
	return l
}

// openThose opens the shards that are not in open, and returns them. With an error it
// has closed them.
func openThose[K comparable, V any](ctx context.Context, t Topology, open map[string]*member[K, V],
	opening OpenFunc[K, V], closing closeFunc) (map[string]*member[K, V], error) {
	var missing []Shard
	for _, s := range t.Shards {
		if open[s.ID] == nil {
			missing = append(missing, s)
		}
	}
	opened := make([]*member[K, V], len(missing))
	err := ofShards(missing, func(i int, s Shard) (err error) {
		opened[i], err = openMember(ctx, s, opening)
		return err
	})
	opened = slices.DeleteFunc(opened, func(m *member[K, V]) bool { return m == nil })
	if err == nil {
		err = goTogether(slices.Concat(slices.Collect(maps.Values(open)), opened))
	}
	if err != nil {
		return nil, errors.Join(err, closeAll(context.WithoutCancel(ctx), opened, closing))
	}
	byID := map[string]*member[K, V]{}
	for _, m := range opened {
		byID[m.shard.ID] = m
	}
	return byID, nil
}

// ofShards calls f for every shard, some at a time. Its error is of [*ShardErrors].
func ofShards(shards []Shard, f func(i int, s Shard) error) error {
	errs := manykeys.AtOnce(len(shards), openAtOnce, "the shard", errExited, func(i int) error { return f(i, shards[i]) })
	failed := map[string]error{}
	for i, err := range errs {
		if err != nil {
			failed[shards[i].ID] = err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &ShardErrors{Errors: failed}
}

type closeFunc func(ctx context.Context, s Shard, cache any) error

func closeAll[K comparable, V any](ctx context.Context, members []*member[K, V], closing closeFunc) error {
	if closing == nil {
		return nil
	}
	shards := make([]Shard, len(members))
	for i, m := range members {
		shards[i] = m.shard
	}
	return ofShards(shards, func(i int, s Shard) error {
		_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, closing(ctx, s, members[i].opened)
		})
		return err
	})
}

// owner returns the owner of what has the hash and, if it is not empty, is pinned.
func (l *layout[K, V]) owner(hash uint64, pin string) (*member[K, V], error) {
	if i, known := l.at[pin]; known {
		return l.members[i], nil
	}
	return l.pick(hash)
}

// name returns by what name keys are placed on m.
func (l *layout[K, V]) name(m *member[K, V]) string {
	if i := slices.Index(l.members, m); i >= 0 {
		return l.placed[i].ID
	}
	return m.shard.ID
}

// pick returns the owner of what has the hash.
func (l *layout[K, V]) pick(hash uint64) (*member[K, V], error) {
	if l.picker != nil {
		return l.members[l.picker.Pick(hash)], nil
	}
	return l.pickForeign(hash)
}

// ranks lends a Router room.
var ranks = sync.Pool{New: func() any { return new([MaxShards]uint16) }}

// pickForeign asks a Router that may panic, or answer with no shard.
func (l *layout[K, V]) pickForeign(hash uint64) (m *member[K, V], err error) {
	defer bounded.Recover("the Router", &err)
	var first uint16
	if p, ok := l.router.(Picker); ok {
		first = p.Pick(hash)
	} else {
		room := ranks.Get().(*[MaxShards]uint16)
		defer ranks.Put(room)
		ranked := l.router.Rank(hash, room[:0])
		if len(ranked) == 0 {
			return nil, option("Options.Router", "a Router that ranked no shard", "must rank at least one")
		}
		first = ranked[0]
	}
	if err := l.inRange(first); err != nil {
		return nil, err
	}
	return l.members[first], nil
}

// rank returns all that the Router ranks.
func (l *layout[K, V]) rank(hash uint64) (ranked []uint16, err error) {
	defer bounded.Recover("the Router", &err)
	ranked = l.router.Rank(hash, nil)
	if len(ranked) == 0 {
		return nil, option("Options.Router", "a Router that ranked no shard", "must rank at least one")
	}
	for _, i := range ranked {
		if err := l.inRange(i); err != nil {
			return nil, err
		}
	}
	return ranked, nil
}

func (l *layout[K, V]) inRange(i uint16) error {
	if n := len(l.members); int(i) >= n {
		return option("Options.Router", fmt.Sprintf("a Router that ranked shard %d", i), fmt.Sprintf("must be below %d", n))
	}
	return nil
}

// openMember opens one shard and asks it whether it can work.
func openMember[K comparable, V any](ctx context.Context, s Shard, open OpenFunc[K, V]) (*member[K, V], error) {
	cache, err := open(ctx, s)
	if err != nil {
		return nil, err
	}
	if isNil(cache) {
		return nil, option("New: open", "a function that returned nil", "must return a cache or an error")
	}
	return newMember(s, cache)
}

// newMember returns a member also with an error: it has to be closed.
func newMember[K comparable, V any](s Shard, cache corral.Cache[K, V]) (m *member[K, V], err error) {
	m = &member[K, V]{shard: s, opened: cache, numbers: newShardNumbers(), vitals: newVitals(s)}
	defer bounded.Recover("the shard", &err)
	m.look(cache)
	if m.checker != nil {
		return m, m.checker.Check()
	}
	return m, nil
}
