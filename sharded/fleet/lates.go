package fleet

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

// lates are the keys of writes that were given up while a shard still had them. What it
// makes of one, however late, comes before the next write of the key: a Set that came after
// a Delete which had returned nil would bring back what that had ended.
type lates[K comparable] struct {
	some atomic.Int64 // len(keys): while there are none nobody takes the lock

	mu    sync.Mutex
	keys  map[K]int     // guarded by mu; how many writes of each
	fewer chan struct{} // guarded by mu; closed when one of them has returned; nil if there are none
}

// leave makes a call that writes keys, until ctx ends, and reports whether it then left the
// call behind. If the topology is another one when that returns, what it has stored is
// cleared: who made the write has looked for that before.
func leave[K comparable, V, R any](ctx context.Context, f *Fleet[K, V], keys []K, call func(ctx context.Context) (R, error)) (R, bool, error) {
	l, placed := &f.lates, f.placed.Load()
	returned, left := false, false // guarded by l.mu
	r, err := bounded.DoThen(ctx, call, func() {
		l.mu.Lock()
		returned = true
		late := left
		l.mu.Unlock()
		if !late {
			return
		}
		defer l.end(keys)
		if !f.still(placed) {
			_ = calls[K, V]{f, whole}.clearLate(ctx, []*placement[K, V]{placed}, func() []K { return keys })
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if left = !returned; left {
		keys = slices.Clone(keys) // which are the caller's
		l.addLocked(keys)
	}
	return r, left, err
}

// share makes a call of a shard that others follow, and leaves them as much time as it may
// take: a shard that hangs does not keep the write from the rest.
func (f *Fleet[K, V]) share(ctx context.Context, m *member[K, V], keys []K, calls int, call func(ctx context.Context) error) error {
	end, ok := ctx.Deadline()
	if !ok || calls < 2 {
		return call(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Until(end)/time.Duration(calls), errLate)
	defer cancel()
	_, left, err := leave(ctx, f, keys, func(ctx context.Context) (struct{}, error) { return struct{}{}, call(ctx) })
	if left {
		site[K, V]{at: m}.givenUp(ctx, keys, err)
	}
	return err
}

func (l *lates[K]) any() bool { return l.some.Load() > 0 }

func (l *lates[K]) addLocked(keys []K) {
	if l.keys == nil {
		l.keys, l.fewer = map[K]int{}, make(chan struct{})
	}
	for _, key := range keys {
		l.keys[key]++
	}
	l.some.Store(int64(len(l.keys)))
}

func (l *lates[K]) end(keys []K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if l.keys[key]--; l.keys[key] == 0 {
			delete(l.keys, key)
		}
	}
	close(l.fewer)
	l.fewer = make(chan struct{})
	if len(l.keys) == 0 {
		l.keys, l.fewer = nil, nil
	}
	l.some.Store(int64(len(l.keys)))
}

// wait waits until no shard has a write of these keys that was given up.
func (l *lates[K]) wait(ctx context.Context, keys []K) error {
	for l.any() {
		l.mu.Lock()
		late := slices.ContainsFunc(keys, func(key K) bool { return l.keys[key] > 0 })
		fewer := l.fewer
		l.mu.Unlock()
		if !late {
			return nil
		}
		select {
		case <-fewer:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// afterLate waits for the turn of a write of keys at a site, and fences those of a user's
// write that did not come to it.
func (f *Fleet[K, V]) afterLate(ctx context.Context, t tier, s site[K, V], keys []K) error {
	if t == nearLayer || !f.lates.any() {
		return nil
	}
	tried := ctx.Err() == nil
	err := f.lates.wait(ctx, keys)
	if err != nil && tried {
		s.givenUp(ctx, keys, err)
	}
	return err
}

// givenUp fences the keys of a user's write that did not end in its time, wherever it was to
// come to.
func (s site[K, V]) givenUp(ctx context.Context, keys []K, err error) {
	if !ofUser(ctx) {
		return
	}
	for _, m := range slices.Concat(s.at.shards(), s.other.shards()) {
		m.fenceFailed(ctx, keys, err, true)
	}
}
