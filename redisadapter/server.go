package redisadapter

import (
	"context"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/stored"
)

// server is what both caches have: a client and the way to its keys.
type server[K comparable] struct {
	client redis.UniversalClient
	text   func(K) string
	write  func(text string) string // how a key's text becomes the server's key
	fault  error                    // what Check returns
}

// checkClient says whether there is one.
func checkClient(client redis.UniversalClient, function string) error {
	if !stored.IsNil(client) {
		return nil
	}
	return &corral.OptionError{Field: "redisadapter." + function + ": client", Value: "nil", Bound: "required"}
}

func (s *server[K]) name(key K) (string, error) {
	if s.fault != nil {
		return "", s.fault
	}
	text, err := stored.TextOf(key, s.text)
	if err != nil {
		return "", err
	}
	return s.write(text), nil
}

// on calls fn with the server's key, so that the caller gets away when ctx ends
// and the connections do not notice.
func on[K comparable, T any](ctx context.Context, s *server[K], key K, fn func(context.Context, string) (T, error)) (T, error) {
	return bounded.Do(ctx, func(ctx context.Context) (T, error) {
		name, err := s.name(key)
		if err != nil {
			var zero T
			return zero, err
		}
		return fn(context.WithoutCancel(ctx), name)
	})
}

// del removes a key; none is no error.
func (s *server[K]) del(ctx context.Context, name string) error {
	return failed("DEL", s.client.Del(ctx, name).Err())
}

// refuse removes what stood under name, which is older than what err says was
// refused, and returns err. A removal that fails is worse news than err.
func (s *server[K]) refuse(ctx context.Context, name string, err error) error {
	if failure := s.del(ctx, name); failure != nil {
		return failure
	}
	return err
}

// px returns life as the server counts it: in whole milliseconds, the part of
// one as a whole one, so that the shortest life is not zero, which would be an
// error. The longest, 292 years, is far from where the server's sums overflow.
func px(life time.Duration) time.Duration {
	const ms = time.Millisecond
	if part := life % ms; part > 0 && life <= math.MaxInt64-ms {
		return life - part + ms
	}
	return life - life%ms
}
