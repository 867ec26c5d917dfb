package redisadapter

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/corralcache/corral"
)

// LeaseLife returns how long a lease lasts that is not renewed, zero with
// NoLease.
func (c *Cache[K, V]) LeaseLife() time.Duration { return c.server.leases.length() }

// Acquire asks for the lease of key and looks at what is stored, in one round
// trip. What nobody can read counts as nothing, and costs one more.
func (c *Cache[K, V]) Acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	return on(ctx, &c.server, key, func(ctx context.Context, p place) (corral.Lease[V], error) {
		return c.acquire(ctx, p, r)
	})
}

func (c *Cache[K, V]) acquire(ctx context.Context, p place, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	seen, void := seenVersion(r.Seen), false
	for range acquireTries {
		a, err := c.server.acquire(ctx, scriptAcquire, p, r.Token, r.Force, seen)
		if err != nil || a.outcome != "changed" {
			l, err := leaseFrom[V](a, err)
			l.Empty = l.Empty || void
			return l, err
		}
		e, as, err := c.changed(p, a)
		switch {
		case err != nil:
			return corral.Lease[V]{}, err
		case e != nil:
			return corral.Lease[V]{State: corral.LeaseChanged, Entry: e}, nil
		}
		seen, void = as, true
	}
	return corral.Lease[V]{}, corral.ErrUndecodable
}

// changed returns the entry that was stored meanwhile. Bytes that nobody can read,
// and an entry in the last millisecond of its Keep, are as good as nothing: ask
// again as one who has seen them. To ask with Force would be to load over what
// another process has stored since.
func (c *Cache[K, V]) changed(p place, a answer) (e *corral.Entry[V], seen string, err error) {
	data := []byte(a.value)
	e, err = c.open(p, data)
	if e == nil && (err == nil || errors.Is(err, corral.ErrUndecodable)) {
		return nil, string(seenAs(data)), nil
	}
	return e, "", err
}

// acquireTries bounds how often acquire asks if each time it finds other bytes that
// nobody can read.
const acquireTries = 4

// seenAs returns by what the script knows data again, which may be shorter than
// an entry.
func seenAs(data []byte) []byte {
	return data[min(versionAt, len(data)):min(versionEnd, len(data))]
}

// seenVersion returns the version of e as the script takes it.
func seenVersion[V any](e *corral.Entry[V]) string {
	if e == nil {
		return ""
	}
	return string(binary.BigEndian.AppendUint64(nil, e.Version))
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
