package corral

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// loaded is what a load came to for a key.
type loaded[V any] struct {
	value V
	err   error
	at    time.Time // when the load was over; zero: just now
	took  time.Duration
}

// failure returns the error of a load that failed: that the source has no value is
// none.
func (g *loaded[V]) failure() error {
	if says(g.err, ErrNotFound) {
		return nil
	}
	return g.err
}

// says reports whether a load returned an error to say what that stands for. One
// that was in a panic, of code that panics with whatever goes wrong, says nothing
// of the source.
func says(err, what error) bool {
	if !errors.Is(err, what) {
		return false
	}
	var crashed *PanicError // here, as it is allocated
	return !errors.As(err, &crashed)
}

// ending is how a flight ends whose load is over.
type ending struct {
	err    error // of its callers
	failed error // of the load: a stale value may stand in
	keep   bool  // the entry is to be stored
}

// told is what the hook is told of the load.
func (e ending) told() error {
	if e.failed != nil {
		return e.failed
	}
	return e.err
}

// ending tells the five ends of a load apart and makes the entry.
func (l *Loader[K, V]) ending(key K, r *ride[K, V], control *Control[V], got loaded[V]) ending {
	err := got.err
	if says(err, ErrNotModified) {
		if previous, ok := control.Previous(); ok {
			got.value, err = previous, nil
		}
	}
	switch {
	case err == nil:
		l.retries.forget(key)
		ttl, store := control.decided(l.opts.TTL)
		if got.at.IsZero() {
			got.at = time.Now()
		}
		r.entry = l.entryAt(got.at, got.value, got.took, ttl)
		return ending{keep: store}
	case says(err, ErrNotFound):
		l.counts.absent.Add(1)
		l.retries.forget(key)
		ttl, store := control.decided(l.opts.AbsentTTL)
		r.entry = l.absent(got.took, ttl)
		return ending{err: err, keep: store && ttl > 0}
	case l.rescues(r.prev):
		l.retries.failed(key)
		r.entry, r.source, r.failure = r.prev, l.state(r.prev).source(), err
		return ending{failed: err}
	}
	return ending{err: err, failed: err}
}

// outcome lands a flight whose load is over.
func (l *Loader[K, V]) outcome(f *flight.Flight[K, ride[K, V]], r *ride[K, V], control *Control[V], got loaded[V]) {
	e := l.ending(f.Key(), r, control, got)
	l.countLoad(f.Background(), e.failed, got.took)
	l.tellLoad(f, e.told(), got.took)
	if e.failed != nil {
		l.land(f, *r, e.err)
		return
	}
	if e.err == nil {
		l.counts.loaded(got.took)
	}
	now := flight.At(got.at)
	if l.opts.Hooks.Load != nil { // which took its time
		now = flight.Now()
	}
	l.store(f, r, now, e)
}

// abandoned lands a flight that everybody had left before its load ended.
func (l *Loader[K, V]) abandoned(f *flight.Flight[K, ride[K, V]], r ride[K, V], got loaded[V]) {
	l.countLoad(f.Background(), got.failure(), got.took)
	l.tellLoad(f, got.err, got.took)
	l.land(f, r, context.Canceled) // for newcomers, who waited for it to end
}

// countLoad counts a call of the user's function that is over.
func (l *Loader[K, V]) countLoad(background bool, failed error, took time.Duration) {
	l.counts.loadTimes.Add(took)
	if failed == nil {
		return
	}
	l.counts.loadErrors.Add(1)
	if background {
		l.counts.refreshErrs.Add(1)
	}
	var crashed *PanicError
	if errors.As(failed, &crashed) || errors.Is(failed, ErrGoexit) {
		l.counts.panics.Add(1)
	}
}

func (l *Loader[K, V]) tellLoad(f *flight.Flight[K, ride[K, V]], err error, took time.Duration) {
	op := OpLoad
	if f.Background() {
		op = OpRefresh
	}
	l.tellFlight(l.opts.Hooks.Load, f, Event{Op: op, Err: err, Took: took})
}
