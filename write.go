package corral

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

var (
	errResting      = errors.New("corral: the cache rests after repeated failures")
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
	shards := make([]*flight.Shard[K, ride[K, V]], len(keys))
	for i, key := range keys {
		s, err := l.admit(ctx, key, true)
		if err != nil {
			return err
		}
		shards[i] = s
	}
	failed := map[K]error{}
	for i, key := range keys {
		if err := l.write(ctx, shards[i], key, OpCacheDelete, nil); err != nil {
			failed[key] = err
		}
	}
	if len(failed) > 0 {
		return &KeyErrors[K]{failed}
	}
	return nil
}

// write is a write by the user: of e, or a delete. It always goes through to the
// cache, also while that rests.
func (l *Loader[K, V]) write(ctx context.Context, s *flight.Shard[K, ride[K, V]], key K, op Op, e *Entry[V]) error {
	if !l.life.enter() {
		return ErrClosed
	}
	defer l.life.leave()
	if err := l.table.BeginWrite(ctx, s, key); err != nil {
		return err
	}
	defer l.table.EndWrite(s, key)
	l.retries.forget(key)
	bound, cancel := context.WithTimeoutCause(ctx, l.opts.CacheTimeout, errCacheTimeout)
	defer cancel()
	took, err := l.put(bound, key, op, e)
	l.judge(ctx, Event{Op: op, Err: err, Took: took}, key)
	if err == nil && op == OpCacheSet {
		err = l.settle(ctx, key)
	}
	return err
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
// is deleted.
func (l *Loader[K, V]) store(f *flight.Flight[K, ride[K, V]], r ride[K, V], err error, keep bool) {
	r.source = SourceLoaded
	op := OpCacheSet
	if !keep {
		if !r.entry.Absent || r.prev == nil && !r.blind {
			l.land(f, r, err)
			return
		}
		op = OpCacheDelete
	}
	write, ok := f.Store(r, err, phaseDone, phaseStore, flight.After(flight.Now(), l.opts.CacheTimeout))
	switch {
	case !ok: // Close was faster
		return
	case !write:
		l.counts.discarded.Add(1)
		l.tell(l.opts.Hooks.Discarded, f.Values(0), f.Key(), Event{Op: op})
		f.Wake(false)
	default:
		l.fill(f, op, r.entry)
	}
	l.ended(f)
}

// fill writes the entry of a flight and wakes its waiters.
func (l *Loader[K, V]) fill(f *flight.Flight[K, ride[K, V]], op Op, e *Entry[V]) {
	// Bare values cannot say that there is none: an absent entry deletes the key.
	holds := op == OpCacheSet && (l.plain == nil || !e.Absent)
	stored := false
	defer f.Remove()
	func() {
		defer f.Stored(func(r *ride[K, V]) { r.stored = stored })
		stored = l.putFlight(f, op, e) && holds
	}()
	f.Wake(stored)
	if stored {
		_ = l.settle(f.Values(0), f.Key()) // told to the hook; the callers have their value
	}
}

// putFlight writes to the cache for a flight, unless the cache rests.
func (l *Loader[K, V]) putFlight(f *flight.Flight[K, ride[K, V]], op Op, e *Entry[V]) bool {
	if l.life.over.Load() || !l.rest.allows() {
		return false
	}
	ctx := f.Values(flight.After(flight.Now(), l.opts.CacheTimeout))
	defer ctx.End()
	took, err := l.put(ctx, f.Key(), op, e)
	if f.Advance(phaseStore, phaseStored, 0) { // else the alarm has judged it
		l.judge(f.Values(0), Event{Op: op, Err: err, Took: took}, f.Key())
	}
	return err == nil
}
