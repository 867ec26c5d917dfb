package fleet

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/counting"
)

// numbers are the live Stats of a fleet. What a hit touches is spread over cache lines.
type numbers struct {
	routes                     routeNumbers
	moved                      movedNumbers
	gutter                     gutterNumbers
	ends                       [operations]ends
	repinned, changes          atomic.Uint64
	unknown, waits, hookPanics atomic.Uint64
}

func (n *numbers) ended(e End) {
	n.ends[e.Op][e.Outcome].Add(1)
	if e.Op == OpScan {
		n.waits.Add(uint64(e.Waits))
	}
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

// routeNumbers are the live RouteStats.
type routeNumbers struct {
	computed, pinned   counting.Counter
	fallback, oldOwner atomic.Uint64
}

func (n *routeNumbers) add(pinned bool) {
	if pinned {
		n.pinned.Add()
	} else {
		n.computed.Add()
	}
}

func (n *routeNumbers) snapshot() RouteStats {
	return RouteStats{n.computed.Sum(), n.pinned.Sum(), n.fallback.Load(), n.oldOwner.Load()}
}

// movedNumbers are the live MovedStats.
type movedNumbers struct{ found, copied, refused atomic.Uint64 }

// stored counts a copy that was to be stored, by what came of it.
func (n *movedNumbers) stored(err error) {
	switch {
	case err == nil:
		n.copied.Add(1)
	case errors.Is(err, corral.ErrLeaseLost), errors.Is(err, corral.ErrRefused):
		n.refused.Add(1)
	}
}

func (n *movedNumbers) snapshot() MovedStats {
	return MovedStats{n.found.Load(), n.copied.Load(), n.refused.Load()}
}

type ends [Cancelled + 1]atomic.Uint64

func (e *ends) snapshot() Ends {
	return Ends{e[EndedOK].Load(), e[Failed].Load(), e[Cancelled].Load()}
}

// shardNumbers are the live ShardStats.
type shardNumbers struct {
	calls           counting.Counter
	errors, refused atomic.Uint64
	latency         counting.Histogram
	overAll         struct {
		calls, errors, items atomic.Uint64
		took                 atomic.Int64
	}
}

func newShardNumbers() *shardNumbers { return &shardNumbers{calls: counting.NewCounter()} }

// overAllCalled counts a call over all shards. One that ended because the whole call did
// says nothing of the shard.
func (n *shardNumbers) overAllCalled(e ShardCall, failed bool) {
	n.overAll.calls.Add(1)
	n.overAll.items.Add(uint64(e.Items))
	n.overAll.took.Add(int64(e.Took))
	if failed {
		n.overAll.errors.Add(1)
	}
}

func (n *shardNumbers) snapshot() ShardStats {
	s := ShardStats{Calls: n.calls.Sum(), Errors: n.errors.Load(), Refused: n.refused.Load(), OverAll: CallStats{
		n.overAll.calls.Load(), n.overAll.errors.Load(), n.overAll.items.Load(), time.Duration(n.overAll.took.Load()),
	}}
	s.Latency.Counts, s.Latency.Sum = n.latency.Snapshot()
	return s
}
