package corral

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// loadLeased loads for the flights where other processes may: together those
// whose lease it gets, or for which the cache cannot give one. The others wait
// together, on another goroutine. See Loader.queueForLease for the order of slots
// and leases.
func (c *crew[K, V]) loadLeased() {
	if held, ok := c.queueForSlot(); ok {
		c.lease(held, &leaseWait[K, V]{l: c.l})
	}
}

// lease asks for the leases of the flights until each may load or has landed.
// Flights that have waited hold no slot.
func (c *crew[K, V]) lease(held *slot, w *leaseWait[K, V]) {
	for {
		c.landDetached()
		a := c.ask(w.waited())
		if len(a.may) == 0 {
			held.release()
			held = nil
		}
		rest := c.of(a.rest)
		switch {
		case len(a.rest) == 0:
			w.stop()
		case len(a.may) > 0:
			c.l.life.again()
			go func() {
				defer c.l.life.leave()
				rest.guard(func() {
					if rest.wait(w, a) {
						rest.lease(nil, w)
					}
				})
			}()
		case rest.wait(w, a):
			c = rest
			continue
		}
		if len(a.may) > 0 {
			may := c.of(a.may)
			may.leases = a.leases
			may.loadParts(held)
		}
		return
	}
}

// landDetached lands the flights that nobody waits for, and those that a write has
// detached: their callers had better share the flight of who came later.
func (c *crew[K, V]) landDetached() {
	c.keepWanted()
	c.flights = slices.DeleteFunc(c.flights, func(f *flight.Flight[K, ride[K, V]]) bool {
		detached := f.Detached()
		if detached {
			c.vain(f)
		}
		return detached
	})
}

// asked is what became of the flights that asked for their leases.
type asked[K comparable, V any] struct {
	may    []*flight.Flight[K, ride[K, V]] // load
	leases map[*flight.Flight[K, ride[K, V]]]*lease
	rest   []*flight.Flight[K, ride[K, V]] // ask again
	busy   bool                            // after a wait: another process has the leases
	left   time.Duration                   // of the shortest of those; 0 if not known
}

// ask asks for the lease of each flight.
func (c *crew[K, V]) ask(waited bool) (a asked[K, V]) {
	l, now := c.l, flight.Now()
	got, tokens, errs := c.acquire()
	a.leases = map[*flight.Flight[K, ride[K, V]]]*lease{}
	a.busy = true
	var held, changed []*flight.Flight[K, ride[K, V]]
	var entries []*Entry[V]
	for i, f := range c.flights {
		r, _ := f.Peek()
		switch {
		case errs[i] != nil && l.closedBy(errs[i]) != nil:
			l.land(f, r, errs[i])
		case errs[i] != nil: // what is loaded then is served and not stored
			a.may = append(a.may, f)
		case got[i].State == LeaseChanged && waited && l.state(got[i].Entry) == fresh:
			l.loadedElsewhere(f, r, got[i].Entry)
		case got[i].State == LeaseChanged:
			changed, entries = append(changed, f), append(entries, got[i].Entry)
		case got[i].State == LeaseHeld:
			l.counts.leases.Add(1)
			l.forgetGone(f, &r, got[i].Empty)
			held = append(held, f)
			a.leases[f] = &lease{token: cmp.Or(got[i].Token, tokens[i]), renewed: now, shared: true}
		default:
			l.forgetGone(f, &r, got[i].Empty)
			a.rest = append(a.rest, f)
			if left := got[i].Left; a.left == 0 || left > 0 && left < a.left {
				a.left = left
			}
		}
	}
	c.hold(held, a.leases)
	a.may = append(a.may, held...)
	if again := c.decide(changed, entries, make([]error, len(changed))); len(again) > 0 {
		a.rest, a.busy = append(a.rest, again...), false
	}
	return a
}

// wait waits until the flights may ask again; false if they need not.
func (c *crew[K, V]) wait(w *leaseWait[K, V], a asked[K, V]) bool {
	if !a.busy {
		return true
	}
	w.ctx, w.flights = c, c.flights
	switch w.wait(a.left) {
	case waitCancelled:
		w.stop()
		c.keepWanted()
		return false
	case waitOver: // one more load is better than callers who wait without end
		w.stop()
		c.loadParts(nil)
		return false
	}
	return true
}

// acquire asks the cache for the leases, as Loader.acquire does for one.
func (c *crew[K, V]) acquire() (got []Lease[V], tokens []string, errs []error) {
	c.advance(phaseQueue, phaseAsk)
	defer c.advance(phaseAsk, phaseQueue)
	asks := make([]LeaseRequest[V], len(c.flights))
	tokens = make([]string, len(asks))
	for i, f := range c.flights {
		r, _ := f.Peek()
		tokens[i] = rand.Text()
		asks[i] = LeaseRequest[V]{Token: tokens[i], Seen: r.prev}
	}
	got, errs = c.acquireFor(c.flights, asks)
	var odd []int
	var flights []*flight.Flight[K, ride[K, V]]
	var force []LeaseRequest[V]
	for i, err := range errs {
		if errors.Is(err, ErrUndecodable) {
			asks[i].Force = true
			odd, flights, force = append(odd, i), append(flights, c.flights[i]), append(force, asks[i])
		}
	}
	if len(odd) > 0 {
		more, failed := c.acquireFor(flights, force)
		for i, at := range odd {
			got[at], errs[at] = more[i], failed[i]
		}
	}
	return got, tokens, errs
}

func (c *crew[K, V]) acquireFor(flights []*flight.Flight[K, ride[K, V]], asks []LeaseRequest[V]) ([]Lease[V], []error) {
	l, t := c.l, c.trip(OpCacheLease, flights)
	var many func(ctx context.Context, from, to int) ([]Lease[V], error)
	if l.leaserMany != nil {
		many = func(ctx context.Context, from, to int) ([]Lease[V], error) {
			return l.acquireMany(ctx, t.keys[from:to], asks[from:to])
		}
	}
	return travel(t, many, func(ctx context.Context, i int) (Lease[V], error) {
		return l.acquireNow(ctx, t.keys[i], asks[i])
	})
}

// acquireMany is AcquireMany of the cache, as acquireNow is Acquire.
func (l *Loader[K, V]) acquireMany(ctx context.Context, keys []K, asks []LeaseRequest[V]) ([]Lease[V], error) {
	got, err := l.leaserMany.AcquireMany(ctx, keys, asks)
	vain := ctx.Err() != nil
	if len(got) != len(keys) {
		l.giveBackMany(ctx, keys, asks)
		return got, err
	}
	failed := map[K]error{}
	var lost []K
	var unused []LeaseRequest[V]
	for i, e := range perKey(keys, err) {
		if vain && got[i].State == LeaseHeld || e != nil && !errors.Is(e, ErrUndecodable) {
			lost = append(lost, keys[i])
			unused = append(unused, LeaseRequest[V]{Token: cmp.Or(got[i].Token, asks[i].Token)})
		}
		if got[i], e = l.leaseOf(got[i], e); e != nil {
			failed[keys[i]] = e
		}
	}
	l.giveBackMany(ctx, lost, unused)
	if vain {
		return nil, context.Cause(ctx)
	}
	return got, keyErrors(failed)
}

func (l *Loader[K, V]) giveBackMany(ctx context.Context, keys []K, asks []LeaseRequest[V]) {
	if len(keys) == 0 {
		return
	}
	tokens := make([]string, len(asks))
	for i, ask := range asks {
		tokens[i] = ask.Token
	}
	l.giveBack(ctx, func(ctx context.Context) error { return l.leaserMany.ReleaseMany(ctx, keys, tokens) })
}

// hold renews leases that flights have got, together, until each has ended.
func (c *crew[K, V]) hold(flights []*flight.Flight[K, ride[K, V]], leases map[*flight.Flight[K, ride[K, V]]]*lease) {
	if len(flights) == 0 {
		return
	}
	var timer *time.Timer
	ready := make(chan struct{})
	timer = time.AfterFunc(c.l.leaseLife/3, func() {
		<-ready
		if c.renew(flights, leases) {
			timer.Reset(c.l.leaseLife / 3)
		}
	})
	for _, f := range flights {
		leases[f].renewal = timer
		f.Update(func(r *ride[K, V]) { r.lease = leases[f] })
	}
	close(ready)
}

// renew renews those leases that have not ended, and reports whether that must
// go on.
func (c *crew[K, V]) renew(flights []*flight.Flight[K, ride[K, V]], leases map[*flight.Flight[K, ride[K, V]]]*lease) (more bool) {
	l, under := c.l, false
	var live []*flight.Flight[K, ride[K, V]]
	var tokens []string
	for _, f := range flights {
		begin := l.life.again
		if under {
			begin = func() {}
		}
		if leases[f].live(begin) {
			under = true
			live, tokens = append(live, f), append(tokens, leases[f].token)
		}
	}
	if !under {
		return false
	}
	defer l.life.leave()
	now := flight.Now()
	var many func(ctx context.Context, keys []K, tokens []string) error
	if l.leaserMany != nil {
		many = l.leaserMany.RenewMany
	}
	errs := c.tokenTrip(live, tokens, min(l.opts.CacheTimeout, l.leaseLife/3), many, l.leaser.Renew)
	for i, f := range live {
		if l.renewed(f, leases[f], now, errs[i]) {
			more = true
		}
	}
	return more
}

// release gives up those leases of flights that had not ended. Nobody here waits
// for that; other processes do.
func (c *crew[K, V]) release(flights []*flight.Flight[K, ride[K, V]]) {
	var live []*flight.Flight[K, ride[K, V]]
	for _, f := range flights {
		if h := c.leases[f]; h != nil && h.end() {
			live = append(live, f)
		}
	}
	c.giveUp(live)
}

func (c *crew[K, V]) giveUp(flights []*flight.Flight[K, ride[K, V]]) {
	if len(flights) == 0 {
		return
	}
	l := c.l
	tokens := make([]string, len(flights))
	for i, f := range flights {
		tokens[i] = c.leases[f].token
	}
	var many func(ctx context.Context, keys []K, tokens []string) error
	if l.leaserMany != nil {
		many = l.leaserMany.ReleaseMany
	}
	l.life.again()
	go func() {
		defer l.life.leave()
		c.tokenTrip(flights, tokens, l.opts.CacheTimeout, many, l.leaser.Release)
	}()
}

// tokenTrip makes a call of the cache that names flights and tokens, whether the
// cache rests or not.
func (c *crew[K, V]) tokenTrip(flights []*flight.Flight[K, ride[K, V]], tokens []string, within time.Duration,
	many func(ctx context.Context, keys []K, tokens []string) error, one func(ctx context.Context, key K, token string) error,
) (errs []error) {
	t := c.trip(OpCacheLease, flights)
	t.always = true
	t.bound = c.bound(within)
	var call func(ctx context.Context, from, to int) error
	if many != nil {
		call = func(ctx context.Context, from, to int) error { return many(ctx, t.keys[from:to], tokens[from:to]) }
	}
	_, errs = travel(t, noAnswer(call), func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, one(ctx, t.keys[i], tokens[i])
	})
	return errs
}

// didFill goes on after fills under leases, as Loader.didFill does for one.
func (c *crew[K, V]) didFill(fills []filling[K, V], errs []error) {
	var failed []*flight.Flight[K, ride[K, V]]
	for i, w := range fills {
		switch err := errs[i]; {
		case errors.Is(err, ErrLeaseLost):
			c.l.lost(w.f, w.r)
		case err != nil && !errors.Is(err, ErrRefused):
			failed = append(failed, w.f)
		}
	}
	c.giveUp(failed)
}
