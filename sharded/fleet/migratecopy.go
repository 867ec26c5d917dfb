package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// copying is the copy of a batch of keys from one shard to another.
type copying[K comparable, V any] struct {
	fleet    *Fleet[K, V]
	by       *placement[K, V]
	opts     *MigrateOptions
	from, to *member[K, V]
	keys     []K
	sum      ShardReport
}

// releaseTimeout bounds the return of leases after the context has ended.
const releaseTimeout = time.Second

// run copies, by leases where there are some. With an error none of it counts.
func (c *copying[K, V]) run(ctx context.Context) (ShardReport, error) {
	run := c.private
	if c.to.leaser != nil {
		run = c.leased
	}
	if err := run(ctx); err != nil {
		return ShardReport{}, err
	}
	return c.sum, nil
}

// leased does, with all keys at a time, what [leasing.Acquire] does for one.
func (c *copying[K, V]) leased(ctx context.Context) error {
	leases, err := c.to.acquireMany(ctx, c.keys, requests[V](len(c.keys)))
	if !manykeys.Partial[K](err) || len(leases) != len(c.keys) {
		return errors.Join(err, manykeys.Fit("fleet", len(c.keys), "leases of a shard", len(leases)))
	}
	var held batch[K]
	var present []K
	for i, key := range c.keys {
		switch l := leases[i]; {
		case manykeys.Of(err, key) != nil:
			c.sum.Failed++
		case l.State == corral.LeaseChanged:
			present = append(present, key)
		case l.State == corral.LeaseBusy: // somebody copies it, or loads
			c.sum.Skipped++
		default:
			held.add(key, l.Token, i)
		}
	}
	if err = c.retirePresent(ctx, present); err == nil {
		err = c.inForce(ctx)
	}
	if err != nil {
		c.release(ctx, held)
		return err
	}
	if len(held.keys) == 0 {
		return nil
	}
	return c.fill(ctx, held)
}

// inForce returns an error if keys may no longer move as the copy has it. It is asked
// when writes can end the copy, and before that reads.
func (c *copying[K, V]) inForce(ctx context.Context) error {
	p, err := c.fleet.inForce(ctx)
	if err == nil && p != c.by {
		err = errOver
	}
	return err
}

// requests returns n for the leases of what may be stored.
func requests[V any](n int) []corral.LeaseRequest[V] {
	all := make([]corral.LeaseRequest[V], n)
	for i := range all {
		all[i].Token = rand.Text()
	}
	return all
}

// retirePresent deletes at the old shard what is at the new one.
func (c *copying[K, V]) retirePresent(ctx context.Context, keys []K) error {
	c.sum.Present += len(keys)
	if len(keys) == 0 {
		return nil
	}
	entries, err := c.read(ctx, c.from, keys)
	if err != nil {
		return err
	}
	return c.retire(ctx, keys, entries)
}

// read returns entries; nil also for a key that has an error of its own, and for what is
// fenced: at another shard nobody would know.
func (c *copying[K, V]) read(ctx context.Context, m *member[K, V], keys []K) ([]*corral.Entry[V], error) {
	mark := m.mark()
	entries, err := m.tiers[whole].getMany(ctx, keys)
	if !manykeys.Partial[K](err) || len(entries) != len(keys) {
		return nil, errors.Join(err, manykeys.Fit("fleet", len(keys), "entries of a shard", len(entries)))
	}
	return m.hide(mark, keys, entries), nil
}

// readToCopy is read of the old shard; see [member.proven].
func (c *copying[K, V]) readToCopy(ctx context.Context, keys []K) (entries []*corral.Entry[V], err error) {
	failed := c.from.proven(ctx, func() (found bool) {
		entries, err = c.read(ctx, c.from, keys)
		return slices.ContainsFunc(entries, func(e *corral.Entry[V]) bool { return e != nil })
	})
	return entries, errors.Join(err, failed)
}

// fill reads what the leases are held of, and stores it under them.
func (c *copying[K, V]) fill(ctx context.Context, held batch[K]) error {
	entries, err := c.readToCopy(ctx, held.keys)
	if err != nil {
		c.release(ctx, held)
		return err
	}
	var found, none batch[K]
	var values []*corral.Entry[V]
	for i, key := range held.keys {
		if entries[i] == nil { // deleted meanwhile, or over
			c.sum.Skipped++
			none.add(key, held.tokens[i], i)
			continue
		}
		c.fleet.numbers.moved.found.Add(1)
		found.add(key, held.tokens[i], i)
		values = append(values, endsBy(entries[i], c.fleet.opts.MaxLife))
	}
	c.release(ctx, none)
	if len(found.keys) == 0 {
		return nil
	}
	failed := c.to.fillMany(ctx, found.keys, found.tokens, values)
	if !manykeys.Partial[K](failed) {
		c.release(ctx, found)
		return failed
	}
	var stored []K
	var as []*corral.Entry[V]
	for i, key := range found.keys {
		err := manykeys.Of(failed, key)
		c.fleet.numbers.moved.stored(err)
		switch {
		case err == nil:
			stored, as = append(stored, key), append(as, entries[found.at[i]])
		case errors.Is(err, corral.ErrLeaseLost), errors.Is(err, corral.ErrRefused):
			c.sum.Skipped++
		default:
			c.sum.Failed++
		}
	}
	return c.verify(ctx, stored, as)
}

// release gives leases back, also after ctx has ended.
func (c *copying[K, V]) release(ctx context.Context, those batch[K]) {
	if len(those.keys) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_ = c.to.releaseMany(ctx, those.keys, those.tokens) // else they end by themselves
}

// verify reads back what was stored, and retires what is as it was.
func (c *copying[K, V]) verify(ctx context.Context, keys []K, as []*corral.Entry[V]) error {
	if len(keys) == 0 {
		return nil
	}
	back, err := c.read(ctx, c.to, keys)
	if err != nil {
		return err
	}
	var good, bad []K
	var were, are []*corral.Entry[V]
	for i, key := range keys {
		switch verdict := c.compare(as[i], back[i]); verdict {
		case isSame:
			good, were = append(good, key), append(were, as[i])
			c.count(key, as[i])
		case isNewer:
			c.sum.Skipped++
		default:
			bad, are = append(bad, key), append(are, back[i])
			c.sum.Mismatched++
		}
	}
	if err := deleteIf(ctx, c.to, bad, are, nil); err != nil {
		return err
	}
	return c.retire(ctx, good, were)
}

func (c *copying[K, V]) count(key K, e *corral.Entry[V]) {
	c.sum.Copied++
	c.sum.Bytes += int64(max(0, c.opts.Size(e.Value)))
}

// retire deletes keys at the old shard that still have these entries, and that nobody
// loads there.
func (c *copying[K, V]) retire(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	return deleteIf(ctx, c.from, keys, entries, &c.sum.Retired)
}

// deleteIf deletes keys that have these entries, and counts them: it asks for the lease
// of what has not changed, and fills it with nothing.
func deleteIf[K comparable, V any](ctx context.Context, m *member[K, V], keys []K, entries []*corral.Entry[V], count *int) error {
	var there []K
	var asks []corral.LeaseRequest[V]
	for i, key := range keys {
		if entries[i] != nil {
			there = append(there, key)
			asks = append(asks, corral.LeaseRequest[V]{Token: rand.Text(), Seen: entries[i]})
		}
	}
	if len(there) == 0 {
		return nil
	}
	leases, err := m.acquireMany(ctx, there, asks)
	if !manykeys.Partial[K](err) || len(leases) != len(there) {
		return errors.Join(err, manykeys.Fit("fleet", len(there), "leases of a shard", len(leases)))
	}
	var held batch[K]
	for i, key := range there {
		if manykeys.Of(err, key) == nil && leases[i].State == corral.LeaseHeld {
			token := leases[i].Token
			if token == "" {
				token = asks[i].Token
			}
			held.add(key, token, i)
		}
	}
	if len(held.keys) == 0 {
		return nil
	}
	err = m.fillMany(ctx, held.keys, held.tokens, make([]*corral.Entry[V], len(held.keys)))
	if !manykeys.Partial[K](err) {
		return err
	}
	for _, key := range held.keys {
		if count != nil && manykeys.Of(err, key) == nil {
			*count++
		}
	}
	return nil
}

// verdict says what became of an entry that was copied.
type verdict int

const (
	isSame  verdict = iota
	isNewer         // replaced meanwhile, or gone
	isOther
)

// clockMargin is how far apart the clocks of two stores may be that tell when an entry
// was loaded, and ttlMargin what they round.
const (
	clockMargin = time.Second
	ttlMargin   = 2 * time.Millisecond
)

// compare says whether what is there is what was copied: as far as entries tell, since
// each store has its own bytes.
func (c *copying[K, V]) compare(copied, back *corral.Entry[V]) verdict {
	if back == nil {
		return isNewer
	}
	apart := back.LoadedAt.Sub(copied.LoadedAt)
	if back.LoadedAt.IsZero() || copied.LoadedAt.IsZero() {
		apart = 0
	}
	switch {
	case apart > clockMargin:
		return isNewer
	case apart < -clockMargin, (back.TTL - copied.TTL).Abs() > ttlMargin, back.Absent != copied.Absent:
		return isOther
	case !back.Absent && !c.opts.Equal(copied.Value, back.Value):
		return isOther
	}
	return isSame
}

// private copies between shards in this process's memory, key by key: a write detaches
// the copy of its key.
func (c *copying[K, V]) private(ctx context.Context) error {
	for _, key := range c.keys {
		own := c.fleet.copies.begin(key)
		if own == nil { // a call copies it
			c.sum.Skipped++
			continue
		}
		err := c.privateOne(ctx, key, own)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copying[K, V]) privateOne(ctx context.Context, key K, own *aCopy) error {
	defer c.fleet.copies.end(key, own)
	if err := c.inForce(ctx); err != nil {
		return err
	}
	from, to := &c.from.tiers[whole], &c.to.tiers[whole]
	there, err := to.cache.Get(ctx, key)
	if err != nil {
		return err
	}
	if there != nil {
		c.sum.Present++
		return c.retireOne(ctx, key)
	}
	mark := c.from.mark()
	e, err := from.cache.Get(ctx, key)
	if err != nil {
		return err
	}
	if e == nil || c.from.hidesEntry(mark, key, e) {
		c.sum.Skipped++
		return nil
	}
	moved := &c.fleet.numbers.moved
	moved.found.Add(1)
	if !c.fleet.copies.mayStore(own) {
		moved.refused.Add(1)
		c.sum.Skipped++
		return nil
	}
	err = to.cache.Set(ctx, key, endsBy(e, c.fleet.opts.MaxLife))
	c.fleet.clearCopy(ctx, c.by, key)
	if moved.stored(err); err != nil {
		if errors.Is(err, corral.ErrRefused) {
			c.sum.Skipped++
			return nil
		}
		return err
	}
	if c.to.settler != nil {
		if err := c.to.settler.Settle(ctx, key); err != nil {
			return err
		}
	}
	if there, err = to.cache.Get(ctx, key); err != nil {
		return err
	}
	switch c.compare(e, there) {
	case isSame:
		c.count(key, e)
		return c.retireOne(ctx, key)
	case isNewer:
		c.sum.Skipped++
		return nil
	}
	c.sum.Mismatched++
	return to.cache.Delete(ctx, key)
}

func (c *copying[K, V]) retireOne(ctx context.Context, key K) error {
	err := c.from.tiers[whole].cache.Delete(ctx, key)
	if err == nil {
		c.sum.Retired++
	}
	return err
}
