package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Policy says which shards a call over all of them asks, and what becomes of it if
// some fail. The zero Policy asks all, and stops all at the first that fails.
//
// A shard has failed if its call returned an error, panicked or ended its goroutine,
// took longer than Timeout, or if it was not asked: because it is out ([ErrUnhealthy])
// or lacks what the call needs ([*AbilityError]).
type Policy struct {
	// Shards are the IDs of the shards to ask; nil is all. An ID that no shard has
	// is an error, and so is a list without any.
	Shards []string

	// Lenient leaves out the IDs in Shards that no shard has, and counts them, in
	// End.Unknown and Stats.Unknown.
	Lenient bool

	// BestEffort goes on with the others where shards fail. The error is then, at
	// the end, [*ShardErrors] of all that failed.
	BestEffort bool

	// Quorum is how many of the shards must be well: not out, able to, and answering.
	// If they cannot be so many any more, the call ends with an
	// [*InsufficientShardsError]; if they are, it goes on without those that fail, as
	// with BestEffort. Of a Scan nothing is seen before so many shards have answered
	// with their first page: a shard that fails before counts as one that was down.
	// What fails later is told by [*ShardErrors] at the end. Of a Broadcast so many
	// shards must succeed; none is called if too few are well to begin with. Zero is
	// for no quorum.
	Quorum int

	// QuorumPct is Quorum in percent of the shards to ask, rounded up. One of the two
	// may be set.
	QuorumPct float64

	// Timeout is how long one call of a shard may take: the function of a Broadcast, a
	// page of a Scan. Zero is Options.Timeout, and without that as long as the
	// context allows.
	Timeout time.Duration

	// Parallel is how many shards are asked at a time. Zero is 16.
	Parallel int
}

// errStopped is the error of a shard that was not asked, or not to its end, because
// others had failed.
var errStopped = errors.New("fleet: the call was stopped, since other shards failed")

// InsufficientShardsError says that a [Policy] has not its quorum.
type InsufficientShardsError struct {
	Need   int              // how many shards the Policy wants
	Well   int              // how many are, at the most, or have succeeded
	Of     int              // how many were to be asked
	Errors map[string]error // of the shards that failed, by their IDs
}

// Error gives the numbers and the errors.
func (e *InsufficientShardsError) Error() string {
	return fmt.Sprintf("fleet: %d of %d shards are well, and %d are needed%s", e.Well, e.Of, e.Need, listed(e.Errors))
}

// Unwrap returns the errors, so that errors.Is and errors.As reach through.
func (e *InsufficientShardsError) Unwrap() []error { return slices.Collect(maps.Values(e.Errors)) }

func (p Policy) check() error {
	switch {
	case p.Shards != nil && len(p.Shards) == 0:
		return option("Policy.Shards", "empty", "must be nil, for all shards, or name one")
	case p.Quorum < 0 || p.Quorum > MaxShards:
		return option("Policy.Quorum", p.Quorum, fmt.Sprintf("must be 0 to %d", MaxShards))
	case !(p.QuorumPct >= 0 && p.QuorumPct <= 100): // also NaN
		return option("Policy.QuorumPct", p.QuorumPct, "must be 0 to 100")
	case p.Quorum > 0 && p.QuorumPct > 0:
		return option("Policy.QuorumPct", p.QuorumPct, "must be 0 where Quorum is set")
	case p.Timeout < 0:
		return option("Policy.Timeout", p.Timeout, "must not be below 0")
	case p.Parallel < 0:
		return option("Policy.Parallel", p.Parallel, "must not be below 0 (16)")
	}
	return nil
}

// need is how many of so many shards must be well.
func (p Policy) need(of int) int {
	return max(p.Quorum, int(math.Ceil(p.QuorumPct*float64(of)/100)))
}

func (p Policy) parallel() int {
	if p.Parallel == 0 {
		return partsAtOnce
	}
	return p.Parallel
}

// panel is the shards that a call asks, and how they fare.
type panel[K comparable, V any] struct {
	fleet   *Fleet[K, V]
	op      Op
	policy  Policy
	members []*member[K, V] // to ask
	unknown int             // IDs that no shard has
	start   time.Time
	tally
}

// convene returns the panel of a call, or why there is none. lacks says what a
// shard cannot do that the call needs.
func (f *Fleet[K, V]) convene(op Op, p Policy, lacks func(*member[K, V]) error) (*panel[K, V], error) {
	c := &panel[K, V]{fleet: f, op: op, policy: p, start: time.Now()}
	if f.closed.Load() {
		return c, ErrClosed
	}
	if err := p.check(); err != nil {
		return c, err
	}
	if p.Timeout == 0 {
		c.policy.Timeout = f.opts.Timeout
	}
	asked, err := c.choose(f.placed.Load().all)
	if err != nil {
		return c, err
	}
	c.tally = tally{
		tolerant: p.BestEffort || p.Quorum > 0 || p.QuorumPct > 0,
		need:     p.need(len(asked)),
		of:       len(asked),
		failed:   map[string]error{},
		open:     make(chan struct{}),
		stop:     func(error) {},
	}
	if c.need == 0 {
		close(c.open)
	}
	for _, m := range asked {
		switch err := lacks(m); {
		case !m.healthy():
			c.fail(m.shard.ID, ErrUnhealthy)
		case err != nil:
			c.fail(m.shard.ID, err)
		default:
			c.members = append(c.members, m)
		}
	}
	if c.over || c.shortLocked() || len(c.members) == 0 {
		return c, c.err()
	}
	return c, nil
}

// choose returns the members that the Policy names, in the order of the topology.
func (c *panel[K, V]) choose(l *layout[K, V]) ([]*member[K, V], error) {
	if c.policy.Shards == nil {
		return l.members, nil
	}
	chosen := make([]bool, len(l.members))
	for n, id := range c.policy.Shards {
		i, known := l.at[id]
		switch {
		case known:
			chosen[i] = true
		case c.policy.Lenient:
			c.unknown++
		default:
			return nil, option(fmt.Sprintf("Policy.Shards[%d]", n), fmt.Sprintf("%q", id), "must be the ID of a shard of the fleet")
		}
	}
	c.fleet.numbers.unknown.Add(uint64(c.unknown))
	var asked []*member[K, V]
	for i, m := range l.members {
		if chosen[i] {
			asked = append(asked, m)
		}
	}
	return asked, nil
}

// tally is how the shards of a call fare.
type tally struct {
	tolerant bool // of shards that fail
	need, of int
	open     chan struct{}           // closed when as many answered as need be
	stop     context.CancelCauseFunc // ends the calls under way; set before there are any

	mu       sync.Mutex
	answered int              // guarded by mu
	ended    int              // guarded by mu; well
	over     bool             // guarded by mu; the call has failed, whatever comes now
	failed   map[string]error // guarded by mu
}

// fail takes note that a shard has failed. Errors that come after the call has are
// its consequences.
func (t *tally) fail(id string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return
	}
	t.failed[id] = err
	if !t.tolerant || t.shortLocked() {
		t.over = true
		t.stop(errStopped)
	}
}

// shortLocked reports whether there is no quorum, and can be none.
func (t *tally) shortLocked() bool { return t.answered < t.need && t.of-len(t.failed) < t.need }

// answer takes note that a shard is well.
func (t *tally) answer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.answered++; t.answered == t.need {
		close(t.open)
	}
}

// finish takes note that a shard went well to its end.
func (t *tally) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended++
}

// err returns what the failures come to.
func (t *tally) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.shortLocked():
		return &InsufficientShardsError{Need: t.need, Well: t.of - len(t.failed), Of: t.of, Errors: maps.Clone(t.failed)}
	case len(t.failed) > 0:
		return &ShardErrors{Errors: maps.Clone(t.failed), Partial: t.ended > 0}
	}
	return nil
}
