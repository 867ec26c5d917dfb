package redisadapter

import (
	"context"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// GetMany returns the values of keys as Get does, in their order, nil for a miss:
// one pipeline for each node, of PTTL and GET for each key. A [*corral.KeyErrors]
// says which keys failed; the errors are those of GetValue.
//
// More than 1,024 keys of a node are several round trips, here as in the other
// calls with many keys.
func (c *PlainCache[K, V]) GetMany(ctx context.Context, keys []K) ([]*corral.Entry[V], error) {
	return many(ctx, &c.server, keys, c.server.timer.beforeRead, func(ctx context.Context, b batch) []reply[*corral.Entry[V]] {
		return exchange(ctx, &c.server, b, c.queueGet)
	})
}

func (c *PlainCache[K, V]) queueGet(pipe redis.Pipeliner, it item) (int, func(trip) (*corral.Entry[V], error)) {
	read := c.ask(context.Background(), pipe, it.place)
	return 0, func(t trip) (*corral.Entry[V], error) {
		b, err := read(t.err)
		if err != nil || !b.ok {
			return nil, err
		}
		return ageless(b.value, b.life), nil
	}
}

// SetMany is Set of entries[i] under keys[i], for all of them in one round trip
// to each node. A [*corral.KeyErrors] says which keys failed; the errors are those
// of Set.
func (c *PlainCache[K, V]) SetMany(ctx context.Context, keys []K, entries []*corral.Entry[V]) error {
	if err := fits("SetMany", len(keys), len(entries)); err != nil {
		return err
	}
	entries = slices.Clone(entries)
	return c.server.storeMany(ctx, keys, c.server.beforeWrite, func(it item) ([]byte, time.Duration, error) {
		if entries[it.at] == nil {
			return nil, 0, errNoEntry
		}
		return c.sealEntry(entries[it.at])
	})
}

// sealEntry returns the bytes that stand for e and how long they have to live: 0
// if the key is to hold nothing, as with nil or an absent entry.
func (c *PlainCache[K, V]) sealEntry(e *corral.Entry[V]) ([]byte, time.Duration, error) {
	if e == nil || e.Absent {
		return nil, 0, nil
	}
	return c.seal(e.Value, stored.Left(e, time.Now()))
}

// DeleteMany is Delete of each key, for all of them in one round trip to each
// node. A [*corral.KeyErrors] says which keys failed.
func (c *PlainCache[K, V]) DeleteMany(ctx context.Context, keys []K) error {
	return c.server.storeMany(ctx, keys, c.server.beforeWrite, sealNothing)
}

// AcquireMany is Acquire of keys[i] with requests[i], for all of them in one round
// trip to each node. A [*corral.KeyErrors] says which keys failed; the errors are
// those of Acquire.
func (c *PlainCache[K, V]) AcquireMany(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	return acquireMany(ctx, &c.server, keys, acquisition[V]{
		script:   scriptAcquirePlain,
		requests: requests,
		seen:     seenLife[V],
		changed:  c.changed,
	})
}

// RenewMany is Renew of keys[i] with tokens[i], for all of them in one round trip
// to each node. A [*corral.KeyErrors] says which keys failed, those whose lease is
// lost with [corral.ErrLeaseLost].
func (c *PlainCache[K, V]) RenewMany(ctx context.Context, keys []K, tokens []string) error {
	return c.server.renewMany(ctx, keys, tokens)
}

// FillMany is Fill of keys[i] with tokens[i] and entries[i], for all of them in
// one round trip to each node; each key by itself is filled in one step. A
// [*corral.KeyErrors] says which keys failed; the errors are those of Fill.
func (c *PlainCache[K, V]) FillMany(ctx context.Context, keys []K, tokens []string, entries []*corral.Entry[V]) error {
	if err := fits("FillMany", len(keys), len(entries)); err != nil {
		return err
	}
	entries = slices.Clone(entries)
	return c.server.fillMany(ctx, keys, tokens, c.server.beforeScript, func(it item) ([]byte, time.Duration, error) {
		return c.sealEntry(entries[it.at])
	})
}

// ReleaseMany is Release of keys[i] with tokens[i], for all of them in one round
// trip to each node.
func (c *PlainCache[K, V]) ReleaseMany(ctx context.Context, keys []K, tokens []string) error {
	return c.server.releaseMany(ctx, keys, tokens)
}
