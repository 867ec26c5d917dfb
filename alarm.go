package corral

import (
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// alarm goes on with a flight whose phase took too long. A party bounds what it
// does itself.
func (l *Loader[K, V]) alarm(f *flight.Flight[K, ride[K, V]], phase uint8) {
	if r, _ := f.Peek(); r.party != nil {
		return
	}
	switch phase {
	case phaseRead:
		l.life.again()
		go l.readTimedOut(f)
	case phaseSoft:
		if f.Advance(phaseSoft, phaseLoad, f.Deadline()) {
			l.soften(f)
		}
	case phaseLoad:
		l.life.again()
		go l.loadTimedOut(f)
	case phaseStore:
		l.life.again()
		go l.storeTimedOut(f)
	}
}

// soften lets the callers of a flight that takes longer than SoftTimeout go with
// the stale value, if there is one: else leaving would help nobody.
func (l *Loader[K, V]) soften(f *flight.Flight[K, ride[K, V]]) {
	f.Update(func(r *ride[K, V]) {
		if !r.softer && l.rescues(r.prev) {
			r.softer = true
			close(r.early())
		}
	})
}

// readTimedOut goes on without the answer of a cache that does not come.
func (l *Loader[K, V]) readTimedOut(f *flight.Flight[K, ride[K, V]]) {
	defer l.life.leave()
	r, _ := f.Peek()
	l.guard(f, func() {
		if l.didRead(f, &r, nil, Event{Op: OpCacheGet, Err: errCacheTimeout, Took: l.opts.CacheTimeout}, r.pass) {
			l.flyOn(f, &r)
		}
	})
}

// storeTimedOut wakes the callers of a flight whose write goes on. The flight
// serves newcomers until that is over.
func (l *Loader[K, V]) storeTimedOut(f *flight.Flight[K, ride[K, V]]) {
	defer l.life.leave()
	r, _ := f.Peek()
	if f.Advance(phaseStore, phaseStored, 0) {
		l.judgeFlight(f, Event{Op: r.op, Err: errCacheTimeout, Took: l.opts.CacheTimeout}, r.pass)
		f.Wake(true, nil)
	}
}

// loadTimedOut lands a flight whose load runs on. It no longer counts in
// MaxLoads: a source that hangs would otherwise end all loading.
func (l *Loader[K, V]) loadTimedOut(f *flight.Flight[K, ride[K, V]]) {
	defer l.life.leave()
	r, _ := f.Peek() // before Close can land the flight with another
	if f.Advance(phaseLoad, phaseDone, 0) {
		l.counts.stuck.Add(1)
		r.slot.release()
		l.release(f, r.lease)
		late := loaded[V]{err: ErrLoadTimeout, at: time.Now(), took: l.opts.LoadTimeout}
		if f.Abandoned() {
			l.abandoned(f, r, late)
			return
		}
		l.outcome(f, &r, new(Control[V]), late)
	}
}
