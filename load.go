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
	roomFor(f == nil)
	defer l.life.leave()
	l.guard(f, func() {
		r, _ := f.Peek()
		switch {
		case r.prev == nil:
			if !l.read(f, &r) {
				return
			}
		case !f.Advance(phaseRead, phaseQueue, 0):
			return
		}
		l.load(f, &r)
	})
}

// roomFor gives a new goroutine the stack that a flight needs, 8 KB instead of 2,
// while there is next to nothing on it. It would be moved twice otherwise, with all
// frames on it: 2.0 of 5.2 µs of a flight over a cache that costs nothing.
//
//go:noinline
func roomFor(never bool) {
	if never {
		var room [4 << 10]byte
		fill(room[:])
	}
}

//go:noinline
func fill(room []byte) { clear(room) }

// readHere reads the cache as the leader of a flight, on the goroutine of a caller
// whose context cannot end. What comes after the read, if that does not help, goes
// on elsewhere.
func (l *Loader[K, V]) readHere(f *flight.Flight[K, ride[K, V]]) {
	if !l.life.enter() {
		l.land(f, ride[K, V]{}, ErrClosed)
		return
	}
	defer l.life.leave()
	returned := false
	defer func() {
		if returned {
			return
		}
		err := crash(recover())
		if r, _ := f.Peek(); r.here { // else it flies on
			l.land(f, ride[K, V]{}, err)
		}
	}()
	r, _ := f.Peek()
	if l.read(f, &r) {
		l.flyOn(f, &r)
	}
	returned = true
}

// flyOn loads for a flight that has read the cache: on a goroutine of its own, if
// that was done on a caller's.
func (l *Loader[K, V]) flyOn(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) {
	if !r.here {
		l.load(f, r)
		return
	}
	own := *r
	own.here = false
	f.Update(func(now *ride[K, V]) { now.here = false })
	f.See()
	l.life.again()
	go func() {
		roomFor(f == nil)
		defer l.life.leave()
		l.guard(f, func() { l.load(f, &own) })
	}()
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
// flight stored after the caller had looked. It reports
// whether to load.
func (l *Loader[K, V]) read(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) (load bool) {
	p := l.rest.allows()
	if p == refused {
		return f.Advance(phaseRead, phaseQueue, 0) && l.decide(f, r, nil, errResting)
	}
	if p == probe {
		f.Update(func(r *ride[K, V]) { r.pass = p }) // for the alarm
	}
	read := Event{Op: OpCacheGet, Err: errExited} // unless the cache returns
	ctx := f.ValuesLeft(flight.After(f.Started(), l.opts.CacheTimeout), !r.here)
	returned := false
	defer func() {
		if returned {
			return
		}
		ctx.End() // the cache ends this goroutine
		if l.didRead(f, r, nil, read, p) {
			l.flyOn(f, r)
		}
	}()
	var e *Entry[V]
	e, read.Took, read.Err = l.get(ctx, l.back, f.Key())
	returned = true
	ctx.End()
	return l.didRead(f, r, e, read, p)
}

// didRead goes on after the read, or without it if its time was over first. It
// reports whether to load.
func (l *Loader[K, V]) didRead(f *flight.Flight[K, ride[K, V]], r *ride[K, V], e *Entry[V], read Event, p pass) (load bool) {
	if !f.Advance(phaseRead, phaseQueue, 0) {
		return false
	}
	l.judgeFlight(f, read, p)
	return l.decide(f, r, e, read.Err)
}

// decide goes on with what the cache held, and reports whether to load.
func (l *Loader[K, V]) decide(f *flight.Flight[K, ride[K, V]], r *ride[K, V], e *Entry[V], err error) (load bool) {
	if closed := l.closedBy(err); closed != nil {
		l.land(f, *r, closed)
		return false
	}
	r.prev, r.blind = e, err != nil
	switch course, source := l.course(f, r); course {
	case serveIt:
		l.serveFlight(f, *r, source)
	case swapIt:
		l.swap(f, *r, source)
	case loadIt:
		if r.prev != nil || r.blind {
			f.Update(func(now *ride[K, V]) { now.prev, now.blind = r.prev, r.blind })
		}
		return true
	}
	return false
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
func (l *Loader[K, V]) load(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) {
	var held *slot
	var ok bool
	if l.leaser == nil {
		held, ok = l.queueForSlot(f, r)
	} else {
		held, ok = l.queueForLease(f, r)
	}
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
	r.slot = held
	if held != nil || r.lease != nil {
		f.Update(func(now *ride[K, V]) { now.slot, now.lease = held, r.lease })
	}
	if !f.Advance(phaseQueue, phase, alarm) { // Close was faster
		held.release()
		l.release(f, r.lease)
		return
	}
	if f.Background() {
		l.counts.refreshes.Add(1)
	}
	l.counts.loads.Add(1)
	b := &briefing[K, V]{control: Control[V]{previous: r.prev}}
	b.ctx = loadContext[K, V]{f.Context(), f.Key(), &b.control, l.slots, held}
	got := l.call(f, r, b, now)
	l.returned(f, r, &b.control, got)
}

// briefing is what a load is given, in one piece.
type briefing[K comparable, V any] struct {
	ctx     loadContext[K, V]
	control Control[V]
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

// call runs the user's function. If that ends the goroutine, call goes on with what
// became of it; otherwise it is for the caller to do.
func (l *Loader[K, V]) call(f *flight.Flight[K, ride[K, V]], r *ride[K, V], b *briefing[K, V], start int64) (got loaded[V]) {
	returned := false
	defer func() {
		if !returned {
			value := recover()
			got = over[V](start, crash(value))
			if value == nil {
				l.returned(f, r, &b.control, got)
			}
		}
	}()
	v, err := r.load(&b.ctx, f.Key())
	returned = true
	got = over[V](start, err)
	got.value = v
	return got
}

// over is what a load came to that began at start and is over now.
func over[V any](start int64, err error) loaded[V] {
	now := time.Now()
	return loaded[V]{err: err, at: now, took: time.Duration(flight.At(now) - start)}
}

// returned goes on after the load: it lands the flight unless that was done.
func (l *Loader[K, V]) returned(f *flight.Flight[K, ride[K, V]], r *ride[K, V], control *Control[V], got loaded[V]) {
	defer l.release(f, r.lease)        // unless it was given up to fill
	late := got.err != nil && f.Late() // its context ended an instant before the alarm rang
	f.Context().End()
	mine := f.Advance(phaseLoad, phaseDone, 0)
	if !mine && f.Phase() == phaseDone { // the alarm ended the flight and freed the slot
		l.counts.stuck.Add(-1)
		return
	}
	r.slot.release()
	if !mine { // Close landed it
		return
	}
	if late {
		got.err = ErrLoadTimeout
	}
	if f.Abandoned() {
		l.abandoned(f, *r, got)
		return
	}
	l.outcome(f, r, control, got)
}
