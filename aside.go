package corral

import (
	"github.com/corralcache/corral/internal/flight"
)

// aside is a load that runs on a goroutine of its own for a flight whose leader does
// all the rest. That goroutine gets by with the stack that it was born with, unless
// the load itself needs more: to grow one takes as long as to start the goroutine.
type aside[K comparable, V any] struct {
	briefing[K, V]
	l     *Loader[K, V]
	f     *flight.Flight[K, ride[K, V]]
	load  LoadFunc[K, V]
	start int64
	got   loaded[V]
}

// loadAside loads for a flight whose leader has read the cache, and waits.
func (l *Loader[K, V]) loadAside(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) {
	now := flight.Now()
	phase, alarm := l.bounds(f, now)
	if !f.AdvanceApart(phaseQueue, phase, alarm) { // Close was faster
		return
	}
	l.counts.loads.Add(1)
	a := &aside[K, V]{l: l, f: f, load: r.load, start: now}
	a.control.previous = r.prev
	a.ctx = loadContext[K, V]{f.Context(), f.Key(), &a.control, nil, nil}
	l.life.again()
	go a.run()
	if !f.Attend() {
		return
	}
	got := a.got
	a.f, a.got = nil, loaded[V]{} // the load may keep its context
	l.outcome(f, r, &a.control, got)
}

// run runs the user's function.
func (a *aside[K, V]) run() {
	defer a.l.life.leave()
	returned := false
	defer func() {
		if !returned {
			a.end(over[V](a.start, crash(recover())))
		}
	}()
	v, err := a.load(&a.ctx, a.ctx.key)
	returned = true
	got := over[V](a.start, err)
	got.value = v
	a.end(got)
}

// end gives the flight back to its leader, unless the alarm has ended it.
func (a *aside[K, V]) end(got loaded[V]) {
	f := a.f
	if got.err != nil && f.Late() { // its context ended an instant before the alarm rang
		got.err = ErrLoadTimeout
	}
	f.Context().End()
	a.got = got
	if !f.HandBack(phaseLoad, phaseDone) && f.Phase() == phaseDone {
		a.l.counts.stuck.Add(-1)
	}
}
