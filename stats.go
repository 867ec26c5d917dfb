package corral

import (
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/counting"
)

// Stats is what a [Loader] has counted since [New]. Counts are exact: Hits and
// Misses add up to the calls of GetOrLoad and Lookup and the different keys of
// GetOrLoadMany, Loads to the calls of the user's functions. A bulk load is one
// load, which failed if any of its keys did. A call or key that was refused for its
// arguments, or after Close, counts nowhere.
type Stats struct {
	Hits   uint64 // calls answered from the cache without waiting for a load, stale answers included
	Misses uint64 // all other calls
	Stale  uint64 // calls answered with a stale value, at once or after a load failed
	Shared uint64 // calls that waited for a load started by somebody else

	Loads       uint64    // loads started, refreshes included
	LoadErrors  uint64    // loads that failed, timeouts and panics included
	Panics      uint64    // loads that panicked or called runtime.Goexit
	Absent      uint64    // keys of which a load said ErrNotFound
	Stuck       uint64    // loads that run on now, past their timeout
	Discarded   uint64    // loaded values that were not stored because another write of the key came or was under way, or their lease was lost
	LoadTimes   Histogram // how long loads took, whatever they came to; those that timed out count with LoadTimeout
	Refreshes   uint64    // loads started in the background
	Dropped     uint64    // keys whose refresh was not started because MaxRefreshes were running
	RefreshErrs uint64    // refreshes that failed

	Leases     uint64 // leases had from a cache that gives them: loads that no other process ran meanwhile
	LeaseWaits uint64 // flights that waited for a load of another process
	Takeovers  uint64 // loads whose lease ran out before they ended, when another process may have loaded too

	CacheErrors uint64 // calls of the cache that failed
	Undecodable uint64 // stored values that could not be read
	Refused     uint64 // entries that the cache would not take by its own policy
	HookPanics  uint64 // hooks that panicked
}

// Histogram counts durations. Counts[i] is the number of those below
// [Histogram.Bound](i) that no earlier one counts.
type Histogram struct {
	Counts [32]uint64
	Sum    time.Duration
}

// Bound returns the upper end of bucket i: 2^i µs. The last has none: it counts
// everything longer too.
func (h *Histogram) Bound(i int) time.Duration { return time.Microsecond << i }

func newHistogram(h *counting.Histogram) (s Histogram) {
	s.Counts, s.Sum = h.Snapshot()
	return s
}

// counts are the live Stats. Only what a hit touches is spread over cache lines.
type counts struct {
	hits, stale counting.Counter

	misses, shared                                atomic.Uint64
	loads, loadErrors, panics, absent, discarded  atomic.Uint64
	refreshes, dropped, refreshErrs               atomic.Uint64
	leases, leaseWaits, takeovers                 atomic.Uint64
	cacheErrors, undecodable, refused, hookPanics atomic.Uint64
	stuck                                         atomic.Int64
	loadTimes                                     counting.Histogram
	mean                                          atomic.Int64 // see meanLoadTime
}

func newCounts() *counts { return &counts{hits: counting.NewCounter(), stale: counting.NewCounter()} }

// loaded records how long a load took that succeeded.
func (c *counts) loaded(took time.Duration) {
	for {
		old := c.mean.Load()
		next := old + (int64(took)-old)/8
		if old == 0 {
			next = int64(took)
		}
		if c.mean.CompareAndSwap(old, next) {
			return
		}
	}
}

// meanLoadTime is the moving mean of the load times, a new one counting for an
// eighth: the Δ of early expiry where an entry does not tell its own.
func (c *counts) meanLoadTime() time.Duration { return time.Duration(c.mean.Load()) }

func (c *counts) snapshot() Stats {
	return Stats{
		Hits:        c.hits.Sum(),
		Misses:      c.misses.Load(),
		Stale:       c.stale.Sum(),
		Shared:      c.shared.Load(),
		Loads:       c.loads.Load(),
		LoadErrors:  c.loadErrors.Load(),
		Panics:      c.panics.Load(),
		Absent:      c.absent.Load(),
		Stuck:       uint64(max(0, c.stuck.Load())),
		Discarded:   c.discarded.Load(),
		LoadTimes:   newHistogram(&c.loadTimes),
		Refreshes:   c.refreshes.Load(),
		Dropped:     c.dropped.Load(),
		RefreshErrs: c.refreshErrs.Load(),
		Leases:      c.leases.Load(),
		LeaseWaits:  c.leaseWaits.Load(),
		Takeovers:   c.takeovers.Load(),
		CacheErrors: c.cacheErrors.Load(),
		Undecodable: c.undecodable.Load(),
		Refused:     c.refused.Load(),
		HookPanics:  c.hookPanics.Load(),
	}
}
