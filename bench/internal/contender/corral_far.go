package contender

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// Corral over Redis, alone and below Ristretto.

func init() {
	redisOnly, both := corralFar(false), corralFar(true)
	register(Contender{
		Name: "corral, redis",
		Far:  redisOnly, FarMiss: redisOnly, FarStale: true,
		Shared: corralShared(false),
	})
	register(Contender{
		Name:      "corral, layered",
		HitString: layeredHits, Unweighed: true,
		Far: both, FarMiss: both, FarStale: true,
		Shared: corralShared(true),
	})
}

// StaleLife is the TTL of far values that are to be stale.
const StaleLife = 50 * time.Millisecond

type corralRedis struct {
	client *redis.Client
	loader *corral.Loader[string, []byte]
	load   corral.LoadFunc[string, []byte]
	closed chan struct{}
	near   func() // closes the near cache
}

func corralFar(near bool) func(FarOptions) (Far, error) {
	return func(o FarOptions) (Far, error) {
		c := &corralRedis{client: newRedis(o), closed: make(chan struct{}), near: func() {}}
		var cache corral.Cache[string, []byte] = redisadapter.New(c.client, redisadapter.Options[string, []byte]{Prefix: "bench"})
		if near {
			above, err := above[[]byte](1 << 15)
			if err != nil {
				return nil, err
			}
			cache, c.near = layered.New(above.Cache, cache, layered.Options{}), above.close
		}
		opts := options
		opts.CacheTimeout = 10 * time.Second // what a busy machine does to a call is not the question
		c.load = func(context.Context, string) ([]byte, error) { return o.Loaded, nil }
		if o.Window == Stale {
			opts.TTL = StaleLife
			c.load = func(context.Context, string) ([]byte, error) { <-c.closed; return nil, ErrMissed }
		}
		var err error
		c.loader, err = corral.New(cache, opts)
		return c, err
	}
}

// above is the near cache of a layered one.
func above[V any](capacity int) (opened[string, V], error) {
	c, err := newRistretto[string, ristrettoadapter.Item[V]](capacity)
	if err != nil {
		return opened[string, V]{}, err
	}
	return opened[string, V]{ristrettoadapter.New(c, ristrettoadapter.Options[V]{}), c.Close}, nil
}

func (c *corralRedis) Put(ctx context.Context, key string, value []byte) error {
	return c.loader.Set(ctx, key, value)
}

func (c *corralRedis) Get(ctx context.Context, key string) (int, error) {
	b, err := c.loader.GetOrLoad(ctx, key, c.load)
	return touched(b), err
}

func (c *corralRedis) Delete(ctx context.Context, key string) error {
	return c.loader.Delete(ctx, key)
}

func (c *corralRedis) Close() {
	close(c.closed)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = c.loader.Close(ctx)
	_ = c.client.Close()
	c.near()
}

type sharedCorral struct {
	client *redis.Client
	loader *corral.Loader[string, string]
	load   corral.LoadFunc[string, string]
	near   func()
}

func corralShared(near bool) func(ServiceOptions) (Service, error) {
	return func(o ServiceOptions) (Service, error) {
		s := &sharedCorral{client: newRedis(FarOptions{Addr: o.Addr}), load: o.Load, near: func() {}}
		var cache corral.Cache[string, string] = redisadapter.New(s.client, redisadapter.Options[string, string]{Prefix: "bench"})
		if near {
			above, err := above[string](o.Capacity)
			if err != nil {
				return nil, err
			}
			cache, s.near = layered.New(above.Cache, cache, layered.Options{}), above.close
		}
		var err error
		s.loader, err = corral.New(cache, corral.Options{TTL: o.TTL, StaleFor: o.StaleFor})
		return s, err
	}
}

func (s *sharedCorral) Get(ctx context.Context, key string) (string, error) {
	return s.loader.GetOrLoad(ctx, key, s.load)
}

func (s *sharedCorral) Delete(ctx context.Context, key string) error {
	return s.loader.Delete(ctx, key)
}

func (s *sharedCorral) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.loader.Close(ctx)
	_ = s.client.Close()
	s.near()
}
