package fleet

import (
	"sync/atomic"
	"time"
)

// Stats is what a [Fleet] has counted since [New], of the calls over all
// shards and of the gutter.
type Stats struct {
	Broadcasts, Scans Ends
	Migrations        Ends
	Unknown           uint64 // IDs that a lenient Policy named and no shard has
	Waits             uint64 // how often a shard had to wait for the loop of a Scan
	HookPanics        uint64 // hooks that panicked or ended their goroutine
	Gutter            GutterStats
	Shards            map[string]ShardStats
}

// Ends counts the ends of calls by their [Outcome].
type Ends struct{ OK, Failed, Cancelled uint64 }

// ShardStats is what of [Stats] is about one shard.
type ShardStats struct {
	Calls  uint64 // by Broadcast, and pages of Scan
	Errors uint64 // of these
	Items  uint64 // on the pages
	Took   time.Duration
}

// Stats returns a snapshot. Each number is exact; they may be of different instants.
func (f *Fleet[K, V]) Stats() Stats {
	n := &f.numbers
	s := Stats{
		Broadcasts: n.ends[OpBroadcast].snapshot(),
		Scans:      n.ends[OpScan].snapshot(),
		Migrations: n.ends[OpMigrate].snapshot(),
		Unknown:    n.unknown.Load(),
		Waits:      n.waits.Load(),
		HookPanics: n.hookPanics.Load(),
		Gutter:     n.gutter.snapshot(),
		Shards:     map[string]ShardStats{},
	}
	for _, m := range f.placed.Load().all.members {
		s.Shards[m.shard.ID] = m.numbers.snapshot()
	}
	return s
}

// numbers are the live Stats of a fleet.
type numbers struct {
	ends                       [OpMigrate + 1]ends
	unknown, waits, hookPanics atomic.Uint64
	gutter                     gutterNumbers
}

func (n *numbers) ended(e End) {
	n.ends[e.Op][e.Outcome].Add(1)
	n.waits.Add(uint64(e.Waits))
}

// hook calls a hook, on a goroutine of its own: one that calls runtime.Goexit takes nobody
// with it.
func (n *numbers) hook(call func()) {
	told := make(chan bool, 1)
	go func() {
		returned := false
		defer func() { told <- recover() == nil && returned }()
		call()
		returned = true
	}()
	if !<-told {
		n.hookPanics.Add(1)
	}
}

type ends [Cancelled + 1]atomic.Uint64

func (e *ends) snapshot() Ends {
	return Ends{e[EndedOK].Load(), e[Failed].Load(), e[Cancelled].Load()}
}

// shardNumbers are the live ShardStats.
type shardNumbers struct {
	calls, errors, items atomic.Uint64
	took                 atomic.Int64
}

// add counts a call. One that ended because the whole call did says nothing of the
// shard.
func (n *shardNumbers) add(e ShardCall, failed bool) {
	n.calls.Add(1)
	n.items.Add(uint64(e.Items))
	n.took.Add(int64(e.Took))
	if failed {
		n.errors.Add(1)
	}
}

func (n *shardNumbers) snapshot() ShardStats {
	return ShardStats{n.calls.Load(), n.errors.Load(), n.items.Load(), time.Duration(n.took.Load())}
}
