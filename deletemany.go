package corral

import (
	"context"

	"github.com/corralcache/corral/internal/flight"
)

// deletion is a key that is to be deleted.
type deletion[K comparable, V any] struct {
	key K
	at  flight.Spot[K, ride[K, V]]
}

// unique returns each deletion once.
func unique[K comparable, V any](todo []deletion[K, V]) []deletion[K, V] {
	known := make(map[K]bool, len(todo))
	once := todo[:0]
	for _, d := range todo {
		if !known[d.key] {
			known[d.key] = true
			once = append(once, d)
		}
	}
	return once
}

// deleteMany deletes those keys together that nobody writes, then those whose
// writer has ended meanwhile. It waits only while it has no turn itself: two of
// these with the same keys never wait for each other.
func (l *Loader[K, V]) deleteMany(ctx context.Context, todo []deletion[K, V], failed *faults[K]) error {
	if !l.life.enter() {
		return ErrClosed
	}
	defer l.life.leave()
	l.wrote.Add(1)
	for len(todo) > 0 {
		var mine, busy []deletion[K, V]
		var turn <-chan struct{}
		for _, d := range todo {
			under, ok := l.table.TryWrite(d.at, d.key)
			if ok {
				mine = append(mine, d)
			} else {
				busy, turn = append(busy, d), under
			}
		}
		l.deleteNow(ctx, mine, failed)
		if todo = busy; len(todo) == 0 {
			break
		}
		select {
		case <-turn:
		case <-ctx.Done():
			for _, d := range todo {
				failed.add(d.key, context.Cause(ctx))
			}
			todo = nil
		}
	}
	return nil
}

// deleteNow makes the deletes whose turn it is. A call of the cache that outlives
// its time keeps their turns, as in writeNow.
func (l *Loader[K, V]) deleteNow(ctx context.Context, mine []deletion[K, V], failed *faults[K]) {
	keys := make([]K, len(mine))
	for i, d := range mine {
		keys[i] = d.key
		l.retries.forget(d.key)
		l.life.again()
	}
	t := &trip[K, V]{
		l: l, op: OpCacheDelete, keys: keys, caller: ctx, always: true,
		bound: func() (context.Context, func()) {
			return context.WithTimeoutCause(ctx, l.opts.CacheTimeout, errCacheTimeout)
		},
		tell: func(i int, e Event) { l.tell(l.opts.Hooks.CacheError, ctx, keys[i], e) },
		then: func(i int) {
			l.table.EndWrite(mine[i].at, mine[i].key)
			l.life.leave()
		},
	}
	var many func(ctx context.Context, from, to int) error
	if l.cacheMany != nil {
		many = func(ctx context.Context, from, to int) error { return l.cacheMany.DeleteMany(ctx, keys[from:to]) }
	}
	_, errs := travel(t, noAnswer(many), func(ctx context.Context, i int) (struct{}, error) {
		return struct{}{}, l.putNow(ctx, keys[i], OpCacheDelete, nil, nil)
	})
	for i, err := range errs {
		if err != nil {
			failed.add(keys[i], err)
		}
	}
}
