package redisadapter

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// PlainCache makes a [corral.PlainCache] of keys on a Redis that other programs
// write and read, values as they are and lives as the server counts them. It is
// safe for concurrent use, starts no goroutine that outlives its calls, but for
// calls that were left behind and, while somebody watches a lease, a subscription;
// it does not close the client.
type PlainCache[K comparable, V any] struct {
	server server[K]
	codec  Codec[V]
	most   int
}

var (
	_ corral.PlainCache[string, any] = (*PlainCache[string, any])(nil)
	_ corral.Far                     = (*PlainCache[string, any])(nil)
	_ corral.Checker                 = (*PlainCache[string, any])(nil)
	_ corral.Listener[string]        = (*PlainCache[string, any])(nil)
	_ corral.Leaser[string, any]     = (*PlainCache[string, any])(nil)

	_ corral.BatchCache[string, any]  = (*PlainCache[string, any])(nil)
	_ corral.BatchLeaser[string, any] = (*PlainCache[string, any])(nil)
)

// Plain returns a cache of bare values over client. Whether the parts fit is
// what [PlainCache.Check] says, which [corral.New] asks.
//
// To a Loader a value is fresh for what is left of its life, less the longer of
// StaleFor and StaleIfError: one that others wrote with a shorter life is stale
// at once, one without an end always fresh.
func Plain[K comparable, V any](client redis.UniversalClient, opts Options[K, V]) *PlainCache[K, V] {
	c := &PlainCache[K, V]{
		server: server[K]{
			client:  client,
			text:    stored.Text(opts.Key),
			write:   func(text string) string { return opts.Prefix + text },
			parse:   stored.Parser(opts.ParseKey, opts.Key != nil),
			leaseOf: plainLease,
			fault:   firstError(checkClient(client, "Plain"), opts.check()),
			timer:   timer{client: client},
			leases:  opts.leases(),
			news:    newNews(opts.Prefix, "plain-"),
		},
		codec: opts.codec(),
		most:  opts.bound(),
	}
	c.server.match, c.server.unwrite = unprefixed(opts.Prefix)
	c.server.init()
	return c
}

// Check says whether the cache can work: a client, a Key function where one is
// needed, a MaxValueBytes within its bounds. It does not ask the server. Every
// call of a cache that cannot work returns the same error.
func (c *PlainCache[K, V]) Check() error { return c.server.fault }

// Far returns true: a call is a round trip.
func (c *PlainCache[K, V]) Far() bool { return true }

// bare is a value and what is left of its life; below zero: no end.
type bare[V any] struct {
	value V
	life  time.Duration
	ok    bool
}

// GetValue returns the value of key and what is left of its life, below zero if
// it has no end; ok is false if there is none. The error is
// [corral.ErrUndecodable] for what the codec cannot read and for a key that
// holds no string, else the client's or the server's.
func (c *PlainCache[K, V]) GetValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error) {
	b, err := on(ctx, &c.server, key, c.get)
	return b.value, b.life, b.ok, err
}

// get asks for the life first. If another program writes the key between the two
// commands, its new value is seen with the old one's shorter life, and not the
// old value with a life that was never its own. MULTI would cost the server
// more and gain nothing.
func (c *PlainCache[K, V]) get(ctx context.Context, p place) (b bare[V], err error) {
	pipe := c.server.client.Pipeline()
	read := c.ask(ctx, pipe, p)
	_, err = pipe.Exec(ctx)
	return read(err)
}

// ask adds the commands to pipe and returns what reads the answers, given the
// pipeline's error.
func (c *PlainCache[K, V]) ask(ctx context.Context, pipe redis.Pipeliner, p place) (read func(error) (bare[V], error)) {
	pttl, get := pipe.PTTL(ctx, p.name), pipe.Get(ctx, p.name)
	return func(err error) (bare[V], error) {
		answered(err, pttl, get)
		return c.found(pttl, get)
	}
}

func (c *PlainCache[K, V]) found(pttl *redis.DurationCmd, get *redis.StringCmd) (b bare[V], err error) {
	data, err := get.Bytes()
	switch {
	case errors.Is(err, redis.Nil):
		return b, nil
	case err != nil:
		return b, failed("GET", err)
	}
	life, err := pttl.Result()
	switch {
	case err != nil:
		return b, failed("PTTL", err)
	case life == -2:
		return b, nil // written after it was asked for its life: as if read before
	}
	value, err := stored.Decode(c.codec, data)
	if err != nil {
		return b, err
	}
	return bare[V]{value: value, life: life, ok: true}, nil
}

// Get returns the value of key as an entry of unknown age: LoadedAt is zero and
// Keep is what is left of its life. It returns nil for a miss. The errors are
// those of GetValue.
func (c *PlainCache[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	value, life, ok, err := c.GetValue(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	return ageless(value, life), nil
}

// ageless returns value as an entry of unknown age.
func ageless[V any](value V, life time.Duration) *corral.Entry[V] {
	if life < 0 {
		life = math.MaxInt64
	}
	return &corral.Entry[V]{Value: value, Keep: life}
}

// SetValue stores value for life, in whole milliseconds, rounded up, and ends the
// lease of key: what is being loaded for it anywhere is older. If life is not
// above zero, or the error is [corral.ErrRefused], the key is not on the server
// afterwards.
func (c *PlainCache[K, V]) SetValue(ctx context.Context, key K, value V, life time.Duration) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		data, life, err := c.seal(value, life)
		return c.server.store(ctx, p, data, life, err)
	})
}

// seal returns the bytes that stand for value and how long they have to live: 0
// if the key is to hold nothing, as it is with [corral.ErrRefused].
func (c *PlainCache[K, V]) seal(value V, life time.Duration) ([]byte, time.Duration, error) {
	if life <= 0 {
		return nil, 0, nil
	}
	data, err := stored.Append(c.codec, nil, value)
	switch {
	case err != nil:
		return nil, 0, err
	case len(data) > c.most:
		return nil, 0, stored.TooLarge(len(data), c.most)
	}
	return data, life, nil
}

// Set stores the value of e for what is left of its Keep, as SetValue does. An
// absent entry deletes the key: a bare value cannot say that there is none.
func (c *PlainCache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	switch {
	case e == nil:
		return errNoEntry
	case e.Absent:
		return c.Delete(ctx, key)
	default:
		return c.SetValue(ctx, key, e.Value, stored.Left(e, time.Now()))
	}
}

// Delete removes key from the server, and ends its lease: what is being loaded
// for it anywhere will not be stored.
func (c *PlainCache[K, V]) Delete(ctx context.Context, key K) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		return c.server.put(ctx, p, nil, 0)
	})
}
