package redisadapter

import (
	"context"
	"math"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

// LeaseLife returns how long a lease lasts that is not renewed, zero with
// NoLease.
func (c *PlainCache[K, V]) LeaseLife() time.Duration { return c.server.leases.length() }

// Acquire asks for the lease of key and looks at what is stored, in one round
// trip. A value has changed if it ends later than the one that was seen: bare
// values have nothing else by which to know them again. Where it changed and
// cannot be read the error is [corral.ErrUndecodable]; ask again with Force.
func (c *PlainCache[K, V]) Acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	return on(ctx, &c.server, key, func(ctx context.Context, p place) (corral.Lease[V], error) {
		a, err := c.server.acquire(ctx, scriptAcquirePlain, p, r.Token, r.Force, seenLife(r.Seen))
		if err != nil || a.outcome != "changed" {
			return leaseFrom[V](a, err)
		}
		e, _, err := c.changed(p, a)
		if err != nil {
			return corral.Lease[V]{}, err
		}
		return corral.Lease[V]{State: corral.LeaseChanged, Entry: e}, nil
	})
}

// changed returns the value that was stored meanwhile.
func (c *PlainCache[K, V]) changed(_ place, a answer) (e *corral.Entry[V], seen string, err error) {
	value, err := stored.Decode(c.codec, []byte(a.value))
	if err != nil {
		return nil, "", err
	}
	return ageless(value, a.left), "", nil
}

// seenLife returns what was left of e's life as the script takes it.
func seenLife[V any](e *corral.Entry[V]) string {
	switch {
	case e == nil:
		return ""
	case e.Keep == math.MaxInt64:
		return "-1"
	default:
		return inMillis(max(e.Keep, 0))
	}
}

// Renew gives the lease of key its whole life again; [corral.ErrLeaseLost] if
// token has it no more.
func (c *PlainCache[K, V]) Renew(ctx context.Context, key K, token string) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		return c.server.renew(ctx, p, token)
	})
}

// Fill stores the value of e for what is left of its Keep, and ends the lease of
// key, in one step; with nil, or an absent entry, it removes what is there. The
// error is [corral.ErrLeaseLost] if token has the lease no more, and then nothing
// changed; [corral.ErrRefused] if the value is too large, and then the key is not
// on the server.
func (c *PlainCache[K, V]) Fill(ctx context.Context, key K, token string, e *corral.Entry[V]) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		if err := c.server.leases.check(token); err != nil {
			return err
		}
		data, life, err := c.sealEntry(e)
		return c.server.fill(ctx, p, token, data, life, err)
	})
}

// Release ends the lease of key if token has it.
func (c *PlainCache[K, V]) Release(ctx context.Context, key K, token string) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		return c.server.release(ctx, p, token)
	})
}

// Watch returns a channel that is sent to when the lease of key may have ended. All
// watchers of a cache share one subscription to the server, which ends a second
// after the last one has stopped.
func (c *PlainCache[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) {
	return c.server.watch(key)
}
