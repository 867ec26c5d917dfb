package stored

import (
	"math"
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

// QuietUntil returns when e ceases to be quiet (see [corral.Entry.Quiet]), on a
// monotonic clock of nanoseconds that shows now. For an entry that is not quiet at
// all that is before any time.
func QuietUntil[V any](e *corral.Entry[V], now int64) int64 {
	quiet := e.Quiet()
	if quiet <= 0 {
		return math.MinInt64
	}
	left := int64(quiet - time.Since(e.LoadedAt))
	if left > 0 && now > math.MaxInt64-left {
		return math.MaxInt64
	}
	return now + left
}
