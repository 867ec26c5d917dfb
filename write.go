package corral

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

var (
	errResting      = errors.New("corral: the cache rests after repeated failures")
	errExited       = errors.New("corral: the cache ended the goroutine of its call")
	errCacheTimeout = fmt.Errorf("corral: the cache did not answer within CacheTimeout: %w", context.DeadlineExceeded)
)

// Set stores value, as if a load had returned it now. A load that began before
// is not stored over it. Set returns the error of the cache; then nothing is
// promised about what the cache holds.
//
// After a write to the source, Delete is the safer call: two writers may reach
// Set in the other order than they reached the source.
func (l *Loader[K, V]) Set(ctx context.Context, key K, value V) error {
	s, err := l.admit(ctx, key, true)
	if err != nil {
		return err
	}
	e := l.entry(value, l.counts.meanLoadTime(), l.opts.TTL)
	return l.write(ctx, s, key, OpCacheSet, e)
}

// Delete deletes the keys. After it returned nil, no call that starts later on
// this Loader returns a value whose load began before the Delete did. Keys that
// could not be deleted are in the [*KeyErrors] that it returns; for them nothing
// is promised. It waits for a write of the key that is under way, at most until
// ctx ends.
//
// A Delete that follows a write to the source should happen whatever became of
// the request, and even if the write failed, as it may have been applied: give it
// [context.WithoutCancel](ctx).
func (l *Loader[K, V]) Delete(ctx context.Context, keys ...K) error {
	todo := make([]deletion[K, V], 0, len(keys))
	var failed faults[K]
	for _, key := range keys {
		switch s, err := l.admit(ctx, key, true); {
		case errors.Is(err, ErrInvalidKey):
			failed.refuse(key)
		case err != nil:
			return err
		default:
			todo = append(todo, deletion[K, V]{key, s})
		}
	}
	switch len(todo) {
	case 0:
	case 1:
		if err := l.write(ctx, todo[0].at, todo[0].key, OpCacheDelete, nil); err != nil {
			failed.add(todo[0].key, err)
		}
	default:
		if err := l.deleteMany(ctx, unique(todo), &failed); err != nil {
			return err
		}
	}
	return failed.error()
}

// write is a write by the user: of e, or a delete. It always goes through to the
// cache, also while that rests.
func (l *Loader[K, V]) write(ctx context.Context, s flight.Spot[K, ride[K, V]], key K, op Op, e *Entry[V]) error {
	if !l.life.enter() {
		return ErrClosed
	}
	defer l.life.leave()
	l.wrote.Add(1)
	if err := l.table.BeginWrite(ctx, s, key); err != nil {
		return err
	}
	l.retries.forget(key)
	put, shown := l.writeNow(ctx, s, key, op, e)
	l.judge(ctx, key, put, usual)
	if shown.Err != nil {
		l.judge(ctx, key, shown, usual)
	}
	return cmp.Or(put.Err, shown.Err)
}

// writeNow makes the write whose turn it is and waits until the cache shows it.
// The turn ends with both, and before a hook is told, who may write the key. A
// call of the cache that outlives its time keeps the turn: what it may still do
// comes before the next write.
func (l *Loader[K, V]) writeNow(ctx context.Context, s flight.Spot[K, ride[K, V]], key K, op Op, e *Entry[V]) (put, shown Event) {
	l.life.again()
	end := second(func() {
		l.table.EndWrite(s, key)
		l.life.leave()
	})
	defer end()
	bound, cancel := context.WithTimeoutCause(ctx, l.opts.CacheTimeout, errCacheTimeout)
	defer cancel()
	put.Op = op
	put.Took, put.Err = l.put(bound, key, op, e, nil, end)
	if put.Err == nil && op == OpCacheSet {
		shown = l.settle(ctx, key)
	}
	return put, shown
}

// second returns a function that calls f when it is called for the second time.
func second(f func()) func() {
	var once atomic.Bool
	return func() {
		if once.Swap(true) {
			f()
		}
	}
}

// entry returns a fresh entry made now.
func (l *Loader[K, V]) entry(value V, took, ttl time.Duration) *Entry[V] {
	return l.entryAt(time.Now(), value, took, ttl)
}

func (l *Loader[K, V]) entryAt(at time.Time, value V, took, ttl time.Duration) *Entry[V] {
	ttl = jittered(ttl, l.opts.Jitter, rand.Float64())
	return &Entry[V]{
		Value:    value,
		LoadedAt: at,
		LoadTime: took,
		TTL:      ttl,
		Keep:     saturatingAdd(ttl, l.windows.longest()),
	}
}

// absent returns the record that the source has no value.
func (l *Loader[K, V]) absent(took, ttl time.Duration) *Entry[V] {
	ttl = jittered(max(0, ttl), l.opts.Jitter, rand.Float64())
	return &Entry[V]{LoadedAt: time.Now(), LoadTime: took, TTL: ttl, Keep: ttl, Absent: true}
}

// store writes what a load came to and lands its flight: first the outcome is
// published, then written, then the waiters are woken, and only when the cache
// shows it the flight is removed. In between the flight serves newcomers.
// Without keep the outcome is not written, but what an absent one leaves behind
// is deleted. A flight without the lease that it needs writes nothing.
func (l *Loader[K, V]) store(f *flight.Flight[K, ride[K, V]], r *ride[K, V], now int64, e ending) {
	writes := l.writes(r, e.keep)
	if writes {
		r.pass = l.rest.allows()
	}
	if !writes || r.pass == refused {
		l.land(f, *r, e.err)
		return
	}
	end := flight.After(now, l.opts.CacheTimeout)
	write, ok := f.Store(*r, e.err, phaseDone, phaseStore, end)
	if write {
		l.fill(f, r, end)
		return
	}
	if ok { // else Close was faster
		l.discard(f, *r)
	}
	l.rest.done(unknown, r.pass)
}

// writes says whether, and with what, a flight writes the cache.
func (l *Loader[K, V]) writes(r *ride[K, V], keep bool) bool {
	r.source, r.op = SourceLoaded, OpCacheSet
	switch {
	case l.leaser != nil && r.lease == nil:
		return false
	case !keep && (!r.entry.Absent || r.prev == nil && !r.blind):
		return false
	case !keep:
		r.op = OpCacheDelete
	}
	return true
}

// discard wakes the waiters of a flight whose outcome is not to be stored.
func (l *Loader[K, V]) discard(f *flight.Flight[K, ride[K, V]], r ride[K, V]) {
	l.counts.discarded.Add(1)
	l.tellFlight(l.opts.Hooks.Discarded, f, Event{Op: r.op})
	f.Wake(false, nil)
	l.ended(f, r)
}

// fill writes the entry of a flight, until end at the most, and wakes its waiters.
func (l *Loader[K, V]) fill(f *flight.Flight[K, ride[K, V]], r *ride[K, V], end int64) {
	ctx := f.Values(end)
	if r.lease != nil {
		r.lease.end()
	}
	if l.far {
		l.fillFar(f, r, ctx)
		return
	}
	put := Event{Op: r.op, Err: errExited} // unless the cache returns
	returned := false
	defer func() {
		if !returned { // the cache ends this goroutine
			f.Stored()
			l.filled(f, r, ctx, put, nil)
		}
	}()
	start := l.stopwatch()
	put.Err = l.putNow(ctx, f.Key(), r.op, r.entry, r.lease)
	put.Took = start.read()
	f.Stored()
	returned = true
	l.filled(f, r, ctx, put, nil)
}

// fillFar is fill for a cache whose calls may outlive their time.
func (l *Loader[K, V]) fillFar(f *flight.Flight[K, ride[K, V]], r *ride[K, V], ctx *flight.CallContext) {
	put := Event{Op: r.op, Err: errExited} // unless the cache returns
	over := second(f.Remove)               // called by the call, and by who waited for it in vain
	defer func() { l.filled(f, r, ctx, put, over) }()
	l.life.again()
	put.Took, put.Err = l.put(ctx, f.Key(), r.op, r.entry, r.lease, func() {
		f.Stored()
		over()
		l.life.leave()
	})
}

// filled goes on after the write: it wakes the waiters. The flight stays until
// the cache shows the entry, or until a write that outlives its time is over.
func (l *Loader[K, V]) filled(f *flight.Flight[K, ride[K, V]], r *ride[K, V], ctx *flight.CallContext, put Event, over func()) {
	ctx.End()
	if f.Advance(phaseStore, phaseStored, 0) { // else the alarm has judged it
		l.judgeFlight(f, put, r.pass)
	}
	if r.lease != nil {
		l.didFill(f, *r, put.Err)
	}
	stored := l.stored(r, put.Err)
	settles := stored && l.settler != nil
	late := l.far && errors.Is(put.Err, context.DeadlineExceeded)
	f.Wake(settles || late, func(r *ride[K, V]) { r.stored = stored })
	l.ended(f, *r)
	switch {
	case settles:
		l.settleLater(f)
	case late:
		over()
	}
}

// stored reports whether after a write of the entry of a flight, which went as err
// says, the cache holds it. Bare values cannot say that there is none: an absent
// entry deletes the key.
func (l *Loader[K, V]) stored(r *ride[K, V], err error) bool {
	return err == nil && r.op == OpCacheSet && (l.plain == nil || !r.entry.Absent)
}

// wake wakes the waiters of a flight after its write, and reports whether the
// cache holds the entry.
func (l *Loader[K, V]) wake(f *flight.Flight[K, ride[K, V]], r ride[K, V], err error) (stored bool) {
	stored = l.stored(&r, err)
	f.Wake(stored, func(r *ride[K, V]) { r.stored = stored })
	return stored
}
