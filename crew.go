package corral

import (
	"context"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// crew is flights that fly together: one goroutine reads the cache for all of
// them, calls the user's function once and writes what it returned. To everybody
// else each is a flight like any other. A crew bounds what it does itself, so its
// flights have no alarms.
type crew[K comparable, V any] struct {
	*flight.Crew // the context of what they do together
	l            *Loader[K, V]
	load         BulkLoadFunc[K, V]
	values       context.Context // of the caller that came first
	flights      []*flight.Flight[K, ride[K, V]]
	background   bool
	leases       map[*flight.Flight[K, ride[K, V]]]*lease // not changed; nil without
}

// of returns the crew of those flights of c that go on together.
func (c *crew[K, V]) of(flights []*flight.Flight[K, ride[K, V]]) *crew[K, V] {
	part := *c
	part.Crew, part.flights = flight.Together(c.values, flights), flights
	return &part
}

// launch lets the crew do its part of their lives on a goroutine of its own,
// unless Close was called.
func (c *crew[K, V]) launch(part func()) {
	if !c.l.life.enter() {
		c.landAll(ErrClosed)
		return
	}
	go func() {
		defer c.l.life.leave()
		c.guard(part)
	}()
}

// guard runs a part of the flights' lives and lands them if user code other than
// the load, which has a guard of its own, panics or ends the goroutine.
func (c *crew[K, V]) guard(part func()) {
	returned := false
	defer func() {
		if !returned {
			c.landAll(crash(recover()))
		}
	}()
	part()
	returned = true
}

// landAll lands those flights that were not landed yet.
func (c *crew[K, V]) landAll(err error) {
	for _, f := range c.flights {
		r, _ := f.Peek()
		c.l.land(f, r, err)
	}
}

// fly is the life of flights that callers wait for.
func (c *crew[K, V]) fly() {
	entries, errs := c.read()
	reading := c.flights[:0:0]
	for i, f := range c.flights {
		if f.Advance(phaseRead, phaseQueue, 0) { // else Close has landed it
			entries[len(reading)], errs[len(reading)] = entries[i], errs[i]
			reading = append(reading, f)
		}
	}
	c.of(c.decide(reading, entries, errs)).loadAll()
}

// refresh is the life of flights that begin where others read the cache.
func (c *crew[K, V]) refresh() {
	c.advance(phaseRead, phaseQueue)
	c.loadAll()
}

// advance moves the flights on from one phase to the next.
func (c *crew[K, V]) advance(from, to uint8) {
	for _, f := range c.flights {
		f.Advance(from, to, 0)
	}
}

func keysOf[K comparable, V any](flights []*flight.Flight[K, V]) []K {
	keys := make([]K, len(flights))
	for i, f := range flights {
		keys[i] = f.Key()
	}
	return keys
}

// trip returns the call of the cache for flights of the crew.
func (c *crew[K, V]) trip(op Op, flights []*flight.Flight[K, ride[K, V]]) *trip[K, V] {
	return &trip[K, V]{
		l: c.l, op: op, keys: keysOf(flights), caller: context.Background(),
		bound: c.bound(c.l.opts.CacheTimeout),
		tell:  func(i int, e Event) { c.l.tellFlight(c.l.opts.Hooks.CacheError, flights[i], e) },
	}
}

func (c *crew[K, V]) bound(within time.Duration) func() (context.Context, func()) {
	return func() (context.Context, func()) {
		ctx := c.Crew.Values(flight.After(flight.Now(), within))
		return ctx, ctx.End
	}
}

// read reads the cache for the flights, as Loader.read does for one.
func (c *crew[K, V]) read() ([]*Entry[V], []error) {
	l, t := c.l, c.trip(OpCacheGet, c.flights)
	var many func(ctx context.Context, from, to int) ([]*Entry[V], error)
	if l.backMany != nil {
		many = func(ctx context.Context, from, to int) ([]*Entry[V], error) {
			return l.getMany(ctx, l.backMany, t.keys[from:to])
		}
	}
	entries, errs := travel(t, many, func(ctx context.Context, i int) (*Entry[V], error) {
		e, _, err := l.get(ctx, l.back, t.keys[i])
		return e, err
	})
	for i, err := range errs {
		if err != nil { // whatever the cache returned beside it
			entries[i] = nil
		}
	}
	return entries, errs
}

// decide lands the flights that are served by what the cache held, starts the
// refreshes that are due and returns the flights that must load.
func (c *crew[K, V]) decide(flights []*flight.Flight[K, ride[K, V]], entries []*Entry[V], errs []error) (load []*flight.Flight[K, ride[K, V]]) {
	var due []outdated[K, V]
	for i, f := range flights {
		r, _ := f.Peek()
		if closed := c.l.closedBy(errs[i]); closed != nil {
			c.l.land(f, r, closed)
			continue
		}
		r.prev, r.blind = entries[i], errs[i] != nil
		switch course, source := c.l.course(f, &r); {
		case course == swapIt && !c.l.retries.waits(f.Key()):
			due = append(due, outdated[K, V]{f, r, source})
		case course == loadIt:
			f.Update(func(now *ride[K, V]) { now.prev, now.blind = r.prev, r.blind })
			load = append(load, f)
		default:
			c.l.serveFlight(f, r, source)
		}
	}
	c.swap(due)
	return load
}

// outdated is a flight that is landed with what it read, which is to be refreshed.
type outdated[K comparable, V any] struct {
	f      *flight.Flight[K, ride[K, V]]
	r      ride[K, V]
	source Source
}

// swap lands flights with what they read and goes on as the refreshes that are
// due, all together. In between there is no instant without a flight.
func (c *crew[K, V]) swap(due []outdated[K, V]) {
	if len(due) == 0 {
		return
	}
	may, places := c.l.mayRefreshMany(len(due))
	together := newParty(may, places)
	next := make([]*flight.Flight[K, ride[K, V]], 0, may)
	for _, d := range due[:may] {
		d.r.entry, d.r.source, d.r.read = d.r.prev, d.source, true
		if g := d.f.Replace(d.r, ride[K, V]{prev: d.r.prev, party: together}); g != nil {
			next = append(next, g)
		} else {
			c.l.refreshing.Add(-together.leave())
		}
		d.f.Context().End()
	}
	if len(next) > 0 {
		refreshes := c.of(next)
		refreshes.background = true
		refreshes.launch(refreshes.refresh)
	}
	for _, d := range due[may:] {
		c.l.tellFlight(c.l.opts.Hooks.Dropped, d.f, Event{Op: OpRefresh})
		c.l.serveFlight(d.f, d.r, d.source)
	}
}

// mayRefreshMany takes places of MaxRefreshes for the bulk loads that refresh n
// keys, and returns for how many of the keys it got them.
func (l *Loader[K, V]) mayRefreshMany(n int) (keys int, places int64) {
	for keys < n && l.mayRefresh(n-keys) {
		keys = min(n, keys+l.opts.batch(n))
		places++
	}
	return keys, places
}

// batch returns how many of n keys one bulk load gets.
func (o *Options) batch(n int) int {
	if o.MaxBatch == 0 {
		return n
	}
	return min(n, o.MaxBatch)
}

// refreshMany starts background flights, together, for the entries that a call
// saw, as refresh does for one.
func (l *Loader[K, V]) refreshMany(ctx context.Context, load BulkLoadFunc[K, V], seen []seen[K, V]) {
	due := seen[:0]
	for _, s := range seen {
		if at, _ := l.table.Locate(s.key); !l.retries.waits(s.key) && !l.table.Has(at, s.key) {
			due = append(due, s)
		}
	}
	may, places := l.mayRefreshMany(len(due))
	together := newParty(may, places)
	c := &crew[K, V]{l: l, load: load, values: ctx, background: true}
	for _, s := range due[:may] {
		at, _ := l.table.Locate(s.key)
		if f := l.table.Lead(ctx, at, s.key, ride[K, V]{seen: s.e, party: together}); f != nil {
			c.flights = append(c.flights, f)
		} else { // somebody was faster
			l.refreshing.Add(-together.leave())
		}
	}
	if len(c.flights) > 0 {
		c = c.of(c.flights)
		c.launch(c.fly)
	}
	for _, s := range due[may:] {
		l.tell(l.opts.Hooks.Dropped, ctx, s.key, Event{Op: OpRefresh})
	}
}

// seen is an entry that a call found and that is to be refreshed.
type seen[K comparable, V any] struct {
	key K
	e   *Entry[V]
}
