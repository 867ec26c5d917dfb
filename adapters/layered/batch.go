package layered

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
)

var (
	_ corral.BatchCache[string, any]  = (*Cache[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*Cache[string, any])(nil)
)

// GetMany is Get of every key: far is asked once, for those that near has not. A
// far cache that is no [corral.BatchCache] is asked by single calls, 16 at a time;
// so it is with the other calls of many keys.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	entries, err := (*nearLayer[K, V])(c).getMany(ctx, keys)
	c.reportMany(keys, err)
	var missing []K
	var at []int
	for i, e := range entries {
		if e == nil {
			missing, at = append(missing, keys[i]), append(at, i)
		}
	}
	if len(missing) == 0 {
		return entries, nil
	}
	found, err := c.readFarMany(ctx, missing)
	for j, i := range at {
		entries[i] = found[j]
	}
	if err == nil || len(missing) == len(keys) {
		return entries, err
	}
	return entries, manykeys.Each(missing, func(i int) error { return manykeys.Of(err, missing[i]) })
}

// SetMany is Set of every key.
func (c *Cache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) (err error) {
	switch err := manykeys.Fit("layered", len(keys), "entries", len(entries)); {
	case err != nil:
		return err
	case c.farMany == nil:
		return manykeys.InTurns(keys, "the far cache", errExited, func(i int) error { return c.Set(ctx, keys[i], entries[i]) })
	}
	writes := c.beginWrites(keys, entries)
	err = errExited // unless far returns
	defer func() { err = c.endSets(ctx, keys, writes, entries, err) }()
	return c.farMany.SetMany(ctx, keys, entries)
}

// DeleteMany is Delete of every key.
func (c *Cache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	if c.farMany == nil {
		return manykeys.InTurns(keys, "the far cache", errExited, func(i int) error { return c.Delete(ctx, keys[i]) })
	}
	writes := c.beginWrites(keys, nil)
	defer func() {
		for _, w := range writes {
			c.endDelete(w)
		}
	}()
	dropped := map[K]error{}
	c.inStripes(writes, func(same []int) { c.dropManyLocked(ctx, keys, same, dropped) })
	err := c.farMany.DeleteMany(ctx, keys)
	if len(dropped) == 0 {
		return err
	}
	return manykeys.Each(keys, func(i int) error {
		if failed := dropped[keys[i]]; failed != nil {
			return errors.Join(fmt.Errorf("layered: near: %w", failed), manykeys.Of(err, keys[i]))
		}
		return manykeys.Of(err, keys[i])
	})
}

// AcquireMany is Acquire of every key.
func (c *Cache[K, V]) AcquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	if err := manykeys.Fit("layered", len(keys), "requests", len(requests)); err != nil {
		return nil, err
	}
	leases := make([]corral.Lease[V], len(keys))
	if c.leaserMany == nil {
		return leases, manykeys.InTurns(keys, "the far cache", errExited, func(i int) (err error) {
			leases[i], err = c.Acquire(ctx, keys[i], requests[i])
			return err
		})
	}
	fills := c.beginFills(keys)
	defer func() {
		for i, f := range fills {
			c.endFill(ctx, f, leases[i].Entry)
		}
	}()
	asked := time.Now()
	answers, err := c.leaserMany.AcquireMany(ctx, keys, c.asks(requests))
	if err == nil {
		err = manykeys.Fit("layered", len(keys), "leases", len(answers))
	}
	for i := range answers[:min(len(answers), len(keys))] {
		if manykeys.Of(err, keys[i]) == nil {
			leases[i] = answers[i]
			leases[i].Entry = c.whole(answers[i].Entry, asked)
		}
	}
	return leases, err
}

// RenewMany is Renew of every key.
func (c *Cache[K, V]) RenewMany(ctx context.Context, keys []K, tokens []string) error {
	switch err := manykeys.Fit("layered", len(keys), "tokens", len(tokens)); {
	case err != nil:
		return err
	case c.leaserMany == nil:
		return manykeys.InTurns(keys, "the far cache", errExited, func(i int) error { return c.Renew(ctx, keys[i], tokens[i]) })
	}
	return c.leaserMany.RenewMany(ctx, keys, tokens)
}

// FillMany is Fill of every key.
func (c *Cache[K, V]) FillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) (err error) {
	switch err := errors.Join(manykeys.Fit("layered", len(keys), "tokens", len(tokens)), manykeys.Fit("layered", len(keys), "entries", len(entries))); {
	case err != nil:
		return err
	case c.leaserMany == nil:
		return manykeys.InTurns(keys, "the far cache", errExited, func(i int) error { return c.Fill(ctx, keys[i], tokens[i], entries[i]) })
	}
	writes := c.beginWrites(keys, entries)
	err = errExited // unless far returns
	defer func() {
		for i, w := range writes {
			c.report(c.endRefill(ctx, w, entries[i], manykeys.Of(err, w.key)))
		}
	}()
	return c.leaserMany.FillMany(ctx, keys, tokens, entries)
}

// ReleaseMany is Release of every key.
func (c *Cache[K, V]) ReleaseMany(ctx context.Context, keys []K, tokens []string) error {
	switch err := manykeys.Fit("layered", len(keys), "tokens", len(tokens)); {
	case err != nil:
		return err
	case c.leaserMany == nil:
		return manykeys.InTurns(keys, "the far cache", errExited, func(i int) error { return c.Release(ctx, keys[i], tokens[i]) })
	}
	return c.leaserMany.ReleaseMany(ctx, keys, tokens)
}

// nearBatch and farBatch are the layers where the cache inside takes many keys.

type nearBatch[K comparable, V any] struct{ *nearLayer[K, V] }

func (n nearBatch[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	return n.getMany(ctx, keys)
}

func (n nearBatch[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	return (*Cache[K, V])(n.nearLayer).SetMany(ctx, keys, entries)
}

func (n nearBatch[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return (*Cache[K, V])(n.nearLayer).DeleteMany(ctx, keys)
}

type farBatch[K comparable, V any] struct{ *farLayer[K, V] }

func (f farBatch[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	return (*Cache[K, V])(f.farLayer).readFarMany(ctx, keys)
}

func (f farBatch[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	return (*Cache[K, V])(f.farLayer).SetMany(ctx, keys, entries)
}

func (f farBatch[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return (*Cache[K, V])(f.farLayer).DeleteMany(ctx, keys)
}

// getMany returns as many entries as keys, whatever near returns.
func (n *nearLayer[K, V]) getMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	entries := make([]*corral.Entry[V], len(keys))
	if n.nearMany == nil {
		return entries, manykeys.Each(keys, func(i int) (err error) {
			entries[i], err = n.Get(ctx, keys[i])
			return err
		})
	}
	copies, err := n.nearMany.GetMany(ctx, keys)
	for i, e := range copies[:min(len(copies), len(keys))] {
		if e != nil && manykeys.Of(err, keys[i]) == nil && n.serves(e) {
			entries[i] = e
		}
	}
	return entries, err
}

// readFarMany is readFar of every key: all fills are registered before far is
// read, and each is detached for itself.
func (c *Cache[K, V]) readFarMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	entries := make([]*corral.Entry[V], len(keys))
	if c.farMany == nil {
		return entries, manykeys.InTurns(keys, "the far cache", errExited, func(i int) (err error) {
			entries[i], err = c.readFar(ctx, keys[i])
			return err
		})
	}
	fills := c.beginFills(keys)
	defer func() {
		for i, f := range fills {
			c.endFill(ctx, f, entries[i])
		}
	}()
	asked := time.Now()
	found, err := c.farMany.GetMany(ctx, keys)
	if err == nil {
		err = manykeys.Fit("layered", len(keys), "entries from far", len(found))
	}
	for i, e := range found[:min(len(found), len(keys))] {
		if manykeys.Of(err, keys[i]) == nil {
			entries[i] = c.whole(e, asked)
		}
	}
	return entries, err
}

func (c *Cache[K, V]) beginFills(keys []K) []fill[K] {
	fills := make([]fill[K], len(keys))
	for i, key := range keys {
		fills[i] = c.beginFill(key)
	}
	return fills
}

func (c *Cache[K, V]) beginWrites(keys []K, entries []*corral.Entry[V]) []fill[K] {
	for _, e := range entries {
		c.learn(e)
	}
	writes := make([]fill[K], len(keys))
	for i, key := range keys {
		writes[i] = c.beginWrite(key)
	}
	return writes
}

// endSets is endSet of every key.
func (c *Cache[K, V]) endSets(ctx context.Context, keys []K, writes []fill[K], entries []*corral.Entry[V], err error) error {
	dropped := map[K]error{}
	var copied []error
	c.inStripes(writes, func(same []int) {
		c.dropManyLocked(ctx, keys, same, dropped)
		for _, i := range same {
			w, e := writes[i], entries[i]
			if dropped[w.key] == nil && manykeys.Of(err, w.key) == nil && e != nil && w.attachedLocked() && c.copies(w, e) {
				copied = append(copied, c.copyLocked(ctx, w, e))
			}
			w.endWriteLocked()
		}
	})
	for _, failed := range copied {
		c.report(failed)
	}
	if len(dropped) == 0 {
		return err
	}
	return manykeys.Each(keys, func(i int) error { return cmp.Or(manykeys.Of(err, keys[i]), dropped[keys[i]]) })
}

// reportMany reports what near said of each key, or of all of them.
func (c *Cache[K, V]) reportMany(keys []K, err error) {
	if !manykeys.Partial[K](err) {
		c.report(err)
		return
	}
	for _, key := range keys {
		c.report(manykeys.Of(err, key))
	}
}

// inStripes calls f once for each stripe, under its lock, with the indices of the
// calls that share it. No two locks are held at a time.
func (c *Cache[K, V]) inStripes(calls []fill[K], f func(same []int)) {
	same := map[*stripe[K]][]int{}
	for i, w := range calls {
		same[w.stripe] = append(same[w.stripe], i)
	}
	for st, indices := range same {
		func() {
			st.mu.Lock()
			defer st.mu.Unlock()
			f(indices)
		}()
	}
}

// dropManyLocked is dropLocked of the keys of one stripe. A near cache that waits
// until its deletions are done does so once for all of them.
func (c *Cache[K, V]) dropManyLocked(ctx context.Context, keys []K, same []int, dropped map[K]error) {
	if c.nearMany == nil || len(same) == 1 {
		for _, i := range same {
			if err := c.dropLocked(ctx, keys[i]); err != nil {
				dropped[keys[i]] = err
			}
		}
		return
	}
	some := make([]K, len(same))
	for j, i := range same {
		some[j] = keys[i]
	}
	err := c.deleteNear(ctx, some)
	for _, key := range some {
		if failed := manykeys.Of(err, key); failed != nil {
			dropped[key] = failed
		}
	}
}

func (c *Cache[K, V]) deleteNear(ctx context.Context, keys []K) (err error) {
	defer bounded.Recover("the near cache", &err)
	return c.nearMany.DeleteMany(context.WithoutCancel(ctx), keys)
}

// serves reports whether a copy may be served.
func (n *nearLayer[K, V]) serves(e *corral.Entry[V]) bool {
	return e.Version > n.era.trusted.Load() || n.era.serves(e.Version, n.opts.Unheard)
}

// whole makes of what far returned, when it was asked, an entry with its times.
func (c *Cache[K, V]) whole(e *corral.Entry[V], asked time.Time) *corral.Entry[V] {
	if c.plain == nil || e == nil {
		return e
	}
	return c.entry(e.Value, e.Keep, asked)
}

// asks speaks far's language: entries as its Get returns them.
func (c *Cache[K, V]) asks(requests []corral.LeaseRequest[V]) []corral.LeaseRequest[V] {
	if c.plain == nil {
		return requests
	}
	bare := slices.Clone(requests)
	for i, r := range bare {
		if r.Seen != nil {
			bare[i].Seen = &corral.Entry[V]{Value: r.Seen.Value, Keep: r.Seen.Keep}
		}
	}
	return bare
}
