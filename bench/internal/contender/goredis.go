package contender

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/singleflight"
)

// go-redis itself: a GET, the same through its own pipelining, and what services
// write around it for a miss.

func init() {
	const module = "github.com/redis/go-redis/v9"
	register(Contender{
		Name: "go-redis GET", Module: module,
		Far: func(o FarOptions) (Far, error) {
			c := newRedis(o)
			return &rawRedis{c, c}, nil
		},
	})
	register(Contender{
		Name: "go-redis AutoPipeline GET", Module: module,
		Far: func(o FarOptions) (Far, error) {
			c := newRedis(o)
			p, err := c.AutoPipeline()
			return &rawRedis{c, p}, err
		},
	})
	register(Contender{
		Name: "go-redis by hand: GET, x/sync, SET", Module: module,
		FarMiss: func(o FarOptions) (Far, error) { return &redisByHand{client: newRedis(o), loaded: o.Loaded}, nil },
		Shared:  newSharedByHand,
	})
}

func newRedis(o FarOptions) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: o.Addr, Dialer: o.Dial, PoolSize: 64})
}

type getter interface {
	Get(ctx context.Context, key string) *redis.StringCmd
}

type rawRedis struct {
	client *redis.Client
	getter getter
}

func (r *rawRedis) Put(ctx context.Context, key string, value []byte) error {
	return r.client.Set(ctx, key, value, Life).Err()
}

func (r *rawRedis) Get(ctx context.Context, key string) (int, error) {
	b, err := r.getter.Get(ctx, key).Bytes()
	return touched(b), err
}

func (r *rawRedis) Close() { _ = r.client.Close() }

// touched reads a byte of a value and returns its length.
func touched(b []byte) int {
	if len(b) == 0 || b[0] == 0 {
		return 0
	}
	return len(b)
}

// redisByHand is a GET and, in a flight, the load and a SET. It has neither a
// lease nor anything that holds a load against a Delete.
type redisByHand struct {
	client  *redis.Client
	loaded  []byte
	flights singleflight.Group
}

func (r *redisByHand) Put(ctx context.Context, key string, value []byte) error {
	return r.client.Set(ctx, key, value, Life).Err()
}

func (r *redisByHand) Get(ctx context.Context, key string) (int, error) {
	b, err := r.client.Get(ctx, key).Bytes()
	if err == nil {
		return touched(b), nil
	}
	v, err, _ := r.flights.Do(key, func() (any, error) {
		return r.loaded, r.client.Set(ctx, key, r.loaded, Life).Err()
	})
	if err != nil {
		return 0, err
	}
	return touched(v.([]byte)), nil
}

func (r *redisByHand) Close() { _ = r.client.Close() }

type sharedByHand struct {
	client  *redis.Client
	flights singleflight.Group
	load    Source
	ttl     time.Duration
}

func newSharedByHand(o ServiceOptions) (Service, error) {
	return &sharedByHand{client: newRedis(FarOptions{Addr: o.Addr}), load: o.Load, ttl: o.TTL}, nil
}

func (s *sharedByHand) Get(ctx context.Context, key string) (string, error) {
	v, err := s.client.Get(ctx, key).Result()
	if err == nil || !errors.Is(err, redis.Nil) {
		return v, err
	}
	loaded, err, _ := s.flights.Do(key, func() (any, error) {
		v, err := s.load(ctx, key)
		if err == nil {
			err = s.client.Set(ctx, key, v, s.ttl).Err()
		}
		return v, err
	})
	v, _ = loaded.(string)
	return v, err
}

func (s *sharedByHand) Delete(ctx context.Context, key string) error {
	return s.client.Del(ctx, key).Err()
}

func (s *sharedByHand) Close() { _ = s.client.Close() }
