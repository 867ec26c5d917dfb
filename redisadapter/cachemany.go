package redisadapter

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// GetMany returns the entries of keys, in their order, nil for a miss: one MGET
// through a *redis.Client, else one pipeline of GETs for each node. A
// [*corral.KeyErrors] says which keys failed; the errors are those of Get, but
// that to MGET a key that holds no string is a miss.
//
// More than 1,024 keys of a node are several round trips, here as in the other
// calls with many keys.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	return many(ctx, &c.server, keys, c.server.timer.beforeRead, func(ctx context.Context, b batch) []reply[*corral.Entry[V]] {
		if !c.server.one || c.server.apart.Load() {
			return exchange(ctx, &c.server, b, c.queueGet)
		}
		return c.mget(ctx, b)
	})
}

func (c *Cache[K, V]) queueGet(pipe redis.Pipeliner, it item) (int, func(trip) (*corral.Entry[V], error)) {
	get := pipe.Get(context.Background(), it.name)
	return 0, func(t trip) (*corral.Entry[V], error) {
		answered(t.err, get) // an empty answer is none, or no entry
		data, err := get.Bytes()
		switch {
		case errors.Is(err, redis.Nil):
			return nil, nil
		case err != nil:
			return nil, failed("GET", err)
		}
		return c.open(it.place, data)
	}
}

// mget reads the items with one command for many.
func (c *Cache[K, V]) mget(ctx context.Context, b batch) []reply[*corral.Entry[V]] {
	got := make([]reply[*corral.Entry[V]], 0, len(b.items))
	for left, asks := b.items, b.asks; len(left) > 0; asks = false {
		if ctx.Err() != nil {
			return append(got, none[*corral.Entry[V]](batch{items: left}, context.Cause(ctx))...)
		}
		part := left[:min(len(left), partKeys)]
		values, err := c.values(context.WithoutCancel(ctx), part, asks)
		if splits(err) {
			c.server.apart.Store(true)
			return append(got, exchange(ctx, &c.server, batch{items: left}, c.queueGet)...)
		}
		for i, it := range part {
			r := reply[*corral.Entry[V]]{err: err}
			if err == nil {
				r.value, r.err = c.found(it.place, values[i])
			}
			got = append(got, r)
		}
		left = left[len(part):]
	}
	return got
}

// values returns what MGET says.
func (c *Cache[K, V]) values(ctx context.Context, items []item, asks bool) ([]any, error) {
	names := make([]string, len(items))
	for i, it := range items {
		names[i] = it.name
	}
	values, err := ride(ctx, c.server.timer, asks, func(r redis.Cmdable) *redis.SliceCmd { return r.MGet(ctx, names...) }).Result()
	if err == nil && len(values) != len(items) {
		err = errReply
	}
	return values, failed("MGET", err)
}

// splits reports whether err is about MGET, and GET might do: the user may not
// call it, or what looks like one server is the front of a Cluster.
func splits(err error) bool { return forbidden(err) || redis.HasErrorPrefix(err, "CROSSSLOT") }

// found returns the entry that MGET found.
func (c *Cache[K, V]) found(p place, value any) (*corral.Entry[V], error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case string:
		return c.open(p, []byte(value))
	default:
		return nil, failed("MGET", errReply)
	}
}

// SetMany is Set of entries[i] under keys[i], for all of them in one round trip
// to each node. A [*corral.KeyErrors] says which keys failed; the errors are those
// of Set.
func (c *Cache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := fits("SetMany", len(keys), len(entries)); err != nil {
		return err
	}
	return c.server.storeMany(ctx, keys, c.beforeSealed, c.sealAll(entries))
}

// beforeSealed is what comes before writes of which the time is part: entries
// cannot be sealed while it is unknown.
func (c *Cache[K, V]) beforeSealed(ctx context.Context) (bool, error) {
	if err := c.server.timer.know(ctx); err != nil {
		return false, err
	}
	return c.server.beforeWrite(ctx)
}

// sealAll returns what seals the entry of an item.
func (c *Cache[K, V]) sealAll(entries []*corral.Entry[V]) sealing {
	entries = slices.Clone(entries)
	return func(it item) ([]byte, time.Duration, error) {
		return c.seal(context.Background(), it.place, entries[it.at])
	}
}

// DeleteMany is Delete of each key, for all of them in one round trip to each
// node. A [*corral.KeyErrors] says which keys failed.
func (c *Cache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return c.server.storeMany(ctx, keys, c.server.beforeWrite, sealNothing)
}

// AcquireMany is Acquire of keys[i] with requests[i], for all of them in one round
// trip to each node. A [*corral.KeyErrors] says which keys failed; the errors are
// those of Acquire.
func (c *Cache[K, V]) AcquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	return acquireMany(ctx, &c.server, keys, acquisition[V]{
		script:   scriptAcquire,
		requests: requests,
		seen:     seenVersion[V],
		changed:  c.changed,
	})
}

// RenewMany is Renew of keys[i] with tokens[i], for all of them in one round trip
// to each node. A [*corral.KeyErrors] says which keys failed, those whose lease is
// lost with [corral.ErrLeaseLost].
func (c *Cache[K, V]) RenewMany(ctx context.Context, keys []K, tokens []string) error {
	return c.server.renewMany(ctx, keys, tokens)
}

// FillMany is Fill of keys[i] with tokens[i] and entries[i], for all of them in
// one round trip to each node; each key by itself is filled in one step. A
// [*corral.KeyErrors] says which keys failed; the errors are those of Fill.
func (c *Cache[K, V]) FillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := fits("FillMany", len(keys), len(entries)); err != nil {
		return err
	}
	entries = slices.Clone(entries)
	isEntry := func(e *corral.Entry[V]) bool { return e != nil }
	before := c.server.beforeScript
	if slices.ContainsFunc(entries, isEntry) {
		before = c.beforeSealed
	}
	seal := c.sealAll(entries)
	return c.server.fillMany(ctx, keys, tokens, before, func(it item) ([]byte, time.Duration, error) {
		if !isEntry(entries[it.at]) {
			return nil, 0, nil
		}
		return seal(it)
	})
}

// ReleaseMany is Release of keys[i] with tokens[i], for all of them in one round
// trip to each node.
func (c *Cache[K, V]) ReleaseMany(ctx context.Context, keys []K, tokens []string) error {
	return c.server.releaseMany(ctx, keys, tokens)
}
