package corral

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// The pauses between two questions whether another process has loaded the key.
// It usually tells; these are for when nobody hears it.
const (
	pollMin = 10 * time.Millisecond
	pollMax = 320 * time.Millisecond
)

// leaseWait is the wait of flights, of one mostly, for the load of another process.
type leaseWait[K comparable, V any] struct {
	l       *Loader[K, V]
	ctx     context.Context                 // ends when all of flights are abandoned
	flights []*flight.Flight[K, ride[K, V]] // that still wait
	ended   <-chan struct{}
	unwatch func()
	pause   time.Duration
	soft    int64 // when SoftTimeout is over; 0: it is, or there is none
	end     int64
}

type waitEnd uint8

const (
	waitAgain     waitEnd = iota // the lease may be had now
	waitOver                     // it took as long as a load may
	waitCancelled                // everybody left, or Close
)

func (w *leaseWait[K, V]) waited() bool { return w.unwatch != nil }

func (w *leaseWait[K, V]) begin() {
	w.l.counts.leaseWaits.Add(uint64(len(w.flights)))
	w.ended, w.unwatch = w.l.leaser.Watch(w.flights[0].Key()) // of the others it hears by asking
	now := flight.Now()
	w.pause, w.end = pollMin, flight.After(now, w.l.opts.LoadTimeout)
	if w.l.opts.SoftTimeout > 0 {
		w.soft = flight.After(now, w.l.opts.SoftTimeout)
	}
}

func (w *leaseWait[K, V]) stop() {
	if w.waited() {
		w.unwatch()
	}
}

// wait waits until the other's lease may have ended: it says so, what is left of
// it is over, or it is time to ask again.
func (w *leaseWait[K, V]) wait(left time.Duration) waitEnd {
	if !w.waited() {
		w.begin()
	}
	pause := w.pause/2 + rand.N(w.pause)
	w.pause = min(2*w.pause, pollMax)
	if left > 0 { // it ends then unless it is renewed
		pause = min(pause, left+rand.N(pollMin))
	}
	for ask := flight.After(flight.Now(), pause); ; {
		next := min(ask, w.end)
		if w.soft != 0 {
			next = min(next, w.soft)
		}
		timer := time.NewTimer(time.Duration(next - flight.Now()))
		select {
		case <-w.ended:
			timer.Stop()
			return waitAgain
		case <-w.ctx.Done():
			timer.Stop()
			return waitCancelled
		case <-timer.C:
		}
		switch now := flight.Now(); {
		case now >= w.end:
			return waitOver
		case w.soft != 0 && now >= w.soft:
			w.soft = 0
			for _, f := range w.flights {
				w.l.soften(f)
			}
		case now >= ask:
			return waitAgain
		}
	}
}
