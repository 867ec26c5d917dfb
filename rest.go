package corral

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// rest lets a failing cache rest: after several failures in a row its calls are
// left out for a pause, then one call at a time probes it. Each failed probe
// doubles the pause. Callers do not wait for the time-outs of a dead server one
// after the other.
type rest struct {
	troubled atomic.Bool // failures > 0: what a hit looks at
	mu       sync.Mutex
	failures int           // in a row; guarded by mu
	pause    time.Duration // guarded by mu
	until    int64         // guarded by mu
	probing  bool          // guarded by mu
}

const (
	restAfter = 5 // failures in a row
	restMin   = 100 * time.Millisecond
	restMax   = 5 * time.Second
)

// pass says as what a call of the cache goes through. Only the probe's own
// outcome ends its time: calls from before the rest, and the user's writes, which
// always go through, end meanwhile.
type pass uint8

const (
	usual pass = iota
	probe
	refused
)

// allows reports whether, and as what, the cache may be called now. Every call
// that is not refused must report with done.
func (r *rest) allows() pass {
	if !r.troubled.Load() {
		return usual
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failures < restAfter {
		return usual
	}
	if r.probing || flight.Now() < r.until {
		return refused
	}
	r.probing = true
	return probe
}

// verdict is what a call said of the cache's health.
type verdict uint8

const (
	healthy verdict = iota
	failing
	unknown // the caller gave up first
)

// done records how a call ended that went through as p.
func (r *rest) done(v verdict, p pass) {
	if v == healthy && !r.troubled.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p == probe {
		r.probing = false
	}
	switch {
	case v == healthy:
		r.failures, r.pause = 0, 0
		r.troubled.Store(false)
	case v == failing && r.failures < restAfter:
		r.failures++
		r.troubled.Store(true)
		if r.failures == restAfter {
			r.sleepLocked()
		}
	case v == failing && p == probe:
		r.sleepLocked()
	}
}

func (r *rest) sleepLocked() {
	r.pause = min(max(2*r.pause, restMin), restMax)
	r.until = flight.After(flight.Now(), r.pause)
}
