package adaptertest

import (
	"context"
	"sync"
)

// What broken leases tell of writes, or fail to tell.

// hearing tells only what passes.
func hearing(passes func(keys []string) bool) func(*leased) {
	return func(l *leased) {
		l.hear = func(ctx context.Context, drop func(...string)) error {
			return l.process.Listen(ctx, func(keys ...string) {
				if passes(keys) {
					drop(keys...)
				}
			})
		}
	}
}

// deleteUnheard tells of no key under which nothing is stored.
func deleteUnheard(l *leased) {
	l.hear = func(ctx context.Context, drop func(...string)) error {
		return l.process.Listen(ctx, func(keys ...string) {
			if e, _ := l.process.Get(ctx, append(keys, "")[0]); len(keys) > 0 && e == nil {
				return
			}
			drop(keys...)
		})
	}
}

// board is where watchers of a broken cache are signalled.
type board struct {
	mu       sync.Mutex
	watchers map[string]map[chan struct{}]bool // guarded by mu
}

func (b *board) watch(key string) (<-chan struct{}, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := make(chan struct{}, 1)
	if b.watchers[key] == nil {
		b.watchers[key] = map[chan struct{}]bool{}
	}
	b.watchers[key][c] = true
	return c, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers[key], c)
	}
}

func (b *board) tell(key string, signal func(chan struct{})) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.watchers[key] {
		signal(c)
	}
}

func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// told signals after each write but those of one kind, to all processes or only
// to the one that wrote.
func told(own bool, but string, signal func(chan struct{})) func(*leased) {
	return func(l *leased) {
		b := &board{watchers: map[string]map[chan struct{}]bool{}}
		if !own {
			shared, _ := l.last.LoadOrStore(boardKey{}, b)
			b = shared.(*board)
		}
		after := func(what, key string, err error) error {
			if what != but {
				b.tell(key, signal)
			}
			return err
		}
		l.watch = b.watch
		l.set = func(ctx context.Context, key string, e *entry) error {
			return after("Set", key, l.process.Set(ctx, key, e))
		}
		l.remove = func(ctx context.Context, key string) error {
			return after("Delete", key, l.process.Delete(ctx, key))
		}
		l.fill = func(ctx context.Context, key, token string, e *entry) error {
			return after("Fill", key, l.process.Fill(ctx, key, token, e))
		}
		l.release = func(ctx context.Context, key, token string) error {
			return after("Release", key, l.process.Release(ctx, key, token))
		}
	}
}

type boardKey struct{}
