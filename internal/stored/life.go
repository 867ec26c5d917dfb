package stored

import (
	"time"

	"github.com/corralcache/corral"
)

// Left returns how long the store still has to hold e; zero if it has no more
// to. An entry of unknown age is held for all of its Keep. The age of an entry
// from the future is zero: clocks disagree, and no entry lives longer for it
// than it was meant to.
func Left[V any](e *corral.Entry[V], now time.Time) time.Duration {
	if e.LoadedAt.IsZero() {
		return max(e.Keep, 0)
	}
	age := max(now.Sub(e.LoadedAt), 0)
	return max(max(e.Keep, 0)-age, 0)
}
