package redisadapter

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
)

// store writes what was sealed: data for life, or nothing. What was refused
// leaves nothing behind either: what stood there is older. Of two errors the
// server's is worse news.
func (s *server[K]) store(ctx context.Context, p place, data []byte, life time.Duration, refused error) error {
	if refused != nil && !errors.Is(refused, corral.ErrRefused) {
		return refused
	}
	if err := s.put(ctx, p, data, life); err != nil {
		return err
	}
	return refused
}

// put writes data for life, and for 0 removes what is there. In the same step it
// ends the lease, and other processes hear of both.
func (s *server[K]) put(ctx context.Context, p place, data []byte, life time.Duration) error {
	if s.leases.off {
		return s.putValue(ctx, p, data, life)
	}
	a, err := s.call(ctx, scriptWrite, p, s.written(p, data, life)...)
	if redis.HasErrorPrefix(err, "TRYAGAIN") {
		return s.putInSteps(ctx, p, data, life)
	}
	return done(a, err)
}

// written returns the arguments of the script that writes.
func (s *server[K]) written(p place, data []byte, life time.Duration) []any {
	return []any{s.news.ended, p.text, s.news.written, s.news.message(p), inMillis(life), data}
}

// putInSteps is put for a hash slot that is moving to another node of a Cluster:
// of the two keys that a script has one may be there already, so none can run.
//
// The lease is ended on both sides of the write. What was being loaded when it
// began cannot be stored after it; what began in between may be older than the
// value, which is the second reason.
func (s *server[K]) putInSteps(ctx context.Context, p place, data []byte, life time.Duration) error {
	lease := s.leaseOf(p.name)
	if err := s.del(ctx, lease); err != nil {
		return err
	}
	if err := s.putValue(ctx, p, data, life); err != nil {
		return err
	}
	if err := s.del(ctx, lease); err != nil {
		return err
	}
	return failed("PUBLISH", s.client.Publish(ctx, s.news.ended, p.text).Err())
}

// putValue writes the value and then announces it, not before: whoever hears of
// it must not find the old one. A server that has no PUBLISH has nobody who could
// hear.
func (s *server[K]) putValue(ctx context.Context, p place, data []byte, life time.Duration) error {
	if err := s.set(ctx, p, data, life); err != nil {
		return err
	}
	err := s.client.Publish(ctx, s.news.written, s.news.message(p)).Err()
	if unknown(err) {
		return nil
	}
	return failed("PUBLISH", err)
}

func (s *server[K]) set(ctx context.Context, p place, data []byte, life time.Duration) error {
	if life == 0 {
		return s.del(ctx, p.name)
	}
	return failed("SET", run(ctx, s.timer, true, func(r redis.Cmdable) *redis.StatusCmd {
		return r.Set(ctx, p.name, data, px(life))
	}).Err())
}

func (s *server[K]) del(ctx context.Context, name string) error {
	return failed("DEL", s.client.Del(ctx, name).Err())
}
