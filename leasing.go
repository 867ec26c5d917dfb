package corral

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
)

// lease is the right of a flight to load, renewed until it ends.
type lease struct {
	token  string
	shared bool // renewal is also others'

	mu      sync.Mutex
	renewal *time.Timer // guarded by mu
	renewed int64       // when the last renewal was asked for that was granted; guarded by mu
	over    bool        // nothing more to renew or release; guarded by mu
	counted bool        // as a takeover; guarded by mu
}

// queueForLease waits for the flight's turn to load where other processes may:
// for a slot, and for the key's lease. It reports false if the flight landed
// instead. A flight asks for the lease when it has a slot, so that it does not
// keep others from a key that it cannot load yet. But while it waits for another
// process it has none, and asks again without: to see what was loaded it needs
// none.
func (l *Loader[K, V]) queueForLease(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) (held *slot, ok bool) {
	w := &leaseWait[K, V]{l: l, ctx: f.Context(), flights: []*flight.Flight[K, ride[K, V]]{f}}
	defer w.stop()
	if held, ok = l.queueForSlot(f, r); !ok {
		return nil, false
	}
	for {
		if f.Detached() {
			held.release()
			l.askAgain(f, r)
			return nil, false
		}
		asked := flight.Now()
		token, got, err := l.acquire(f, r)
		switch {
		case err != nil && l.closedBy(err) != nil:
			held.release()
			l.land(f, *r, err)
			return nil, false
		case err != nil: // what is loaded then is served and not stored
			return l.slotAfter(f, r, held, w.waited())
		case got.State == LeaseChanged:
			held.release()
			l.changed(f, *r, got.Entry, w.waited())
			return nil, false
		case got.State == LeaseHeld:
			l.counts.leases.Add(1)
			l.forgetGone(f, r, got.Empty)
			r.lease = l.hold(f, token, asked)
			f.Update(func(now *ride[K, V]) { now.lease = r.lease }) // from here on drop looks at the lease
			if f.Detached() {
				held.release()
				l.release(f, r.lease)
				l.askAgain(f, r)
				return nil, false
			}
			if held, ok = l.slotAfter(f, r, held, w.waited()); !ok {
				l.release(f, r.lease)
			}
			return held, ok
		}
		held.release()
		held = nil
		l.forgetGone(f, r, got.Empty)
		switch w.wait(got.Left) {
		case waitCancelled:
			l.land(f, *r, context.Canceled)
			return nil, false
		case waitOver: // one more load is better than callers who wait without end
			return l.queueForSlot(f, r)
		}
	}
}

// askAgain lands a flight that a write detached before it loaded: its callers had
// better share the flight of who came later, whose load can be stored.
func (l *Loader[K, V]) askAgain(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) {
	r.again = true
	l.land(f, *r, nil)
}

// slotAfter returns the slot that the flight has, or, if it gave that back to
// wait, queues for one.
func (l *Loader[K, V]) slotAfter(f *flight.Flight[K, ride[K, V]], r *ride[K, V], held *slot, waited bool) (*slot, bool) {
	if waited {
		return l.queueForSlot(f, r)
	}
	if f.Context().Err() != nil { // everybody left meanwhile
		held.release()
		l.land(f, *r, context.Canceled)
		return nil, false
	}
	return held, true
}

// acquire asks for the lease. Bytes that nobody can read are no reason not to
// load. Meanwhile the flight is not one that waits for its turn, which ends when
// everybody has left: callers in a hurry would come and go for ever, and nobody
// would load.
func (l *Loader[K, V]) acquire(f *flight.Flight[K, ride[K, V]], r *ride[K, V]) (string, Lease[V], error) {
	p := l.rest.allows()
	if p == refused {
		return "", Lease[V]{}, errResting
	}
	f.Advance(phaseQueue, phaseAsk, 0)
	defer f.Advance(phaseAsk, phaseQueue, 0)
	ask := LeaseRequest[V]{Token: rand.Text(), Seen: r.prev}
	got, e := l.acquireOnce(f, ask)
	if errors.Is(e.Err, ErrUndecodable) {
		l.judgeFlight(f, e, p)
		ask.Force, p = true, usual
		got, e = l.acquireOnce(f, ask)
	}
	l.judgeFlight(f, e, p)
	return cmp.Or(got.Token, ask.Token), got, e.Err
}

func (l *Loader[K, V]) acquireOnce(f *flight.Flight[K, ride[K, V]], ask LeaseRequest[V]) (Lease[V], Event) {
	e := Event{Op: OpCacheLease}
	start := time.Now()
	ctx := f.Values(flight.After(flight.Now(), l.opts.CacheTimeout))
	defer ctx.End()
	l.life.again()
	got, err := bounded.DoThen(ctx, func(ctx context.Context) (Lease[V], error) {
		return l.acquireNow(ctx, f.Key(), ask)
	}, l.life.leave)
	e.Took, e.Err = time.Since(start), err
	return got, e
}

// acquireNow is Acquire of the cache. It gives back a lease that nobody will use:
// one whose grant may have got lost, or came when nobody waited for it any more.
func (l *Loader[K, V]) acquireNow(ctx context.Context, key K, ask LeaseRequest[V]) (Lease[V], error) {
	got, err := l.leaser.Acquire(ctx, key, ask)
	vain := ctx.Err() != nil
	if vain && got.State == LeaseHeld || err != nil && !errors.Is(err, ErrUndecodable) {
		l.giveBack(ctx, func(ctx context.Context) error {
			return l.leaser.Release(ctx, key, cmp.Or(got.Token, ask.Token))
		})
	}
	if vain {
		return Lease[V]{}, cmp.Or(err, context.Cause(ctx))
	}
	return l.leaseOf(got, err)
}

// giveBack releases leases that were never used, in the background.
func (l *Loader[K, V]) giveBack(ctx context.Context, release func(context.Context) error) {
	l.life.again()
	go func() {
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.opts.CacheTimeout)
		defer cancel()
		_, _ = bounded.DoThen(bound, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, release(ctx)
		}, l.life.leave)
	}()
}

// leaseOf returns what the cache answered as the Loader reasons about it.
func (l *Loader[K, V]) leaseOf(got Lease[V], err error) (Lease[V], error) {
	switch {
	case err != nil || got.State != LeaseChanged:
	case got.Entry == nil:
		err = errNoChange
	default:
		got.Entry = l.entryOf(got.Entry)
	}
	return got, err
}

var errNoChange = errors.New("corral: the cache said that the entry has changed, and gave none")

// forgetGone drops the entry that the flight had read if it is gone: a Delete
// elsewhere may have been the reason.
func (l *Loader[K, V]) forgetGone(f *flight.Flight[K, ride[K, V]], r *ride[K, V], gone bool) {
	if gone && r.prev != nil {
		r.prev = nil
		f.Update(func(r *ride[K, V]) { r.prev = nil })
	}
}

// changed goes on with an entry that was stored since the flight had looked. If
// the flight waited for the load of another process, this is what it came to.
func (l *Loader[K, V]) changed(f *flight.Flight[K, ride[K, V]], r ride[K, V], e *Entry[V], waited bool) {
	if !waited || l.state(e) != fresh {
		if l.decide(f, &r, e, nil) {
			l.load(f, &r)
		}
	} else {
		l.loadedElsewhere(f, r, e)
	}
}

// loadedElsewhere lands a flight with what another process has loaded.
func (l *Loader[K, V]) loadedElsewhere(f *flight.Flight[K, ride[K, V]], r ride[K, V], e *Entry[V]) {
	l.retries.forget(f.Key())
	r.prev, r.entry, r.source, r.stored = e, e, SourceLoaded, true
	if !f.Background() {
		r.source = SourceShared
	}
	l.land(f, r, (&Result[V]{}).absence(e))
}

// hold returns the lease that a flight has got, asked for at a time, and renews
// it from then on.
func (l *Loader[K, V]) hold(f *flight.Flight[K, ride[K, V]], token string, asked int64) *lease {
	h := &lease{token: token, renewed: asked}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.renewal = time.AfterFunc(l.leaseLife/3, func() { l.renew(f, h) })
	return h
}

// renew renews the lease of a flight and arms the next renewal. If a write
// elsewhere ended the lease, newcomers no longer join the flight. If it ran out,
// as in a process that was stopped, they do: a second load of the key in this
// Loader would not be worth what it brings, a value that can be stored.
func (l *Loader[K, V]) renew(f *flight.Flight[K, ride[K, V]], h *lease) {
	if !h.live(l.life.again) {
		return
	}
	defer l.life.leave()
	asked := flight.Now()
	e := Event{Op: OpCacheLease}
	ctx := f.Values(flight.After(asked, min(l.opts.CacheTimeout, l.leaseLife/3)))
	start := time.Now()
	l.life.again()
	_, e.Err = bounded.DoThen(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.leaser.Renew(ctx, f.Key(), h.token)
	}, l.life.leave)
	ctx.End()
	e.Took = time.Since(start)
	if l.renewed(f, h, asked, e.Err) {
		l.judgeFlight(f, e, usual)
		h.renewLater(l.leaseLife / 3)
	}
}

// renewed notes how a renewal went that was asked for at a time, and reports
// whether another one must follow.
func (l *Loader[K, V]) renewed(f *flight.Flight[K, ride[K, V]], h *lease, asked int64, err error) bool {
	switch {
	case !h.live(func() {}):
		return false
	case errors.Is(err, ErrLeaseLost):
		if !l.tookOver(h) {
			f.Detach()
		}
		return false
	case err == nil:
		h.mu.Lock()
		h.renewed = asked
		h.mu.Unlock()
	}
	return true
}

// live reports whether the lease is still to be renewed, and calls then if so
// before it can end.
func (h *lease) live(then func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		then()
	}
	return !h.over
}

// check renews a lease now that may be lost.
func (h *lease) check() { h.renewLater(0) }

// renewLater renews the lease once pause is over, if it has not ended then.
func (h *lease) renewLater(pause time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.renewal.Reset(pause)
	}
}

// end ends the renewals; false if that was done before.
func (h *lease) end() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over {
		return false
	}
	h.over = true
	if !h.shared {
		h.renewal.Stop()
	}
	return true
}

// tookOver reports whether a lost lease had time to run out since it was renewed,
// and counts that once.
func (l *Loader[K, V]) tookOver(h *lease) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ranOut := flight.Now() >= flight.After(h.renewed, l.leaseLife)
	if ranOut && !h.counted {
		h.counted = true
		l.counts.takeovers.Add(1)
	}
	return ranOut
}

// release gives up the lease of a flight that does not fill any more, unless
// that was done. Nobody here waits for it; other processes do.
func (l *Loader[K, V]) release(f *flight.Flight[K, ride[K, V]], h *lease) {
	if h != nil && h.end() {
		l.giveUp(f, h)
	}
}

func (l *Loader[K, V]) giveUp(f *flight.Flight[K, ride[K, V]], h *lease) {
	l.life.again()
	go func() {
		defer l.life.leave()
		e := Event{Op: OpCacheLease}
		ctx := f.Values(flight.After(flight.Now(), l.opts.CacheTimeout))
		start := time.Now()
		l.life.again()
		_, e.Err = bounded.DoThen(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, l.leaser.Release(ctx, f.Key(), h.token)
		}, l.life.leave)
		ctx.End()
		e.Took = time.Since(start)
		l.judgeFlight(f, e, usual)
	}()
}

// didFill goes on after a fill under a lease, whose renewals had ended. One that
// failed may be carried out yet: giving up the lease keeps it from that.
func (l *Loader[K, V]) didFill(f *flight.Flight[K, ride[K, V]], r ride[K, V], err error) {
	switch {
	case errors.Is(err, ErrLeaseLost):
		l.lost(f, r)
	case err != nil && !errors.Is(err, ErrRefused):
		l.giveUp(f, r.lease)
	}
}

// lost counts a fill that came too late: its lease had ended.
func (l *Loader[K, V]) lost(f *flight.Flight[K, ride[K, V]], r ride[K, V]) {
	l.tookOver(r.lease)
	l.counts.discarded.Add(1)
	l.tellFlight(l.opts.Hooks.Discarded, f, Event{Op: r.op})
}

// entryOf returns what a cache answered as the entry that the Loader reasons
// about: of a bare value, only its end is known.
func (l *Loader[K, V]) entryOf(e *Entry[V]) *Entry[V] {
	if l.plain == nil || e == nil {
		return e
	}
	life := e.Keep
	if life == math.MaxInt64 {
		life = -1
	}
	return l.bare(e.Value, life)
}
