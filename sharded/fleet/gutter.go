package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
)

// GutterOptions say what becomes of keys whose shard is out: with a gutter what is
// loaded is kept for a moment at another shard, the next in the key's ranking, so that
// the source does not meet every call. The zero value is no gutter.
//
// A gutter has its price, while all shards are well too: other processes may take
// another shard for out, so that every Set and Delete of a user also deletes at the next
// shard, at the same time, and is an error if that is. Therefore all processes of a fleet
// need a gutter, or none.
//
// The gutter of a pinned key is the first shard in its computed ranking that it is not
// pinned to. If that one is out too there is none.
type GutterOptions struct {
	// Life is how long at most something is kept in the gutter, if its Keep does not end
	// before. Up to 60 s; 10 s is a good one. Zero is for no gutter.
	Life time.Duration

	// Fills is how many values a second this process stores at one shard for others, at
	// most a tenth of that at once, so that the loss of one shard does not become that
	// of the next. What is beyond it is loaded, and not stored; so is what would be
	// stored at a shard that is degraded. Zero is 100.
	Fills int

	// DeletesOnly deletes in the gutter and does not use it. It is for the time in which
	// processes are restarted one after the other to have a gutter, or to have none any
	// more: only when all delete there may one use it.
	DeletesOnly bool
}

// GutterStats counts what this process has done in the gutter.
type GutterStats struct {
	Hits    uint64 // entries found there
	Fills   uint64 // entries stored there, or for which a lease was got
	Refused uint64 // those that were not, because of GutterOptions.Fills or a slow shard
}

const (
	maxGutterLife      = 60 * time.Second
	maxGutterFills     = 1_000_000
	defaultGutterFills = 100
)

func (o GutterOptions) check() error {
	switch {
	case o.Life < 0 || o.Life > maxGutterLife:
		return option("Options.Health.Gutter.Life", o.Life, fmt.Sprintf("must be 0 to %v", maxGutterLife))
	case o.Fills < 0 || o.Fills > maxGutterFills:
		return option("Options.Health.Gutter.Fills", o.Fills, fmt.Sprintf("must be 0 (%d) to %d", defaultGutterFills, maxGutterFills))
	case o.Life == 0 && o.Fills > 0:
		return option("Options.Health.Gutter.Fills", o.Fills, "must be 0 where Gutter.Life is")
	case o.Life == 0 && o.DeletesOnly:
		return option("Options.Health.Gutter.DeletesOnly", true, "must be false where Gutter.Life is 0")
	}
	return nil
}

func (o GutterOptions) withDefaults() GutterOptions {
	if o.Fills == 0 {
		o.Fills = defaultGutterFills
	}
	return o
}

// on reports whether writes go to the gutter, used whether anything is kept there.
func (o *GutterOptions) on() bool   { return o.Life > 0 }
func (o *GutterOptions) used() bool { return o.Life > 0 && !o.DeletesOnly }

func (f *Fleet[K, V]) gutter() *GutterOptions { return &f.ward.opts.Gutter }

// allowance is what a shard takes for others.
type allowance struct {
	next atomic.Int64 // as ward.now; when it is used up to nothing
}

// take returns how many of so many there is room for: a rate, with the burst of a tenth
// of a second (the "virtual scheduling" of ITU-T I.371).
func (a *allowance) take(now int64, perSecond, want int) int {
	step := int64(time.Second) / int64(perSecond)
	burst := max(step, int64(time.Second/10))
	for {
		next := a.next.Load()
		from := max(next, now)
		got := min(int64(want), (now+burst-from)/step)
		if got <= 0 {
			return 0
		}
		if a.next.CompareAndSwap(next, from+got*step) {
			return int(got)
		}
	}
}

// giveBack returns what was taken and not used.
func (a *allowance) giveBack(perSecond, n int) {
	a.next.Add(-int64(n) * int64(time.Second) / int64(perSecond))
}

// takes returns for how many of so many keys the shard has room.
func (f *Fleet[K, V]) takes(m *member[K, V], want int) (got int) {
	if m.healthy() && !m.slow() {
		got = m.lent.take(f.ward.now(), f.gutter().Fills, want)
	}
	f.numbers.gutter.refused.Add(uint64(want - got))
	return got
}

// slow reports whether the shard, or any of a group, is.
func (m *member[K, V]) slow() bool {
	return slices.ContainsFunc(m.shards(), func(m *member[K, V]) bool { return m.vitals.flags.Load()&flagSlow != 0 })
}

// filled counts what of keys was stored in the gutter, and returns err.
func filled[K comparable, V any](f *Fleet[K, V], keys []K, err error) error {
	for _, key := range keys {
		if manykeys.Of(err, key) == nil {
			f.numbers.gutter.fills.Add(1)
		}
	}
	return err
}

// shortLived returns e as the gutter keeps it; nil if its time is over.
func (f *Fleet[K, V]) shortLived(e *corral.Entry[V]) *corral.Entry[V] {
	return endsAt(e, time.Now().Add(f.gutter().Life))
}

func (f *Fleet[K, V]) allShortLived(entries []*corral.Entry[V]) []*corral.Entry[V] {
	entries = slices.Clone(entries)
	for i, e := range entries {
		entries[i] = f.shortLived(e)
	}
	return entries
}

// next returns the shard after its owner in the ranking of what has the hash; nil if the
// Router ranks no other. Of a group whose replicas change the owner is none of the
// layout's members: its name tells.
func (l *layout[K, V]) next(hash uint64, owner *member[K, V]) (m *member[K, V], err error) {
	defer bounded.Recover("the Router", &err)
	name := l.name(owner)
	room := ranks.Get().(*[MaxShards]uint16)
	defer ranks.Put(room)
	for _, i := range l.router.Rank(hash, room[:0]) {
		if err := l.inRange(i); err != nil {
			return nil, err
		}
		if l.placed[i].ID != name {
			return l.members[i], nil
		}
	}
	return nil, nil
}

// gutterOf returns where key is kept while its shard is out; nil for nowhere.
func (f *Fleet[K, V]) gutterOf(ctx context.Context, key K) *member[K, V] {
	if !f.gutter().used() {
		return nil
	}
	p, err := f.inForce(ctx)
	if err != nil {
		return nil
	}
	s, err := f.site(ctx, p, key)
	if err != nil {
		return nil
	}
	m, _ := f.gutterBy(p.layout, s.at, key)
	return m
}

func (f *Fleet[K, V]) gutterBy(l *layout[K, V], owner *member[K, V], key K) (*member[K, V], error) {
	hash, err := f.hasher.hash(key)
	if err != nil {
		return nil, err
	}
	return l.next(hash, owner)
}

// refused reports whether err is that of a shard which is out, and not of another error
// that came with it.
func refused(err error) bool { return err != nil && errors.Is(err, ErrUnhealthy) }

// found counts what was read in the gutter.
func (f *Fleet[K, V]) found(ok bool) {
	if ok {
		f.numbers.gutter.hits.Add(1)
	}
}

// atGutter calls the gutter of those keys of which err says that their shard is out, and
// puts what it answers in their places. Keys without a gutter keep their error.
func atGutter[K comparable, V, R any](ctx context.Context, f *Fleet[K, V], keys []K, results []R, err error, to purpose,
	call func(ctx context.Context, m *member[K, V], p part[K]) ([]R, error)) ([]R, error) {
	if !f.gutter().used() || !refused(err) {
		return results, err
	}
	if len(results) != len(keys) {
		results = make([]R, len(keys))
	}
	parts, failed := map[site[K, V]]*part[K]{}, manykeys.Failures[K]{}
	for i, key := range keys {
		own := manykeys.Of(err, key)
		if own == nil {
			continue
		}
		if m := f.gutterOf(ctx, key); m != nil && refused(own) {
			f.numbers.routes.fallback.Add(1)
			addTo(parts, site[K, V]{at: m}, key, i)
		} else {
			failed.Add(key, own)
		}
	}
	lent, err := callParts(ctx, f, keys, parts, failed, to, func(ctx context.Context, s site[K, V], p part[K]) ([]R, error) {
		return call(ctx, s.at, p)
	})
	for _, p := range parts {
		for _, i := range p.at {
			results[i] = lent[i]
		}
	}
	return results, err
}

// readMany is GetMany in the gutter.
func (c calls[K, V]) readMany(ctx context.Context, m *member[K, V], p part[K]) ([]*corral.Entry[V], error) {
	entries, err := m.getMany(ctx, c.tier, p.keys)
	for _, e := range entries {
		c.fleet.found(e != nil)
	}
	return entries, err
}

// gutterNumbers are the live GutterStats.
type gutterNumbers struct{ hits, fills, refused atomic.Uint64 }

func (n *gutterNumbers) snapshot() GutterStats {
	return GutterStats{n.hits.Load(), n.fills.Load(), n.refused.Load()}
}
