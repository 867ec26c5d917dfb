package fleet

import (
	"context"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

// Op says which call over all shards an event is about.
type Op uint8

// The calls over all shards.
const (
	OpBroadcast Op = iota
	OpScan
	OpMigrate
	OpMerge
	operations
)

// String returns the name of the call, as a metric would have it.
func (o Op) String() string {
	if names := [...]string{"broadcast", "scan", "migrate", "merge"}; int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// Outcome says how a call over all shards ended.
type Outcome uint8

// The ways in which a call over all shards ends.
const (
	EndedOK   Outcome = iota // of every shard, to its end
	Failed                   // with an error, also if there were partial results
	Cancelled                // its context ended, or its loop was left
)

// String returns the name of the outcome, as a metric would have it.
func (o Outcome) String() string {
	if names := [...]string{"ok", "failed", "cancelled"}; int(o) < len(names) {
		return names[o]
	}
	return "unknown"
}

// ShardCall is one call of a shard.
type ShardCall struct {
	Op    Op
	Shard string // its ID
	Items int    // on the page that a Scan got, before Filter and Unique
	Took  time.Duration
	Err   error
}

// PageSizing is a change of the size of the pages that a Scan gets of a shard.
type PageSizing struct {
	Shard    string // its ID
	From, To int
	Took     time.Duration // of the page that decided it

	// Oscillating says that the size goes up and down: it then stays with the smaller
	// one for a while.
	Oscillating bool
}

// End is how a call over all shards ended. There is exactly one of each Broadcast and
// Migrate, of each loop over a Scan, and of each over a Merge that [Fleet.Observe] has
// counted.
type End struct {
	Op      Op
	Outcome Outcome
	Err     error // what the caller got; nil also for a loop that was left
	Took    time.Duration

	Shards  int // that were to be asked; of a Merge, its sources
	Failed  int // shards that failed, those not asked included
	Unknown int // IDs that a lenient Policy named and no shard has

	Items int // that the loop saw; of a Migrate, that were copied
	Waits int // how often a shard had to wait for the loop of a Scan, or the loop of a Merge for a source
	Heap  int // of a Merge: how many sources had an element, and were compared, at most

	// Of a Scan:
	Duplicates int            // that Unique took away
	PageSizes  map[string]int // of the last page, by shard
}

// ask makes one call of a shard and counts it, unless ctx has ended before. A shard that is
// late is left behind.
func ask[K comparable, V, R any](ctx context.Context, c *panel[K, V], m *member[K, V], items func(R) int, call func(ctx context.Context) (R, error)) (R, time.Duration, error) {
	if ctx.Err() != nil {
		var none R
		return none, 0, context.Cause(ctx)
	}
	bound, cancel := ctx, func() {}
	if t := c.policy.Timeout; t > 0 {
		bound, cancel = context.WithTimeoutCause(ctx, t, errLate)
	}
	defer cancel()
	start := time.Now()
	r, err := bounded.Do(bound, call)
	e := ShardCall{Op: c.op, Shard: m.shard.ID, Took: time.Since(start), Err: err}
	if err == nil {
		e.Items = items(r)
	}
	m.numbers.overAllCalled(e, err != nil && ctx.Err() == nil)
	m.vitals.endedOfAll(bound, e.Took, m.worst(err))
	tell(ctx, c.fleet, c.fleet.opts.Hooks.ShardCall, e)
	return r, e.Took, err
}

// end tells how the call ended, with what is known of a Scan.
func (c *panel[K, V]) end(ctx context.Context, e End) {
	e.Op, e.Unknown, e.Took = c.op, c.unknown, time.Since(c.start)
	e.Shards = c.of
	c.mu.Lock()
	e.Failed = len(c.failed)
	c.mu.Unlock()
	c.fleet.tellEnd(ctx, e)
}

// tellEnd counts the end of a call over all shards, and tells it.
func (f *Fleet[K, V]) tellEnd(ctx context.Context, e End) {
	f.numbers.ended(e)
	tell(ctx, f, f.opts.Hooks.End, e)
}

// outcomeOf is that of a call that returned err.
func outcomeOf(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return EndedOK
	case ctx.Err() != nil:
		return Cancelled
	}
	return Failed
}

// tell calls a hook if it is set.
func tell[K comparable, V, E any](ctx context.Context, f *Fleet[K, V], hook func(context.Context, E), e E) {
	if hook != nil {
		f.numbers.hook(func() { hook(ctx, e) })
	}
}
