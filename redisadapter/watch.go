package redisadapter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// linger is for how long a subscription that nobody needs is kept: who waits
	// for one key often waits for the next.
	linger = time.Second

	// A lost subscription is made again at once, and then with growing pauses.
	againMin = 100 * time.Millisecond
	againMax = 5 * time.Second
)

// watches wakes those who wait for a lease to end. All share one subscription,
// which is there while somebody waits.
type watches struct {
	hear func(ctx context.Context, began func(), tell func(text string)) error

	mu       sync.Mutex
	watchers map[string]map[chan struct{}]bool // by key; guarded by mu, as all below
	waiting  int                               // watchers
	end      context.CancelFunc                // of the subscription; nil for none
	idle     *time.Timer                       // ends it
}

// watch returns a channel that is sent to when the lease of a key may have ended,
// and what must be called in the end.
func (w *watches) watch(text string) (<-chan struct{}, func()) {
	ended := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers[text] == nil {
		if w.watchers == nil {
			w.watchers = map[string]map[chan struct{}]bool{}
		}
		w.watchers[text] = map[chan struct{}]bool{}
	}
	w.watchers[text][ended] = true
	w.waiting++
	w.startLocked()
	return ended, sync.OnceFunc(func() { w.stop(text, ended) })
}

func (w *watches) startLocked() {
	if w.idle != nil {
		w.idle.Stop()
	}
	if w.end != nil {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	w.end = end
	go w.run(ctx)
}

// stop forgets a watcher, and the last one's going starts the clock.
func (w *watches) stop(text string, ended chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watchers[text], ended)
	if len(w.watchers[text]) == 0 {
		delete(w.watchers, text)
	}
	if w.waiting--; w.waiting == 0 {
		w.idle = time.AfterFunc(linger, w.endIdle)
	}
}

func (w *watches) endIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == 0 {
		w.endLocked()
	}
}

func (w *watches) endLocked() {
	if w.end != nil {
		w.end()
		w.end = nil
	}
}

// run keeps up the subscription until ctx ends. A closed client will have no
// other one.
func (w *watches) run(ctx context.Context) {
	var pause time.Duration
	for {
		err := w.hear(ctx, func() { pause = 0; w.wakeAll() }, w.wake)
		if errors.Is(err, redis.ErrClosed) {
			w.giveUp(ctx)
			return
		}
		select {
		case <-time.After(pause):
			pause = min(max(2*pause, againMin), againMax)
		case <-ctx.Done():
			return
		}
	}
}

// giveUp takes note that the subscription of ctx is over: the next watcher tries
// anew.
func (w *watches) giveUp(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() == nil {
		w.endLocked()
	}
}

// wake wakes those who wait for one key.
func (w *watches) wake(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wakeLocked(w.watchers[text])
}

// wakeAll wakes all: before a subscription began, any lease may have ended
// unheard.
func (w *watches) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, watchers := range w.watchers {
		wakeLocked(watchers)
	}
}

func wakeLocked(watchers map[chan struct{}]bool) {
	for ended := range watchers {
		select {
		case ended <- struct{}{}:
		default: // it was sent to, and not yet looked at
		}
	}
}
