package contender

import (
	"context"
	"time"

	"github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
)

// go-redis/cache, without the local cache that it can have. Bytes and strings
// are stored as they are.

func init() {
	open := func(o FarOptions) (Far, error) {
		c := newRedis(o)
		return &redisCache{c, cache.New(&cache.Options{Redis: c}), o.Loaded}, nil
	}
	register(Contender{
		Name: "go-redis/cache Once", Module: "github.com/go-redis/cache/v9",
		Far: open, FarMiss: open,
		Shared: func(o ServiceOptions) (Service, error) {
			c := newRedis(FarOptions{Addr: o.Addr})
			return &redisCacheService{c, cache.New(&cache.Options{Redis: c}), o.Load, o.TTL}, nil
		},
	})
}

type redisCache struct {
	client *redis.Client
	cache  *cache.Cache
	loaded []byte
}

func (r *redisCache) Put(ctx context.Context, key string, value []byte) error {
	return r.cache.Set(&cache.Item{Ctx: ctx, Key: key, Value: value, TTL: Life})
}

func (r *redisCache) Get(ctx context.Context, key string) (int, error) {
	var b []byte
	err := r.cache.Once(&cache.Item{
		Ctx: ctx, Key: key, Value: &b, TTL: Life,
		Do: func(*cache.Item) (any, error) { return r.loaded, nil },
	})
	return touched(b), err
}

func (r *redisCache) Close() { _ = r.client.Close() }

type redisCacheService struct {
	client *redis.Client
	cache  *cache.Cache
	load   Source
	ttl    time.Duration
}

// Get rounds the TTL up to a second, below which the cache does not store.
func (s *redisCacheService) Get(ctx context.Context, key string) (string, error) {
	var v string
	err := s.cache.Once(&cache.Item{
		Ctx: ctx, Key: key, Value: &v, TTL: max(s.ttl, time.Second),
		Do: func(*cache.Item) (any, error) { return s.load(ctx, key) },
	})
	return v, err
}

func (s *redisCacheService) Delete(ctx context.Context, key string) error {
	return s.cache.Delete(ctx, key)
}

func (s *redisCacheService) Close() { _ = s.client.Close() }
