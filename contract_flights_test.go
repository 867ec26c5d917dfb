package corral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_F3_SoftTimeoutAbandonsNothing(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleIfError: time.Hour, SoftTimeout: 100 * time.Millisecond, CancelAbandoned: true}
	careful := func(s *source) corral.LoadFunc[string, int] {
		return func(ctx context.Context, key string) (int, error) {
			v, err := s.load(ctx, key)
			return v, errors.Join(err, ctx.Err())
		}
	}
	both(t, "F3/without a stale value", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		start := time.Now()
		v, err := l.GetOrLoad(t.Context(), "k", careful(&s))
		want(t, "GetOrLoad", v, err, 1, nil)
		wantTook(t, "it", start, time.Second)
		s.wantLoads(t, 1)
	})
	both(t, "F3/the load goes on", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{}
		get(t, l, "k", careful(&s))
		time.Sleep(time.Minute)
		s.took = time.Second
		start := time.Now()
		v, err := l.GetOrLoad(t.Context(), "k", careful(&s))
		want(t, "GetOrLoad", v, err, 1, nil)
		wantTook(t, "it", start, 100*time.Millisecond)
		time.Sleep(950 * time.Millisecond)
		v, err = l.GetOrLoad(t.Context(), "k", careful(&s))
		want(t, "GetOrLoad once the load is over", v, err, 2, nil)
		s.wantLoads(t, 2)
	})
}
