package corral

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// fly is the life of a flight: read the cache, load if that does not help, store
// what was loaded, wake the waiters. Each phase has an alarm; whoever advances
// the flight out of a phase, the one that works or the alarm, goes on with it.
func (l *Loader[K, V]) fly(f *flight.Flight[K, ride[K, V]]) {
	defer l.life.leave()
	l.guard(f, func() {
		r, _ := f.Peek()
		if r.prev == nil {
			l.read(f)
		} else if f.Advance(phaseRead, phaseQueue, 0) {
			l.load(f, r)
		}
	})
}

// guard runs a part of a flight's life and lands the flight if user code other
// than the load, which has a guard of its own, panics or ends the goroutine.
func (l *Loader[K, V]) guard(f *flight.Flight[K, ride[K, V]], part func()) {
	returned := false
	defer func() {
		if !returned {
			l.land(f, ride[K, V]{}, crash(recover()))
		}
	}()
	part()
	returned = true
}

// crash returns the error for a panic with value, or for runtime.Goexit.
func crash(value any) error {
	if value == nil {
		return ErrGoexit
	}
	return &PanicError{Value: value, Stack: debug.Stack()}
}

// ended gives back what a flight held. Whoever lands the flight calls it.
func (l *Loader[K, V]) ended(f *flight.Flight[K, ride[K, V]], r ride[K, V]) {
	switch {
	case r.party != nil:
		l.refreshing.Add(-r.party.leave())
	case f.Background():
		l.refreshing.Add(-1)
	}
}

// read reads the cache inside the flight: for a far cache the one read that
// its callers share, for a near one the second look, which finds what another
// flight stored after the caller had looked.
func (l *Loader[K, V]) read(f *flight.Flight[K, ride[K, V]]) {
	p := l.rest.allows()
	if p == refused {
		if f.Advance(phaseRead, phaseQueue, 0) {
			l.decide(f, nil, errResting)
		}
		return
	}
	if p == probe {
		f.Update(func(r *ride[K, V]) { r.pass = p }) // for the alarm
	}
	var e *Entry[V]
	read := Event{Op: OpCacheGet, Err: errExited} // unless the cache returns
	ctx := f.Values(flight.After(f.Started(), l.opts.CacheTimeout))
	defer func() { // also if the cache ends this goroutine
		ctx.End()
		l.didRead(f, e, read, p)
	}()
	e, read.Took, read.Err = l.get(ctx, l.back, f.Key())
}

// didRead goes on after the read, or without it if its time was over first.
func (l *Loader[K, V]) didRead(f *flight.Flight[K, ride[K, V]], e *Entry[V], read Event, p pass) {
	if f.Advance(phaseRead, phaseQueue, 0) {
		l.judgeFlight(f, read, p)
		l.decide(f, e, read.Err)
	}
}

// decide goes on with what the cache held.
func (l *Loader[K, V]) decide(f *flight.Flight[K, ride[K, V]], e *Entry[V], err error) {
	r, _ := f.Peek()
	if closed := l.closedBy(err); closed != nil {
		l.land(f, r, closed)
		return
	}
	r.prev, r.blind = e, err != nil
	switch course, source := l.course(f, &r); course {
	case serveIt:
		l.serveFlight(f, r, source)
	case swapIt:
		l.swap(f, r, source)
	case loadIt:
		f.Update(func(now *ride[K, V]) { now.prev, now.blind = r.prev, r.blind })
		l.load(f, r)
	}
}

// course is how a flight goes on that has read the cache.
type course uint8

const (
	loadIt  course = iota
	serveIt        // land with what was read
	swapIt         // the same, and refresh it
)

// course returns how a flight goes on with what it read, and what its callers are
// told of where that is from.
func (l *Loader[K, V]) course(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) (course, Source) {
	switch st := l.state(r.prev); {
	case r.insist:
	case f.Background():
		switch {
		case st == fresh && l.newer(r.prev, r.seen):
			return serveIt, SourceHit
		case st >= stale && l.retries.waits(f.Key()):
			// The load before this one failed after the caller had looked.
			return serveIt, st.source()
		}
	case st == fresh && l.far && l.draws(r.prev):
		return swapIt, SourceHit
	case st == fresh:
		return serveIt, SourceHit
	case st == stale:
		return swapIt, SourceStale
	case st == rescue && l.retries.waits(f.Key()):
		return serveIt, SourceStale
	}
	return loadIt, SourceLoaded
}

// sameEntry is how far apart two readings of one entry's LoadedAt may be, if one
// was made earlier: a far cache tells it by a clock that is only estimated.
const sameEntry = 10 * time.Millisecond

// newer reports whether e is fresh for longer than the entry that was seen.
func (l *Loader[K, V]) newer(e, seen *Entry[V]) bool {
	switch {
	case seen == nil:
		return true
	case l.layered:
		return e.LoadedAt.Sub(seen.LoadedAt) > sameEntry
	case !e.plain:
		return e.LoadedAt.After(seen.LoadedAt)
	}
	// A plain value tells only its end, as exactly as two readings of the clock do.
	longer := saturatingSub(e.TTL, seen.TTL) + e.LoadedAt.Sub(seen.LoadedAt)
	return longer > time.Millisecond
}

// serveFlight lands a flight with what it read.
func (l *Loader[K, V]) serveFlight(f *flight.Flight[K, ride[K, V]], r ride[K, V], source Source) {
	r.entry, r.source, r.read = r.prev, source, true
	l.land(f, r, (&Result[V]{}).absence(r.entry))
}

// swap lands a flight with what it read and goes on as the refresh that is due.
// In between there is no instant without a flight.
func (l *Loader[K, V]) swap(f *flight.Flight[K, ride[K, V]], r ride[K, V], source Source) {
	if l.retries.waits(f.Key()) {
		l.serveFlight(f, r, source)
		return
	}
	if !l.mayRefresh(1) {
		l.tellFlight(l.opts.Hooks.Dropped, f, Event{Op: OpRefresh})
		l.serveFlight(f, r, source)
		return
	}
	next := ride[K, V]{load: r.load, prev: r.prev}
	r.entry, r.source, r.read = r.prev, source, true
	g := f.Replace(r, next)
	if g == nil {
		l.refreshing.Add(-1)
	} else {
		l.launch(g)
	}
	f.Context().End()
}

// land lands a flight that stores nothing, unless it landed already.
func (l *Loader[K, V]) land(f *flight.Flight[K, ride[K, V]], r ride[K, V], err error) {
	f.Context().End()
	if _, ok := f.Land(r, err, false); ok {
		l.ended(f, r)
	}
}

// load calls the user's function, once there is a slot for it.
func (l *Loader[K, V]) load(f *flight.Flight[K, ride[K, V]], r ride[K, V]) {
	queue := l.queueForSlot
	if l.leaser != nil {
		queue = l.queueForLease
	}
	held, ok := queue(f, &r)
	if !ok {
		return
	}
	now := flight.Now()
	end := flight.After(now, l.opts.LoadTimeout)
	f.Context().SetDeadline(end)
	phase, alarm := phaseLoad, end
	if soft := flight.After(now, l.opts.SoftTimeout); l.opts.SoftTimeout > 0 && soft < end {
		phase, alarm = phaseSoft, soft
	}
	f.Update(func(now *ride[K, V]) { now.slot, now.lease = held, r.lease })
	if !f.Advance(phaseQueue, phase, alarm) { // Close was faster
		held.release()
		l.release(f, r.lease)
		return
	}
	if f.Background() {
		l.counts.refreshes.Add(1)
	}
	l.counts.loads.Add(1)
	l.call(f, r, held, now)
}

// queueForSlot waits for the flight's turn to load, as MaxLoads has it. It
// reports false if the flight landed instead.
func (l *Loader[K, V]) queueForSlot(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) (held *slot, ok bool) {
	held, ok = l.takeSlot(f.Context(), []*flight.Flight[K, ride[K, V]]{f})
	if !ok || f.Context().Err() != nil {
		held.release()
		l.land(f, *r, context.Canceled)
		return nil, false
	}
	return held, true
}

// call runs the user's function and goes on with whatever became of it.
func (l *Loader[K, V]) call(f *flight.Flight[K, ride[K, V]], r ride[K, V], held *slot, start int64) {
	control := &Control[V]{previous: r.prev}
	ctx := &loadContext[K, V]{f.Context(), f.Key(), control, l.slots, held}
	var v V
	var err error
	returned := false
	defer func() {
		if !returned {
			err = crash(recover())
		}
		l.returned(f, r, held, control, loaded[V]{v, err, time.Duration(flight.Now() - start)})
	}()
	v, err = r.load(ctx, f.Key())
	returned = true
}

// returned goes on after the load: it lands the flight unless that was done.
func (l *Loader[K, V]) returned(f *flight.Flight[K, ride[K, V]], r ride[K, V], held *slot, control *Control[V], got loaded[V]) {
	defer l.release(f, r.lease) // unless it was given up to fill
	late := f.Late()
	f.Context().End()
	mine := f.Advance(phaseLoad, phaseDone, 0)
	if !mine && f.Phase() == phaseDone { // the alarm ended the flight and freed the slot
		l.counts.stuck.Add(-1)
		return
	}
	held.release()
	if !mine { // Close landed it
		return
	}
	if got.err != nil && late { // its context ended an instant before the alarm rang
		got.err = ErrLoadTimeout
	}
	if f.Abandoned() {
		l.abandoned(f, r, got)
		return
	}
	l.outcome(f, r, control, got)
}
