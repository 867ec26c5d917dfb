package corral

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
)

// get is Get of the cache or a layer of it, with a plain value made an entry. With an error it
// returns none, whatever the cache returned beside it.
func (l *Loader[K, V]) get(ctx context.Context, cache Cache[K, V], key K) (e *Entry[V], took time.Duration, err error) {
	start := l.stopwatch()
	defer func() { took = start.read() }()
	defer bounded.Recover("the cache", &err)
	if l.plain == nil {
		if e, err = cache.Get(ctx, key); err != nil {
			e = nil
		}
		return e, 0, err
	}
	v, life, ok, err := l.plain.GetValue(ctx, key)
	if err != nil || !ok {
		return nil, 0, err
	}
	return l.bare(v, life), 0, nil
}

// getMany is GetMany of the cache or a layer of it, with plain values made entries.
func (l *Loader[K, V]) getMany(ctx context.Context, cache BatchCache[K, V], keys []K) ([]*Entry[V], error) {
	entries, err := cache.GetMany(ctx, keys)
	if l.plain != nil && len(entries) == len(keys) {
		bare := make([]*Entry[V], len(entries)) // the cache's own are not written to
		for i, e := range entries {
			bare[i] = l.entryOf(e)
		}
		entries = bare
	}
	return entries, err
}

// bare returns the entry for a bare value with a life, below zero for no end.
func (l *Loader[K, V]) bare(value V, life time.Duration) *Entry[V] {
	e := &Entry[V]{
		Value:    value,
		LoadedAt: time.Now(),
		LoadTime: l.counts.meanLoadTime(),
		TTL:      l.left(life),
		Keep:     life,
		plain:    true,
	}
	if life < 0 {
		e.Keep = noEnd
	}
	return e
}

// put is Set or Delete of the cache, or Fill under a lease. It calls then when that has returned, which
// for a far cache that ignores its context may be after put has.
func (l *Loader[K, V]) put(ctx context.Context, key K, op Op, e *Entry[V], held *lease, then func()) (took time.Duration, err error) {
	start := l.stopwatch()
	defer func() { took = start.read() }()
	if !l.far {
		defer then()
		return 0, l.putNow(ctx, key, op, e, held)
	}
	_, err = bounded.DoThen(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.putNow(ctx, key, op, e, held)
	}, then)
	return 0, err
}

func (l *Loader[K, V]) putNow(ctx context.Context, key K, op Op, e *Entry[V], held *lease) (err error) {
	defer bounded.Recover("the cache", &err)
	if held != nil {
		if op == OpCacheDelete {
			e = nil
		}
		return l.leaser.Fill(ctx, key, held.token, e)
	}
	switch {
	case op == OpCacheDelete:
		return l.cache.Delete(ctx, key)
	case l.plain != nil && !e.Absent:
		return l.plain.SetValue(ctx, key, e.Value, e.Keep)
	default:
		return l.cache.Set(ctx, key, e)
	}
}

// settle waits until a cache that buffers its writes shows them.
func (l *Loader[K, V]) settle(ctx context.Context, key K) Event {
	e := Event{Op: OpCacheSettle}
	if l.settler == nil {
		return e
	}
	start := l.stopwatch()
	bound, cancel := context.WithTimeoutCause(ctx, l.opts.CacheTimeout, errCacheTimeout)
	defer cancel()
	func() {
		defer bounded.Recover("the cache", &e.Err)
		e.Err = l.settler.Settle(bound, key)
	}()
	e.Took = start.read()
	return e
}

// judge records how a call of the cache went that ctx asked for.
func (l *Loader[K, V]) judge(ctx context.Context, key K, e Event, p pass) {
	if l.verdict(ctx, e, p) {
		l.tell(l.opts.Hooks.CacheError, ctx, key, e)
	}
}

// judgeFlight records how a call of the cache went that a flight made.
func (l *Loader[K, V]) judgeFlight(f *flight.Flight[K, ride[K, V]], e Event, p pass) {
	if l.verdict(context.Background(), e, p) {
		l.tellFlight(l.opts.Hooks.CacheError, f, e)
	}
}

// verdict records how a call of the cache went, and reports whether that is worth
// telling. A call that ended because its caller did says nothing of the cache.
func (l *Loader[K, V]) verdict(ctx context.Context, e Event, p pass) bool {
	v, count := l.blame(ctx, e.Err)
	l.rest.done(v, p)
	if count != nil {
		count.Add(1)
	}
	return count != nil
}

// blame says what the error of a call says of the cache, and where it is counted
// if it is worth that.
func (l *Loader[K, V]) blame(ctx context.Context, err error) (verdict, *atomic.Uint64) {
	switch {
	case err == nil, errors.Is(err, ErrLeaseLost):
		return healthy, nil
	case errors.Is(err, ErrUndecodable):
		return healthy, &l.counts.undecodable
	case errors.Is(err, ErrRefused):
		return healthy, &l.counts.refused
	case ctx.Err() != nil:
		return unknown, nil
	case errors.Is(err, ErrNotAsked):
		return unknown, &l.counts.cacheErrors
	}
	return failing, &l.counts.cacheErrors
}
