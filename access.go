package corral

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

// get is Get of the cache, with a plain value made an entry. With an error it
// returns none, whatever the cache returned beside it.
func (l *Loader[K, V]) get(ctx context.Context, key K) (e *Entry[V], took time.Duration, err error) {
	start := time.Now()
	defer func() { took = time.Since(start) }()
	defer bounded.Recover("the cache", &err)
	if l.plain == nil {
		if e, err = l.cache.Get(ctx, key); err != nil {
			e = nil
		}
		return e, 0, err
	}
	v, life, ok, err := l.plain.GetValue(ctx, key)
	if err != nil || !ok {
		return nil, 0, err
	}
	return &Entry[V]{
		Value:    v,
		LoadedAt: time.Now(),
		LoadTime: l.counts.meanLoadTime(),
		TTL:      l.left(life),
		plain:    true,
	}, 0, nil
}

// put is Set or Delete of the cache.
func (l *Loader[K, V]) put(ctx context.Context, key K, op Op, e *Entry[V]) (took time.Duration, err error) {
	start := time.Now()
	defer func() { took = time.Since(start) }()
	if !l.far {
		return 0, l.putNow(ctx, key, op, e)
	}
	_, err = bounded.Do(ctx, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, l.putNow(ctx, key, op, e)
	})
	return 0, err
}

func (l *Loader[K, V]) putNow(ctx context.Context, key K, op Op, e *Entry[V]) (err error) {
	defer bounded.Recover("the cache", &err)
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
func (l *Loader[K, V]) settle(ctx context.Context, key K) (err error) {
	if l.settler == nil {
		return nil
	}
	start := time.Now()
	bound, cancel := context.WithTimeoutCause(ctx, l.opts.CacheTimeout, errCacheTimeout)
	defer cancel()
	func() {
		defer bounded.Recover("the cache", &err)
		err = l.settler.Settle(bound, key)
	}()
	if err != nil {
		l.judge(ctx, Event{Op: OpCacheSettle, Err: err, Took: time.Since(start)}, key)
	}
	return err
}

// judge records how a call of the cache went, which ctx asked for. A call that
// ended because its caller did says nothing of the cache.
func (l *Loader[K, V]) judge(ctx context.Context, e Event, key K) {
	switch {
	case e.Err == nil:
		l.rest.done(healthy)
		return
	case errors.Is(e.Err, ErrUndecodable):
		l.counts.undecodable.Add(1)
		l.rest.done(healthy)
	case errors.Is(e.Err, ErrRefused):
		l.counts.refused.Add(1)
		l.rest.done(healthy)
	case ctx.Err() != nil:
		l.rest.done(unknown)
		return
	default:
		l.counts.cacheErrors.Add(1)
		l.rest.done(failing)
	}
	l.tell(l.opts.Hooks.CacheError, ctx, key, e)
}
