package corral

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// crewLoads is how many bulk loads, the parts of MaxBatch, a crew makes at once.
const crewLoads = 16

// loadAll loads for the flights, once they may.
func (c *crew[K, V]) loadAll() {
	switch {
	case len(c.flights) == 0:
	case c.l.leaser != nil:
		c.loadLeased()
	default:
		c.loadParts(nil)
	}
}

// loadParts makes a bulk load for each part of MaxBatch. The first one gets the
// slot that is held, if any.
func (c *crew[K, V]) loadParts(held *slot) {
	step := c.l.opts.batch(len(c.flights))
	if step == len(c.flights) {
		c.loadPart(held, func() {})
		return
	}
	n := (len(c.flights) + step - 1) / step
	begun := make([]atomic.Bool, n)
	begin := func(i int, held *slot, over func()) {
		part := c.of(c.flights[i*step : min((i+1)*step, len(c.flights))])
		go func() {
			defer c.l.life.leave()
			defer over()
			part.guard(func() { part.loadPart(held, over) })
		}()
	}
	for i := crewLoads; i < n; i++ {
		c.mayHurry(c.flights[i*step:min((i+1)*step, len(c.flights))], func() {
			c.l.life.again()
			if begun[i].Swap(true) {
				c.l.life.leave()
				return
			}
			begin(i, nil, func() {})
		})
	}
	places := make(chan struct{}, crewLoads)
	for i := range n {
		if begun[i].Load() {
			continue
		}
		places <- struct{}{}
		if begun[i].Swap(true) {
			<-places
			continue
		}
		c.l.life.again()
		begin(i, held, sync.OnceFunc(func() { <-places }))
		held = nil
	}
}

// mayHurry lets a part of the flights begin before its turn once a load waits for
// one of them: it may be one of those that are to end first.
func (c *crew[K, V]) mayHurry(part []*flight.Flight[K, ride[K, V]], hurry func()) {
	urgent := false
	for _, f := range part {
		f.Update(func(r *ride[K, V]) {
			r.hurry = hurry
			urgent = urgent || r.urgent
		})
	}
	if urgent {
		hurry()
	}
}

// loadPart makes one bulk load for the flights, and calls over when that is over,
// though it may run on then.
func (c *crew[K, V]) loadPart(held *slot, over func()) {
	if held == nil {
		var ok bool
		if held, ok = c.queueForSlot(); !ok {
			return
		}
	}
	l := c.l
	b := &bulk[K, V]{crew: c, slot: held, over: over, start: flight.Now(), wrote: l.wrote.Load()}
	c.SetDeadline(flight.After(b.start, l.opts.LoadTimeout))
	for _, f := range c.flights {
		f.Update(func(r *ride[K, V]) { r.slot = held })
		r, _ := f.Peek()
		if f.Advance(phaseQueue, phaseLoad, 0) { // else Close was faster
			b.flights = append(b.flights, boarded[K, V]{f: f, r: r})
		}
	}
	if len(b.flights) == 0 {
		held.release()
		c.release(c.flights)
		return
	}
	if c.background {
		l.counts.refreshes.Add(1)
	}
	l.counts.loads.Add(1)
	b.call()
}

// queueForSlot waits for the flights' turn to load, and lands those that
// everybody has left meanwhile. It returns false if none remains.
func (c *crew[K, V]) queueForSlot() (*slot, bool) {
	held, _ := c.l.takeSlot(c, c.flights)
	if c.keepWanted(); len(c.flights) == 0 {
		held.release()
		return nil, false
	}
	return held, true
}

// keepWanted lands the flights that everybody has left.
func (c *crew[K, V]) keepWanted() {
	var wanted, left []*flight.Flight[K, ride[K, V]]
	for _, f := range c.flights {
		if f.Context().Err() == nil {
			wanted = append(wanted, f)
			continue
		}
		r, _ := f.Peek()
		c.l.land(f, r, context.Canceled)
		left = append(left, f)
	}
	c.release(left)
	c.flights = wanted
}

// bulk is one call of the user's function for several flights.
type bulk[K comparable, V any] struct {
	*crew[K, V]
	flights []boarded[K, V]
	slot    *slot
	over    func()
	start   int64
	wrote   uint64 // what Loader.wrote was when the load began
	done    atomic.Bool
	alarm   *time.Timer
	soft    *time.Timer // nil without SoftTimeout

	index sync.Once
	at    map[K]int // in flights; made when somebody asks for a control
}

// boarded is a flight whose load runs together with others', and how that ends.
type boarded[K comparable, V any] struct {
	f       *flight.Flight[K, ride[K, V]]
	r       ride[K, V]
	control Control[V]
	got     loaded[V]
	e       ending
	told    error // to the hook
	mine    bool  // Close has not landed it
	store   bool
}

// call runs the user's function and goes on with whatever became of it.
func (b *bulk[K, V]) call() {
	keys := make([]K, len(b.flights)) // which the load may keep and change
	for i := range b.flights {
		on := &b.flights[i]
		keys[i] = on.f.Key()
		on.control.previous = on.r.prev
	}
	var values map[K]V
	var err error
	returned := false
	defer func() {
		if !returned {
			values, err = nil, crash(recover())
		}
		b.returned(values, err)
	}()
	b.arm()
	values, err = b.load(&bulkContext[K, V]{b.crew.Crew, b}, keys)
	returned = true
}

// arm arms the timers of the load.
func (b *bulk[K, V]) arm() {
	l := b.l
	if l.opts.SoftTimeout > 0 {
		b.soft = time.AfterFunc(l.opts.SoftTimeout, func() {
			for i := range b.flights {
				l.soften(b.flights[i].f)
			}
		})
	}
	l.life.again()
	b.alarm = time.AfterFunc(l.opts.LoadTimeout, func() {
		defer l.life.leave()
		b.guard(b.timedOut)
	})
}

func (b *bulk[K, V]) disarm() {
	if b.soft != nil {
		b.soft.Stop()
	}
	if b.alarm.Stop() {
		b.l.life.leave()
	}
}

// timedOut lands the flights of a load that runs on.
func (b *bulk[K, V]) timedOut() {
	if b.done.Swap(true) {
		return
	}
	defer b.release(b.crew.flights) // those that were not to be filled, or could not be judged
	b.l.counts.stuck.Add(1)
	b.slot.release()
	b.over()
	for i := range b.flights {
		b.flights[i].got = loaded[V]{err: ErrLoadTimeout, took: b.l.opts.LoadTimeout}
	}
	b.land(b.l.opts.LoadTimeout)
}

// returned goes on after the load, unless its time was over.
func (b *bulk[K, V]) returned(values map[K]V, err error) {
	took := time.Duration(flight.Now() - b.start)
	late := b.Late()
	b.End()
	b.disarm()
	if b.done.Swap(true) {
		b.l.counts.stuck.Add(-1)
		return
	}
	defer b.release(b.crew.flights) // those that were not to be filled, or could not be judged
	b.slot.release()
	b.over()
	if err != nil && late { // its context ended an instant before the alarm rang
		err = ErrLoadTimeout
	}
	var more map[K]V
	if known := b.sort(values, err, took); len(values) > known {
		more = b.unasked(values)
	}
	b.land(took)
	b.fillGaps(more, took)
}

// sort tells what the load came to for each key, and returns for how many it gave
// a value. It and unasked are all that reads the map, which the load may still
// hold.
func (b *bulk[K, V]) sort(values map[K]V, err error, took time.Duration) (known int) {
	some, rest := b.apart(err)
	for i := range b.flights {
		on := &b.flights[i]
		on.got.took = took
		v, ok := values[on.f.Key()]
		if ok {
			known++
		}
		switch named := some[on.f.Key()]; {
		case named != nil:
			on.got.err = sound(named)
		case ok:
			on.got.value = v
		default:
			on.got.err = rest
		}
	}
	return known
}

// land lands the flights, each with its own part of what the load came to.
func (b *bulk[K, V]) land(took time.Duration) {
	l := b.l
	var failed error
	good := false
	for i := range b.flights {
		on := &b.flights[i]
		if on.mine = on.f.Advance(phaseLoad, phaseDone, 0); !on.mine {
			continue
		}
		if on.f.Abandoned() {
			on.e, on.told = ending{err: context.Canceled, failed: on.got.failure()}, on.got.err
		} else {
			on.e = l.ending(on.f.Key(), &on.r, &on.control, on.got)
			on.store = on.e.failed == nil && l.writes(&on.r, on.e.keep)
			on.told = on.e.told()
			good = good || on.told == nil
		}
		if on.e.failed != nil {
			failed = on.e.failed
		}
	}
	l.countLoad(b.background, failed, took)
	if good {
		l.counts.loaded(took)
	}
	b.settleUp(took)
}

// settleUp tells the hooks, lands what is not stored, and stores the rest.
func (b *bulk[K, V]) settleUp(took time.Duration) {
	var fills []filling[K, V]
	var others []*flight.Flight[K, ride[K, V]]
	for i := range b.flights {
		on := &b.flights[i]
		if on.mine {
			b.l.tellLoad(on.f, on.told, took)
		}
		if on.store {
			fills = append(fills, filling[K, V]{f: on.f, r: on.r, err: on.e.err})
		} else {
			others = append(others, on.f)
		}
	}
	b.release(others) // first: who is woken may ask for them
	for i := range b.flights {
		if on := &b.flights[i]; !on.store {
			b.l.land(on.f, on.r, on.e.err)
		}
	}
	b.fill(fills)
}

// bulkContext is what a bulk load is given.
type bulkContext[K comparable, V any] struct {
	*flight.Crew
	b *bulk[K, V]
}

// Value knows the control of each of the load's keys, and its slot, and else what
// the context of the caller knows that came first.
func (c *bulkContext[K, V]) Value(key any) any {
	switch k := key.(type) {
	case controlKey:
		return nil // not that of a load around this one
	case controlOf[K]:
		if control := c.b.control(k.key); control != nil {
			return control
		}
	case slotKey:
		if k.of == c.b.l.slots {
			return c.b.slot
		}
	}
	return c.Crew.Value(key)
}

// control returns the control of a key, nil if the load is not its.
func (b *bulk[K, V]) control(key K) *Control[V] {
	b.index.Do(func() {
		b.at = make(map[K]int, len(b.flights))
		for i := range b.flights {
			b.at[b.flights[i].f.Key()] = i
		}
	})
	if i, ok := b.at[key]; ok {
		return &b.flights[i].control
	}
	return nil
}
