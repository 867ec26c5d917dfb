package fleet

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// Whoever loads a key of a group has its lease where it reads and at the key's holder,
// each for the entry that it stores there. It gets them one after the other, and one who
// finds the entry at the next stores it under the leases that it has.

// LeaseLife is the least of the replicas' own.
func (r *replicas[K, V]) LeaseLife() (life time.Duration) {
	for i := range r.all {
		if own := r.all[i].leaser.LeaseLife(); i == 0 || own < life {
			life = own
		}
	}
	return life
}

// Acquire is AcquireMany of one key.
func (r *replicas[K, V]) Acquire(ctx context.Context, key K, q corral.LeaseRequest[V]) (corral.Lease[V], error) {
	leases, err := r.AcquireMany(ctx, []K{key}, []corral.LeaseRequest[V]{q})
	return first(leases), manykeys.Of(err, key)
}

// AcquireMany asks for the leases of keys step by step.
func (r *replicas[K, V]) AcquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if err := manykeys.Fit("fleet", len(keys), "requests", len(requests)); err != nil {
		return nil, err
	}
	ways, err := r.ways(keys)
	if err != nil {
		return nil, err
	}
	c := &claims[K, V]{group: r, ctx: ctx, keys: keys, all: make([]claim[K, V], len(keys))}
	for i, key := range keys {
		c.all[i] = claim[K, V]{way: ways[i], request: requests[i]}
		r.waits.note(key, false)
	}
	inRounds(keys, func(i, round int) *replica[K, V] {
		if c.all[i].over {
			return nil
		}
		m := c.all[i].at(round)
		if m != nil && len(c.all[i].held) > 0 && (ctx.Err() != nil || !r.inForce()) {
			c.all[i].over, c.all[i].err = true, errReplaced
			return nil
		}
		return m
	}, c.ask, c.answered)
	c.settle()
	c.look()
	leases := make([]corral.Lease[V], len(keys))
	return leases, manykeys.Each(keys, func(i int) (err error) {
		leases[i], err = c.all[i].result()
		return err
	})
}

// claims are what a call of AcquireMany asks for.
type claims[K comparable, V any] struct {
	group *replicas[K, V]
	ctx   context.Context // of the call
	keys  []K
	all   []claim[K, V]
	found []int // whose entry was found after leases were held
}

// claim is that of one key.
type claim[K comparable, V any] struct {
	way[K, V]
	request corral.LeaseRequest[V]
	held    []holding[K, V]
	empty   bool            // nothing is stored where leases are held
	lease   corral.Lease[V] // what a step came to
	from    *replica[K, V]  // where the entry was found
	asked   int             // steps
	over    bool            // nothing more is asked, and what is held is not wanted
	lost    bool            // a lease under which the entry was to be stored
	err     error
}

// holding is a lease at a replica.
type holding[K comparable, V any] struct {
	at    *replica[K, V]
	token string
}

func (c *claim[K, V]) result() (corral.Lease[V], error) {
	switch {
	case c.over:
		return c.lease, c.err
	case len(c.held) == 0: // every replica failed
		return corral.Lease[V]{}, c.err
	}
	return corral.Lease[V]{State: corral.LeaseHeld, Token: sealed(c.held), Empty: c.empty}, nil
}

// ask asks a replica for the leases of keys. What it has that is not newer than what the
// caller has seen it is asked for again: a copy of that would be of no use.
func (c *claims[K, V]) ask(m *replica[K, V], _ int, keys []K, at []int) error {
	asks, acquire := make([]corral.LeaseRequest[V], len(keys)), m.acquireSome
	for j, i := range at {
		if asks[j] = c.all[i].request; len(c.all[i].held) > 0 {
			asks[j].Seen = nil // which may be another replica's
			acquire = m.acquireToCopy
		}
	}
	leases, err := acquire(c.ctx, keys, asks)
	if !manykeys.Partial[K](err) {
		return err
	}
	var again batch[K]
	var asksAgain []corral.LeaseRequest[V]
	for j, i := range at {
		q := &c.all[i]
		q.lease = leases[j]
		if q.lease.State == corral.LeaseHeld {
			q.lease.Token = cmp.Or(q.lease.Token, asks[j].Token)
		}
		if q.lease.State == corral.LeaseChanged && manykeys.Of(err, keys[j]) == nil && q.known(m.plain != nil) {
			again.add(keys[j], "", i)
			asks[j].Seen = q.lease.Entry
			asksAgain = append(asksAgain, asks[j])
		}
	}
	if len(again.keys) == 0 {
		return err
	}
	leases, failed := acquire(c.ctx, again.keys, asksAgain)
	if manykeys.Partial[K](failed) {
		for j, i := range again.at {
			if c.all[i].lease = leases[j]; leases[j].State == corral.LeaseHeld {
				c.all[i].lease.Token = cmp.Or(leases[j].Token, asksAgain[j].Token)
			}
		}
	}
	return manykeys.Join(keys, err, manykeys.Join(again.keys, failed))
}

// inForce reports whether calls go by these replicas all the while.
func (r *replicas[K, V]) inForce() bool { return r.placed == nil || r.fleet.still(r.placed) }

// newerBy is how far apart the clocks of two replicas may be that say when an entry was
// loaded. What is loaded before half of its TTL is over was not wanted.
const newerBy = time.Second

// known reports whether what was found is what the caller has seen, of which the first
// replica has given the lease.
func (c *claim[K, V]) known(plain bool) bool {
	found, seen := c.lease.Entry, c.request.Seen
	switch {
	case len(c.held) == 0 || found == nil || seen == nil:
		return false
	case c.empty && found.Version != seen.Version: // what is not in the first replica was seen here, or is gone
		return false
	case plain:
		return found.Keep <= seen.Keep+ttlMargin
	case found.LoadedAt.IsZero() || seen.LoadedAt.IsZero():
		return true
	}
	apart := found.LoadedAt.Sub(seen.LoadedAt)
	if apart > -newerBy && apart < newerBy && ((found.TTL-seen.TTL).Abs() > ttlMargin || (found.LoadTime-seen.LoadTime).Abs() > ttlMargin) {
		return false // another load
	}
	return apart < min(newerBy, max(1, seen.TTL/2))
}

// answered notes what a step came to.
func (c *claims[K, V]) answered(m *replica[K, V], i int, err error) {
	q := &c.all[i]
	q.asked++
	switch {
	case err != nil && c.ctx.Err() == nil && m.vitals.classify(err) != NoFault:
		if q.err = err; len(q.held) > 0 {
			c.group.fleet.copyError(c.ctx, m.member, err)
		}
		return // the others will do
	case err != nil:
		q.over, q.err, q.lease = true, err, corral.Lease[V]{}
	case q.lease.State == corral.LeaseHeld:
		q.empty = q.lease.Empty && (q.empty || len(q.held) == 0)
		q.held = append(q.held, holding[K, V]{m, q.lease.Token})
	case q.lease.State == corral.LeaseChanged && len(q.held) > 0 && q.lease.Entry != nil:
		q.over, q.err, q.from = true, nil, m
		q.lease.Entry = endsBy(q.lease.Entry, c.group.fleet.opts.MaxLife)
		c.found = append(c.found, i)
	default:
		q.over, q.err = true, nil
		if len(q.held) > 0 { // who loads there stores there, and from there we copy
			q.lease.Empty = q.lease.Empty && q.empty
			c.group.waits.note(c.keys[i], true)
		}
	}
}

// settle stores what was found under the leases that are held, and gives back those that
// are not wanted.
func (c *claims[K, V]) settle() {
	into := make([][]holding[K, V], len(c.keys))
	for _, i := range c.found {
		q, rest := &c.all[i], []holding[K, V](nil)
		for _, h := range q.held {
			if q.before(q.from, h.at) && c.ctx.Err() == nil {
				into[i] = append(into[i], h)
			} else {
				rest = append(rest, h)
			}
		}
		q.held = rest
	}
	eachHeld(c.keys, into, func(m *replica[K, V], keys []K, tokens []string, at []int) error {
		entries := make([]*corral.Entry[V], len(at))
		for j, i := range at {
			entries[j] = c.all[i].lease.Entry
		}
		return m.fillSome(c.ctx, keys, tokens, entries)
	}, func(h holding[K, V], i int, err error) {
		switch q := &c.all[i]; {
		case errors.Is(err, corral.ErrLeaseLost): // a write came, and what was found is what it replaced
			q.lost = true
		case err != nil && c.ctx.Err() != nil:
			q.held = append(q.held, h)
		case err != nil:
			c.group.fleet.copyError(c.ctx, h.at.member, err)
		}
	})
	back := make([][]holding[K, V], len(c.keys))
	for i := range c.all {
		q := &c.all[i]
		if q.lost {
			q.lease = corral.Lease[V]{State: corral.LeaseBusy, Left: time.Millisecond, Empty: true}
		}
		if q.over {
			back[i] = q.held
		}
	}
	eachHeld(c.keys, back, func(m *replica[K, V], keys []K, tokens []string, _ []int) error {
		c.group.fleet.giveBack(c.ctx, func(ctx context.Context) error { return m.releaseSome(ctx, keys, tokens) })
		return nil
	}, func(holding[K, V], int, error) {})
}

// look finds out whether what is busy where this process reads is stored at the holder.
func (c *claims[K, V]) look() {
	inRounds(c.keys, func(i, round int) *replica[K, V] {
		q := &c.all[i]
		if q.err != nil || q.lost || !q.over || len(q.held) > 0 || q.lease.State != corral.LeaseBusy || !q.lease.Empty {
			return nil
		}
		return q.at(q.asked + round)
	}, func(m *replica[K, V], _ int, keys []K, at []int) error {
		entries, err := m.getSome(c.ctx, keys)
		for j, i := range at {
			if manykeys.Partial[K](err) && entries[j] != nil {
				c.all[i].lease.Empty = false
			}
		}
		return err
	}, func(*replica[K, V], int, error) {})
}

// eachHeld calls, for each key, the replicas where leases of it are held, the last first.
func eachHeld[K comparable, V any](keys []K, held [][]holding[K, V],
	call func(m *replica[K, V], keys []K, tokens []string, at []int) error, then func(h holding[K, V], i int, err error)) {
	turn := func(i, round int) *holding[K, V] {
		if n := len(held[i]) - 1 - round; n >= 0 {
			return &held[i][n]
		}
		return nil
	}
	rounds := make([]int, len(keys))
	inRounds(keys, func(i, round int) *replica[K, V] {
		rounds[i] = round
		if h := turn(i, round); h != nil {
			return h.at
		}
		return nil
	}, func(m *replica[K, V], round int, keys []K, at []int) error {
		tokens := make([]string, len(at))
		for j, i := range at {
			tokens[j] = turn(i, round).token
		}
		return call(m, keys, tokens, at)
	}, func(_ *replica[K, V], i int, err error) { then(*turn(i, rounds[i]), i, err) })
}
