package corral

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// retries remembers which keys' loads failed while a stale value existed, and
// when each may be tried again: a failing source is not hammered by every caller
// in turn. A key is forgotten once it loads, and when its pause is long over.
type retries[K comparable] struct {
	min, max time.Duration

	size  atomic.Int64 // keys held: what a stale hit looks at first
	mu    sync.RWMutex
	keys  map[K]retry // guarded by mu
	sweep int         // the size at which keys are looked through; guarded by mu
}

type retry struct {
	pause time.Duration
	until int64
}

const sweepMin = 1024

// waits reports whether key may not be loaded yet.
func (r *retries[K]) waits(key K) bool {
	if r.size.Load() == 0 {
		return false
	}
	r.mu.RLock()
	t, ok := r.keys[key]
	r.mu.RUnlock()
	return ok && flight.Now() < t.until
}

// failed records a failed load of key.
func (r *retries[K]) failed(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = make(map[K]retry)
		r.sweep = sweepMin
	}
	if len(r.keys) >= r.sweep {
		r.sweepLocked()
	}
	pause := r.nextPause(r.keys[key].pause)
	r.keys[key] = retry{pause, flight.After(flight.Now(), r.spread(pause))}
	r.size.Store(int64(len(r.keys)))
}

func (r *retries[K]) nextPause(last time.Duration) time.Duration {
	if last == 0 {
		return r.min
	}
	return min(saturatingAdd(last, last), r.max)
}

// spread lengthens a pause by up to a half of it.
func (r *retries[K]) spread(pause time.Duration) time.Duration {
	return min(saturatingAdd(pause, time.Duration(rand.Float64()*float64(pause)/2)), r.max)
}

// forget forgets the failures of key: a load succeeded, or a write came.
func (r *retries[K]) forget(key K) {
	if r.size.Load() == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, key)
	r.size.Store(int64(len(r.keys)))
	if len(r.keys) == 0 {
		r.keys = nil // a map keeps the memory of the most it ever held
	}
}

// sweepLocked drops the keys that may be tried again since a whole pause: nobody
// asks for them, or somebody would have tried.
func (r *retries[K]) sweepLocked() {
	now := flight.Now()
	for key, t := range r.keys {
		if flight.After(t.until, t.pause) < now {
			delete(r.keys, key)
		}
	}
	r.sweep = max(sweepMin, 2*len(r.keys))
}
