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
	for _, key := range keys {
		s, err := l.admit(ctx, key, true)
		if err != nil {
			return err
		}
		todo = append(todo, deletion[K, V]{key, s})
	}
	if len(keys) != 1 {
		return l.deleteMany(ctx, unique(todo))
	}
	if err := l.write(ctx, todo[0].at, keys[0], OpCacheDelete, nil); err != nil {
		return &KeyErrors[K]{map[K]error{keys[0]: err}}
	}
	return nil
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
	ttl = jittered(ttl, l.opts.Jitter, rand.Float64())
	return &Entry[V]{
		Value:    value,
		LoadedAt: time.Now(),
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
func (l *Loader[K, V]) store(f *flight.Flight[K, ride[K, V]], r ride[K, V], err error, keep bool) {
	writes := l.writes(&r, keep)
	if writes {
		r.pass = l.rest.allows()
	}
	switch {
	case !writes || r.pass == refused:
		l.land(f, r, err)
	default:
		write, ok := f.Store(r, err, phaseDone, phaseStore, flight.After(flight.Now(), l.opts.CacheTimeout))
		if write {
			l.fill(f, r)
			return
		}
		if ok { // else Close was faster
			l.discard(f, r)
		}
		l.rest.done(unknown, r.pass)
	}
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

// fill writes the entry of a flight and wakes its waiters.
func (l *Loader[K, V]) fill(f *flight.Flight[K, ride[K, V]], r ride[K, V]) {
	defer l.ended(f, r)
	defer f.Remove()
	put := Event{Op: r.op, Err: errExited} // unless the cache returns
	ctx := f.Values(flight.After(flight.Now(), l.opts.CacheTimeout))
	defer func() { // also if the cache ends this goroutine
		ctx.End()
		l.filled(f, r, put)
	}()
	if r.lease != nil {
		r.lease.end()
	}
	l.life.again()
	put.Took, put.Err = l.put(ctx, f.Key(), r.op, r.entry, r.lease, func() {
		f.Stored()
		l.life.leave()
	})
}

// filled goes on after the write: it wakes the waiters and waits until the cache
// shows the entry.
func (l *Loader[K, V]) filled(f *flight.Flight[K, ride[K, V]], r ride[K, V], put Event) {
	if f.Advance(phaseStore, phaseStored, 0) { // else the alarm has judged it
		l.judgeFlight(f, put, r.pass)
	}
	if r.lease != nil {
		l.didFill(f, r, put.Err)
	}
	if l.wake(f, r, put.Err) {
		if shown := l.settle(f.Values(0), f.Key()); shown.Err != nil {
			l.judgeFlight(f, shown, usual) // the callers have their value
		}
	}
}

// wake wakes the waiters of a flight after its write, and reports whether the
// cache holds the entry.
func (l *Loader[K, V]) wake(f *flight.Flight[K, ride[K, V]], r ride[K, V], err error) (stored bool) {
	// Bare values cannot say that there is none: an absent entry deletes the key.
	stored = err == nil && r.op == OpCacheSet && (l.plain == nil || !r.entry.Absent)
	f.Wake(stored, func(r *ride[K, V]) { r.stored = stored })
	return stored
}
