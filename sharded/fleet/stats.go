package fleet

import (
	"time"

	"github.com/corralcache/corral"
)

// Stats is what a [Fleet] has counted since [New]. Counts are exact.
type Stats struct {
	Routes   RouteStats
	Moved    MovedStats
	Pins     PinStats // what Options.Pins have counted, if they have a method Stats() PinStats
	Repinned uint64   // pins to shards that are gone, which this process has moved
	Gutter   GutterStats
	Changes  uint64 // of a shard's health, as HealthChange tells them
	Shards   map[string]ShardStats

	Broadcasts, Scans Ends
	Merges            Ends // those that [Fleet.Observe] has counted
	Migrations        Ends
	Unknown           uint64 // IDs that a lenient Policy named and no shard has
	Waits             uint64 // how often a shard had to wait for the loop of a Scan
	HookPanics        uint64 // hooks that panicked or ended their goroutine
}

// RouteStats counts by what the keys of calls were placed. Each key of each call of the
// cache, of which a Loader's miss makes several, is either Computed or Pinned.
type RouteStats struct {
	Computed uint64 // by the Router
	Pinned   uint64 // by a pin
	Fallback uint64 // of both, those looked for in the gutter, or lent to it, since their shard was out
	OldOwner uint64 // of both, those looked for where they were before a change of the topology
}

// MovedStats counts keys that a change of the topology has moved, or a [Migrate]. What the
// replicas of a group copy from each other is none of it, nor of RouteStats.OldOwner.
type MovedStats struct {
	Found   uint64 // those that were found where they had been
	Copied  uint64 // of these, those that were stored where they belong now
	Refused uint64 // of these, those that were not, because the key was written or loaded meanwhile, or the shard would not take it
}

// Ends counts the ends of calls by their [Outcome].
type Ends struct{ OK, Failed, Cancelled uint64 }

// ShardStats is what of [Stats] is about one shard, from when it was opened until it
// left the fleet. What probes ask, or [Migrate] reads, or is asked of a shard's near layer,
// counts nowhere.
type ShardStats struct {
	Calls   uint64 // for keys, of one or of many: reads, writes, and those about leases
	Errors  uint64 // of these, those that count against the shard's health; see [HealthOptions]
	Refused uint64 // calls that were not made, since the shard was out

	// Latency is how long the Calls took, if the shard is far: one in this process's
	// memory answers in less time than a look at the clock takes.
	Latency corral.Histogram

	OverAll CallStats
}

// CallStats counts calls of a shard by Broadcast, and pages of Scan.
type CallStats struct {
	Calls  uint64
	Errors uint64        // of these
	Items  uint64        // on the pages
	Took   time.Duration // all together
}

// Stats returns a snapshot. Each number is exact; they may be of different instants.
func (f *Fleet[K, V]) Stats() Stats {
	n := &f.numbers
	s := Stats{
		Routes:     n.routes.snapshot(),
		Moved:      n.moved.snapshot(),
		Repinned:   n.repinned.Load(),
		Gutter:     n.gutter.snapshot(),
		Changes:    n.changes.Load(),
		Broadcasts: n.ends[OpBroadcast].snapshot(),
		Scans:      n.ends[OpScan].snapshot(),
		Merges:     n.ends[OpMerge].snapshot(),
		Migrations: n.ends[OpMigrate].snapshot(),
		Unknown:    n.unknown.Load(),
		Waits:      n.waits.Load(),
		HookPanics: n.hookPanics.Load(),
		Shards:     map[string]ShardStats{},
	}
	if p, ok := f.opts.Pins.(interface{ Stats() PinStats }); ok && !isNil(p) {
		s.Pins = p.Stats()
	}
	for _, m := range f.placed.Load().all.members {
		s.Shards[m.shard.ID] = m.numbers.snapshot()
	}
	return s
}
