package redisadapter

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
	"github.com/corralcache/corral/internal/stored"
)

// Cache makes a [corral.Cache] of a Redis, for keys that only caches like it
// write. It is safe for concurrent use. It starts no goroutine that outlives its
// calls, but for calls that were left behind, and does not close the client.
type Cache[K comparable, V any] struct {
	server server[K]
	timer
	envelope bytestore.Envelope[V]
}

var (
	_ corral.Cache[string, any] = (*Cache[string, any])(nil)
	_ corral.Far                = (*Cache[string, any])(nil)
	_ corral.Checker            = (*Cache[string, any])(nil)
)

// New returns a cache over client. Whether the parts fit is what [Cache.Check]
// says, which [corral.New] asks.
func New[K comparable, V any](client redis.UniversalClient, opts Options[K, V]) *Cache[K, V] {
	write := braced(opts.Prefix)
	return &Cache[K, V]{
		server: server[K]{
			client: client,
			text:   stored.Text(opts.Key),
			write:  write,
			fault:  firstError(checkClient(client, "New"), opts.check(), opts.checkBraces()),
		},
		timer:    newTimer(client, write("clock")),
		envelope: bytestore.Envelope[V]{Codec: opts.codec(), MaxValueBytes: opts.bound()},
	}
}

// Check says whether the cache can work: a client, a Key function where one is
// needed, a Prefix without braces, a MaxValueBytes within its bounds. It does
// not ask the server. Every call of a cache that cannot work returns the same
// error.
func (c *Cache[K, V]) Check() error { return c.server.fault }

// Far returns true: a call is a round trip.
func (c *Cache[K, V]) Far() bool { return true }

// Get returns the entry of key, nil if there is none. The error is
// [corral.ErrUndecodable] for what is no entry of key, else the client's or the
// server's.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	return on(ctx, &c.server, key, c.get)
}

func (c *Cache[K, V]) get(ctx context.Context, name string) (*corral.Entry[V], error) {
	data, err := run(ctx, c.timer, false, func(r redis.Cmdable) *redis.StringCmd {
		return r.Get(ctx, name)
	}).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, failed("GET", err)
	}
	return c.envelope.Open(name, data, c.clock.now())
}

// Set stores e for what is left of its Keep. If nothing is left, or the error is
// [corral.ErrRefused], the key is not on the server afterwards: what stood there
// is older than e.
func (c *Cache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	_, err := on(ctx, &c.server, key, func(ctx context.Context, name string) (struct{}, error) {
		return struct{}{}, c.set(ctx, name, e)
	})
	return err
}

func (c *Cache[K, V]) set(ctx context.Context, name string, e *corral.Entry[V]) error {
	if err := c.know(ctx); err != nil {
		return err
	}
	now := c.clock.now()
	data, err := c.envelope.Seal(name, e, now)
	switch {
	case errors.Is(err, corral.ErrRefused):
		return c.server.refuse(ctx, name, err)
	case err != nil:
		return err
	}
	life := stored.Left(e, now.Local)
	if life == 0 {
		return c.server.del(ctx, name)
	}
	return failed("SET", run(ctx, c.timer, true, func(r redis.Cmdable) *redis.StatusCmd {
		return r.Set(ctx, name, data, px(life))
	}).Err())
}

// Delete removes key from the server.
func (c *Cache[K, V]) Delete(ctx context.Context, key K) error {
	_, err := on(ctx, &c.server, key, func(ctx context.Context, name string) (struct{}, error) {
		return struct{}{}, c.server.del(ctx, name)
	})
	return err
}
