package layered

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

const (
	numStripes = 64

	// minShrink keeps the map of a stripe that had a burst no larger than this.
	minShrink = 64
)

// stripe orders what is done to near for the keys that share it. Under its lock
// near is written and a fill is found attached or not; near is in memory and
// answers at once. Far is never called under it.
type stripe[K comparable] struct {
	mu    sync.Mutex
	gates map[K]*gate // guarded by mu
	peak  int         // guarded by mu; the most gates since the map was made
}

// gate is what is under way of a key. The fields are guarded by the stripe's mu.
type gate struct {
	open   int    // fills and writes
	writes int    // writes alone
	turn   uint64 // above zero; a fill is attached while it is what it was
}

// fill is a call of far whose entry may be copied into near.
type fill[K comparable] struct {
	key    K
	stripe *stripe[K]
	gate   *gate
	turn   uint64 // zero: never attached
	at     uint64 // the copy's Version
}

func (f *fill[K]) attachedLocked() bool { return f.turn == f.gate.turn }

func (c *Cache[K, V]) stripe(key K) *stripe[K] {
	return &c.stripes[maphash.Comparable(c.seed, key)%numStripes]
}

// beginFill registers a read of far. One that begins during a write may read
// what was there before it and is not attached.
func (c *Cache[K, V]) beginFill(key K) fill[K] {
	st := c.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	g := st.gateLocked(key)
	f := fill[K]{key: key, stripe: st, gate: g, at: c.era.now()}
	if g.writes == 0 {
		f.turn = g.turn
	}
	return f
}

// endFill ends a read of far. If nothing detached it, near gets a copy of e.
func (c *Cache[K, V]) endFill(ctx context.Context, f fill[K], e *corral.Entry[V]) {
	var err error
	defer func() { c.report(err) }()
	f.stripe.mu.Lock()
	defer f.stripe.mu.Unlock()
	defer f.stripe.leaveLocked(f)
	if e != nil && f.attachedLocked() && c.copies(f, e) {
		err = c.copyLocked(ctx, f, e)
	}
}

// beginWrite registers a write of far and detaches every fill of the key. Of
// writes at the same time nobody knows which one far applies last: none is
// copied but one that was alone from its beginning to its end.
func (c *Cache[K, V]) beginWrite(key K) fill[K] {
	st := c.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	g := st.gateLocked(key)
	g.turn++
	f := fill[K]{key: key, stripe: st, gate: g, at: c.era.now()}
	if g.writes == 0 {
		f.turn = g.turn
	}
	g.writes++
	return f
}

func (f *fill[K]) endWriteLocked() {
	f.gate.writes--
	f.stripe.leaveLocked(*f)
}

// endDelete ends a Delete. It dropped the copy when it began, and none was made
// since.
func (c *Cache[K, V]) endDelete(f fill[K]) {
	f.stripe.mu.Lock()
	defer f.stripe.mu.Unlock()
	f.endWriteLocked()
}

// endSet ends a Set that came to err. The copy that was there goes, whatever
// became of the write. It does so only now: until far has the new entry, the old
// one is better than none. copied says what near made of the copy, failed that
// the old one could not be dropped.
func (c *Cache[K, V]) endSet(ctx context.Context, f fill[K], e *corral.Entry[V], err error) (copied, failed error) {
	f.stripe.mu.Lock()
	defer f.stripe.mu.Unlock()
	defer f.endWriteLocked()
	if failed = c.dropLocked(ctx, f.key); failed != nil {
		return nil, failed
	}
	if err == nil && e != nil && f.attachedLocked() && c.copies(f, e) {
		copied = c.copyLocked(ctx, f, e)
	}
	return copied, nil
}

// endRefill ends a Fill under a lease that came to err. Other than after a Set,
// the copy that was there may be served until its time is over: it goes only if
// far has another entry now, or none. What a Fill that failed left in far is not
// known; then near's copy is what callers can still be served.
func (c *Cache[K, V]) endRefill(ctx context.Context, f fill[K], e *corral.Entry[V], err error) (copied error) {
	f.stripe.mu.Lock()
	defer f.stripe.mu.Unlock()
	defer f.endWriteLocked()
	switch {
	case err != nil && !errors.Is(err, corral.ErrRefused):
		return nil
	case err == nil && e != nil && f.attachedLocked() && c.copies(f, e):
		if copied = c.copyLocked(ctx, f, e); copied == nil {
			return nil
		}
	}
	return errors.Join(copied, c.dropLocked(ctx, f.key))
}

// drop detaches the fills of key and deletes its copy.
func (c *Cache[K, V]) drop(ctx context.Context, key K) error {
	st := c.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if g := st.gates[key]; g != nil {
		g.turn++
	}
	return c.dropLocked(ctx, key)
}

// copies reports whether e may be copied by f. An entry of unknown age is kept
// from when it is set: a copy would outlive it. An absent one a far cache of
// bare values does not hold.
func (c *Cache[K, V]) copies(f fill[K], e *corral.Entry[V]) bool {
	return !e.LoadedAt.IsZero() && !(e.Absent && c.plain != nil) && c.era.lives(f.at)
}

// copyLocked and dropLocked write near. They do so whatever becomes of the
// caller: one in a hurry would leave an old copy behind.

func (c *Cache[K, V]) copyLocked(ctx context.Context, f fill[K], e *corral.Entry[V]) (err error) {
	defer bounded.Recover("the near cache", &err)
	twin := *e
	twin.Version = f.at
	return c.near.Set(context.WithoutCancel(ctx), f.key, &twin)
}

func (c *Cache[K, V]) dropLocked(ctx context.Context, key K) (err error) {
	defer bounded.Recover("the near cache", &err)
	return c.near.Delete(context.WithoutCancel(ctx), key)
}

// gateLocked returns the gate of key, with one more under way. A key that is not
// equal to itself could not be found again and gets one that is closed.
func (s *stripe[K]) gateLocked(key K) *gate {
	g := s.gates[key]
	switch {
	case g != nil:
	case !equal(key, key):
		return &gate{open: 1, writes: 1, turn: 1}
	case s.gates == nil:
		s.gates = map[K]*gate{}
		fallthrough
	default:
		g = &gate{turn: 1}
		s.gates[key] = g
		s.peak = max(s.peak, len(s.gates))
	}
	g.open++
	return g
}

func (s *stripe[K]) leaveLocked(f fill[K]) {
	if f.gate.open--; f.gate.open > 0 {
		return
	}
	delete(s.gates, f.key)
	if len(s.gates) == 0 && s.peak > minShrink {
		s.gates, s.peak = nil, 0 // a map keeps the size of its largest burst
	}
}

func equal[K comparable](a, b K) bool { return a == b }
