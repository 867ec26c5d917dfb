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
		return s.putBare(ctx, p, data, life)
	}
	_, err := s.call(ctx, scriptWrite, p,
		s.news.ended, p.text, s.news.written, s.news.message(p), inMillis(life), data)
	return err
}

// putBare writes without a script. The announcement comes second: whoever hears
// of it must not find the old value. A server that has no PUBLISH has nobody who
// could hear.
func (s *server[K]) putBare(ctx context.Context, p place, data []byte, life time.Duration) error {
	if err := s.putValue(ctx, p, data, life); err != nil {
		return err
	}
	err := s.client.Publish(ctx, s.news.written, s.news.message(p)).Err()
	if unknown(err) {
		return nil
	}
	return failed("PUBLISH", err)
}

func (s *server[K]) putValue(ctx context.Context, p place, data []byte, life time.Duration) error {
	if life == 0 {
		return failed("DEL", s.client.Del(ctx, p.name).Err())
	}
	return failed("SET", run(ctx, s.timer, true, func(r redis.Cmdable) *redis.StatusCmd {
		return r.Set(ctx, p.name, data, px(life))
	}).Err())
}
