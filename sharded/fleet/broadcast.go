package fleet

import (
	"context"
	"sync"

	"github.com/corralcache/corral"
)

// Broadcast calls fn with the cache of each shard that p names, some at a time, and
// returns the error of each by its ID, nil for those that went well. err is nil if
// all did. Else it is what [Policy] says; the cause of ctx, if that ended; or, with
// no results, an [*corral.OptionError] for a Policy that cannot work.
//
// fn is called concurrently, and should give up when its context ends: it does after
// Policy.Timeout, and when the whole call has failed. One that does not is left
// behind. A panic of fn is its shard's error. The results of shards that were not
// called, because others had failed before, are errors.
func (f *Fleet[K, V]) Broadcast(ctx context.Context, p Policy, fn func(ctx context.Context, s Shard, cache corral.Cache[K, V]) error) (results map[string]error, err error) {
	c, err := f.convene(OpBroadcast, p, func(*member[K, V]) error { return nil })
	defer func() { c.end(ctx, End{Outcome: outcomeOf(ctx, err), Err: err}) }()
	if fn == nil {
		return nil, option("Broadcast: fn", "nil", "required")
	}
	if err != nil {
		return c.results(nil), err
	}
	told := c.callAll(ctx, fn)
	if err = c.err(); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.results(told), err
}

// callAll returns the error of each member.
func (c *panel[K, V]) callAll(ctx context.Context, fn func(context.Context, Shard, corral.Cache[K, V]) error) []error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	c.stop = stop
	told := make([]error, len(c.members))
	room := make(chan struct{}, c.policy.parallel())
	var all sync.WaitGroup
	for i, m := range c.members {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			told[i] = c.call(ctx, m, fn)
		})
	}
	all.Wait()
	return told
}

func (c *panel[K, V]) call(ctx context.Context, m *member[K, V], fn func(context.Context, Shard, corral.Cache[K, V]) error) error {
	err := context.Cause(ctx)
	if err != nil {
		c.fail(m.shard.ID, err)
		return err
	}
	_, _, err = ask(ctx, c, m, func(struct{}) int { return 0 }, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, fn(ctx, m.shard, m.tiers[whole].cache)
	})
	if err != nil {
		c.fail(m.shard.ID, err)
		return err
	}
	c.answer()
	c.finish()
	return nil
}

// results returns what each shard came to: those that were not asked failed before.
func (c *panel[K, V]) results(told []error) map[string]error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil { // no shard was chosen
		return nil
	}
	results := make(map[string]error, c.of)
	for id, err := range c.failed {
		results[id] = err
	}
	for i, m := range c.members {
		switch {
		case told == nil:
			results[m.shard.ID] = errStopped
		case results[m.shard.ID] == nil:
			results[m.shard.ID] = told[i]
		}
	}
	return results
}
