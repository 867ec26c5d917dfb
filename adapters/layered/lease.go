package layered

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral"
)

var errNoLeases = errors.New("layered: the far cache gives no leases")

// LeaseLife is how long far's leases last; zero if it gives none.
func (c *Cache[K, V]) LeaseLife() time.Duration {
	if c.leaser == nil {
		return 0
	}
	return c.leaser.LeaseLife()
}

// Acquire asks far for the lease of key. An entry that it answers with is copied
// into near.
func (c *Cache[K, V]) Acquire(ctx context.Context, key K, r corral.LeaseRequest[V]) (l corral.Lease[V], err error) {
	if c.leaser == nil {
		return l, errNoLeases
	}
	f := c.beginFill(key)
	defer func() { c.endFill(ctx, f, l.Entry) }()
	if c.plain == nil {
		l, err = c.leaser.Acquire(ctx, key, r)
	} else {
		l, err = c.acquirePlain(ctx, key, r)
	}
	if err != nil {
		return corral.Lease[V]{}, err
	}
	return l, nil
}

// Renew renews far's lease of key.
func (c *Cache[K, V]) Renew(ctx context.Context, key K, token string) error {
	if c.leaser == nil {
		return errNoLeases
	}
	return c.leaser.Renew(ctx, key, token)
}

// Fill fills far, and near if far accepted it.
func (c *Cache[K, V]) Fill(ctx context.Context, key K, token string, e *corral.Entry[V]) (err error) {
	if c.leaser == nil {
		return errNoLeases
	}
	c.learn(e)
	w := c.beginWrite(key)
	err = errExited // unless far returns
	defer func() { c.report(c.endRefill(ctx, w, e, err)) }()
	return c.leaser.Fill(ctx, key, token, e)
}

// Release releases far's lease of key.
func (c *Cache[K, V]) Release(ctx context.Context, key K, token string) error {
	if c.leaser == nil {
		return errNoLeases
	}
	return c.leaser.Release(ctx, key, token)
}

// Watch tells when far's lease of key may have ended.
func (c *Cache[K, V]) Watch(key K) (ended <-chan struct{}, stop func()) {
	if c.leaser == nil {
		return nil, func() {}
	}
	return c.leaser.Watch(key)
}
