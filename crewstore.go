package corral

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// filling is a flight whose outcome is to be written.
type filling[K comparable, V any] struct {
	f    *flight.Flight[K, ride[K, V]]
	r    ride[K, V]
	err  error        // of its callers
	over *atomic.Bool // the write, or what comes after it; the flight is removed when both are
}

// ends notes that the write, or what comes after it, is over.
func (w *filling[K, V]) ends() {
	if w.over.Swap(true) {
		w.f.Remove()
	}
}

// fill writes what the load came to and lands the flights, as Loader.store does
// for one: all of them are woken before the cache settles. Hooks may write any of
// these keys, so they are told when nothing here writes them any more.
func (c *crew[K, V]) fill(fills []filling[K, V]) {
	var sets, deletes, discarded []filling[K, V]
	over := make([]atomic.Bool, len(fills))
	for i, w := range fills {
		w.over = &over[i]
		write, ok := w.f.Store(w.r, w.err, phaseDone, phaseStore, 0)
		if write && w.r.lease != nil {
			w.r.lease.end()
		}
		switch {
		case !ok: // Close was faster
		case !write:
			discarded = append(discarded, w)
		case c.l.leaser == nil && w.r.op == OpCacheDelete:
			deletes = append(deletes, w)
		default:
			sets = append(sets, w)
		}
	}
	late := time.AfterFunc(c.l.opts.CacheTimeout, func() { // nobody waits longer for a write
		for _, w := range fills {
			w.f.Wake(true, nil)
		}
	})
	defer late.Stop()
	errs, failures := c.write(OpCacheSet, sets)
	more, others := c.write(OpCacheDelete, deletes)
	for _, tell := range append(failures, others...) {
		tell()
	}
	for _, w := range discarded {
		c.l.discard(w.f, w.r)
	}
	c.written(append(sets, deletes...), append(errs, more...))
}

// write makes the writes that were begun, and returns what is to be told of those
// that failed. With leases a delete is a fill too.
func (c *crew[K, V]) write(op Op, fills []filling[K, V]) (errs []error, failures []func()) {
	if len(fills) == 0 {
		return nil, nil
	}
	l := c.l
	flights := make([]*flight.Flight[K, ride[K, V]], len(fills))
	entries := make([]*Entry[V], len(fills))
	tokens := make([]string, len(fills))
	for i, w := range fills {
		l.life.again()
		flights[i], entries[i] = w.f, w.r.entry
		if w.r.lease != nil {
			tokens[i] = w.r.lease.token
			if w.r.op == OpCacheDelete {
				entries[i] = nil
			}
		}
	}
	t := c.trip(op, flights)
	tell := t.tell
	t.tell = func(i int, e Event) { failures = append(failures, func() { tell(i, e) }) }
	t.then = func(i int) {
		flights[i].Stored()
		fills[i].ends()
		l.life.leave()
	}
	_, errs = travel(t, c.writeMany(op, t.keys, tokens, entries), func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, l.putNow(ctx, t.keys[i], fills[i].r.op, fills[i].r.entry, fills[i].r.lease)
	})
	return errs, failures
}

// writeMany returns the call that writes several keys at once; nil if the cache
// has none.
func (c *crew[K, V]) writeMany(op Op, keys []K, tokens []string, entries []*Entry[V]) func(ctx context.Context, from, to int) ([]struct{}, error) {
	switch l := c.l; {
	case l.leaser != nil && l.leaserMany != nil:
		return noAnswer(func(ctx context.Context, from, to int) error {
			return l.leaserMany.FillMany(ctx, keys[from:to], tokens[from:to], entries[from:to])
		})
	case l.leaser != nil || l.cacheMany == nil:
		return nil
	case op == OpCacheDelete:
		return noAnswer(func(ctx context.Context, from, to int) error {
			return l.cacheMany.DeleteMany(ctx, keys[from:to])
		})
	default:
		return noAnswer(func(ctx context.Context, from, to int) error {
			return l.cacheMany.SetMany(ctx, keys[from:to], entries[from:to])
		})
	}
}

// written goes on after the writes: it wakes all waiters. The flights of what was
// stored then settle like any others, apart: what goes wrong there, or takes long,
// concerns neither the other keys nor the places of MaxRefreshes.
func (c *crew[K, V]) written(fills []filling[K, V], errs []error) {
	l := c.l
	if l.leaser != nil {
		c.didFill(fills, errs)
	}
	stored := make([]bool, len(fills))
	for i, w := range fills {
		w.f.Advance(phaseStore, phaseStored, 0)
		if errors.Is(errs[i], context.DeadlineExceeded) { // it serves until the write is over
			w.f.Wake(true, nil)
		} else {
			stored[i] = l.wake(w.f, w.r, errs[i])
		}
	}
	for i, w := range fills {
		if stored[i] && l.settler != nil {
			l.settleLater(w.f)
		} else {
			w.ends()
		}
		l.ended(w.f, w.r)
	}
}

// mostUnasked is how many values that nobody asked for one load may store.
const mostUnasked = tripKeys

// unasked returns what the load gave beyond what it was asked for. With leases it
// is not stored: that a Delete in another process came after the load began could
// not be seen.
func (b *bulk[K, V]) unasked(values map[K]V) map[K]V {
	if b.l.leaser != nil {
		return nil
	}
	more := make(map[K]V)
	for key, v := range values {
		if len(more) == mostUnasked {
			break
		}
		if b.control(key) == nil {
			more[key] = v
		}
	}
	return more
}

// fillGaps stores what the load gave beyond what it was asked for, under keys that
// hold nothing, nobody loads and nobody wrote since the load began. The flight of
// such a key has nothing for who joins it unless it finds or stores a value: they
// ask again.
func (b *bulk[K, V]) fillGaps(more map[K]V, took time.Duration) {
	if len(more) == 0 {
		return
	}
	l := b.l
	together := newParty(len(more), 0)
	c := &crew[K, V]{l: l, values: b.values, background: true}
	for key := range more {
		if at, ok := l.table.Locate(key); ok && !l.life.closed() {
			if f := l.table.Lead(b.values, at, key, ride[K, V]{party: together}); f != nil {
				c.flights = append(c.flights, f)
			}
		}
	}
	if len(c.flights) == 0 {
		return
	}
	c = c.of(c.flights)
	if l.life.closed() { // Close may have missed them
		c.landAll(ErrClosed)
		return
	}
	c.guard(func() { c.fillUnlessWritten(more, took, b.wrote) })
}

func (c *crew[K, V]) fillUnlessWritten(more map[K]V, took time.Duration, wrote uint64) {
	l := c.l
	if l.wrote.Load() != wrote { // whoever writes from here on detaches these flights
		for _, f := range c.flights {
			c.vain(f)
		}
		return
	}
	entries, errs := c.read()
	var fills []filling[K, V]
	for i, f := range c.flights {
		r, _ := f.Peek()
		r.prev = entries[i]
		switch {
		case l.state(r.prev) == fresh:
			l.serveFlight(f, r, SourceHit)
		case r.prev != nil || errs[i] != nil || !f.Advance(phaseRead, phaseDone, 0):
			c.vain(f)
		default:
			r.entry = l.entry(more[f.Key()], took, l.opts.TTL)
			r.source, r.op = SourceLoaded, OpCacheSet
			fills = append(fills, filling[K, V]{f: f, r: r})
		}
	}
	c.fill(fills)
}

// vain lands a flight that came to nothing.
func (c *crew[K, V]) vain(f *flight.Flight[K, ride[K, V]]) {
	r, _ := f.Peek()
	r.again = true
	c.l.land(f, r, nil)
}
