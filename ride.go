package corral

import (
	"context"

	"github.com/corralcache/corral/internal/flight"
)

// ride is what a flight of a Loader carries.
type ride[K comparable, V any] struct {
	load LoadFunc[K, V]
	seen *Entry[V]     // what the call saw that started a refresh
	prev *Entry[V]     // what the flight itself read
	soft chan struct{} // see early

	patrons []*slot // of the loads inside which somebody waits for this flight
	ticket  *ticket // while it queues for a slot
	slot    *slot   // while it loads
	lease   *lease  // from when the flight has it
	party   *party  // the flights that it flies with; nil if it flies alone
	hurry   func()  // begins its part of MaxBatch, which waits for others; nil if it need not

	insist bool // Refresh wants a load, whatever the cache holds
	blind  bool // it could not read
	here   bool // its leader reads, on the caller's goroutine
	softer bool // soft was closed
	urgent bool // a load waits for it
	pass   pass // of the call of the cache that is under way
	op     Op   // what writes entry

	// The outcome:
	source  Source
	again   bool // there is none: ask once more
	read    bool // read from the cache: no load ran
	stored  bool // the cache holds entry
	entry   *Entry[V]
	failure error // of the load for which entry, a stale one, stands in
}

// early returns the channel that is closed once the load took SoftTimeout.
func (r *ride[K, V]) early() chan struct{} {
	if r.soft == nil {
		r.soft = make(chan struct{})
	}
	return r.soft
}

// The phases of a flight.
const (
	phaseRead   uint8 = iota // reads the cache, within CacheTimeout
	phaseAsk                 // asks for the lease, within CacheTimeout
	phaseQueue               // queues for one of MaxLoads, or waits for another process
	phaseSoft                // loads, before SoftTimeout
	phaseLoad                // loads, within LoadTimeout
	phaseDone                // the load is over
	phaseStore               // writes the cache, within CacheTimeout
	phaseStored              // the write is over, or given up
)

// serves returns the entry of a flight that serves a newcomer, as ready said.
func (r *ride[K, V]) serves(l *Loader[K, V]) (*Entry[V], Source) {
	e := r.entry
	if e == nil {
		e = r.prev
	}
	if l.state(e) == fresh {
		return e, SourceHit
	}
	return e, SourceStale
}

// ready reports whether a flight serves newcomers without their waiting: with
// the entry that it loaded, until the cache shows it, or with the one that it
// found while it loads the next.
func (l *Loader[K, V]) ready(r *ride[K, V]) bool {
	if r.entry != nil {
		return l.state(r.entry) >= stale
	}
	return r.prev != nil && l.state(r.prev) >= stale
}

// lentBy notes the slot of the load inside which the flight is started, nil for
// none, and returns it.
func (r *ride[K, V]) lentBy(held *slot) *slot {
	if held != nil {
		r.patrons = []*slot{held}
	}
	return held
}

// board starts a flight for its leader. For a waiter inside another load it sees
// to it that the flight need not queue behind that load: not for a slot, if that
// load holds one, and not for its turn among the parts of MaxBatch.
func (l *Loader[K, V]) board(ctx context.Context, f *flight.Flight[K, ride[K, V]], role flight.Role, held *slot) {
	switch {
	case role == flight.Leader:
		l.launch(f)
	case role == flight.Queued:
		l.landLeft(f)
	case role == flight.Waiter && flight.Nested(ctx):
		var hurry func()
		f.Update(func(r *ride[K, V]) {
			r.urgent, hurry = true, r.hurry
			if held == nil || r.slot != nil {
				return
			}
			r.patrons = append(r.patrons, held) // it may queue again, as after a lease
			if r.ticket != nil {
				l.slots.lend(r.ticket, held)
			}
		})
		if hurry != nil {
			hurry()
		}
	}
}

// landLeft lands a flight that everybody had left before its load began, if it is
// one of a crew: that may queue on for the others, and who comes now would wait
// for them.
func (l *Loader[K, V]) landLeft(f *flight.Flight[K, ride[K, V]]) {
	if r, _ := f.Peek(); r.party != nil && f.Advance(phaseQueue, phaseDone, 0) {
		l.land(f, r, context.Canceled)
	}
}

// launch lets a flight fly, on a goroutine of its own, unless Close was called.
func (l *Loader[K, V]) launch(f *flight.Flight[K, ride[K, V]]) {
	if !l.life.enter() {
		l.land(f, ride[K, V]{}, ErrClosed)
		return
	}
	go l.fly(f)
}

// refresh starts a background flight of key for the entry e that a call saw,
// unless one runs, a failed one is not long ago, or too many run.
func (l *Loader[K, V]) refresh(ctx context.Context, s flight.Spot[K, ride[K, V]], key K, load LoadFunc[K, V], e *Entry[V]) {
	if l.retries.waits(key) || l.table.Has(s, key) {
		return
	}
	if !l.mayRefresh(1) {
		l.tell(l.opts.Hooks.Dropped, ctx, key, Event{Op: OpRefresh})
		return
	}
	f := l.table.Lead(ctx, s, key, ride[K, V]{load: load, seen: e})
	if f == nil { // somebody was faster
		l.refreshing.Add(-1)
		return
	}
	l.launch(f)
}

// mayRefresh takes one of MaxRefreshes, for the refresh of so many keys. It never
// waits: the call that asks has its answer already.
func (l *Loader[K, V]) mayRefresh(keys int) bool {
	if l.refreshing.Add(1) <= int64(l.opts.MaxRefreshes) {
		return true
	}
	l.refreshing.Add(-1)
	l.counts.dropped.Add(uint64(keys))
	return false
}
