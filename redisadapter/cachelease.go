package redisadapter

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/corralcache/corral"
)

// LeaseLife returns how long a lease lasts that is not renewed, zero with
// NoLease.
func (c *Cache[K, V]) LeaseLife() time.Duration { return c.server.leases.length() }

// Acquire asks for the lease of key and looks at what is stored, in one round
// trip. Where that changed and cannot be read the error is
// [corral.ErrUndecodable]; ask again with Force.
func (c *Cache[K, V]) Acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	return on(ctx, &c.server, key, func(ctx context.Context, p place) (corral.Lease[V], error) {
		return c.acquire(ctx, p, r)
	})
}

func (c *Cache[K, V]) acquire(ctx context.Context, p place, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	var seen []byte
	if r.Seen != nil {
		seen = binary.BigEndian.AppendUint64(nil, r.Seen.Version)
	}
	a, err := c.server.acquire(ctx, scriptAcquire, p, r.Token, r.Force, string(seen))
	if err != nil || a.outcome != "changed" {
		return leaseFrom[V](a, err)
	}
	e, err := c.open(p, []byte(a.value))
	if err != nil {
		return corral.Lease[V]{}, err
	}
	if e != nil {
		return corral.Lease[V]{State: corral.LeaseChanged, Entry: e}, nil
	}
	// In the last millisecond of its Keep an entry is no more one, and still there.
	r.Force = true
	l, err := c.acquire(ctx, p, r)
	l.Empty = true
	return l, err
}

// Renew gives the lease of key its whole life again; [corral.ErrLeaseLost] if
// token has it no more.
func (c *Cache[K, V]) Renew(ctx context.Context, key K, token string) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		return c.server.renew(ctx, p, token)
	})
}

// Fill stores e, or with nil removes what is there, and ends the lease of key, in
// one step. The error is [corral.ErrLeaseLost] if token has the lease no more,
// and then nothing changed; [corral.ErrRefused] if e is too large, and then the
// key is not on the server.
func (c *Cache[K, V]) Fill(ctx context.Context, key K, token string, e *corral.Entry[V]) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		if err := c.server.leases.check(token); err != nil {
			return err
		}
		var (
			data []byte
			life time.Duration
			err  error
		)
		if e != nil {
			data, life, err = c.seal(ctx, p, e)
		}
		return c.server.fill(ctx, p, token, data, life, err)
	})
}

// Release ends the lease of key if token has it.
func (c *Cache[K, V]) Release(ctx context.Context, key K, token string) error {
	return does(ctx, &c.server, key, func(ctx context.Context, p place) error {
		return c.server.release(ctx, p, token)
	})
}

// Watch returns a channel that is sent to when the lease of key may have ended. All
// watchers of a cache share one subscription to the server, which ends a second
// after the last one has stopped.
func (c *Cache[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) { return c.server.watch(key) }
