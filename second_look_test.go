package corral_test

import (
	"context"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// slowLook is a cache whose first Get answers late: meanwhile happens before that.
type slowLook struct {
	corral.Cache[string, int]
	meanwhile func()
}

func (c *slowLook) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	e, err := c.Cache.Get(ctx, key)
	if before := c.meanwhile; before != nil {
		c.meanwhile = nil
		before()
	}
	return e, err
}

// C2: a caller that looked before another one's load was stored, and came to the
// flights after that one was removed, looks again.
func TestContract_C2_SecondLook(t *testing.T) {
	ctx := context.Background() // of which the caller flies itself
	for name, write := range map[string]func(l *corral.Loader[string, int]) error{
		"load": func(l *corral.Loader[string, int]) error {
			_, err := l.GetOrLoad(ctx, "k", func(context.Context, string) (int, error) { return 1, nil })
			return err
		},
		"bulk load": func(l *corral.Loader[string, int]) error {
			_, err := l.GetOrLoadMany(ctx, []string{"k", "other"}, func(context.Context, []string) (map[string]int, error) {
				return map[string]int{"k": 1, "other": 1}, nil
			})
			return err
		},
		"set": func(l *corral.Loader[string, int]) error { return l.Set(ctx, "k", 1) },
	} {
		bubble(t, name, func(t *testing.T) {
			cache := &slowLook{Cache: memadapter.New[string, int]()}
			l := newLoader(t, cache, corral.Options{TTL: time.Minute})
			cache.meanwhile = func() {
				if err := write(l); err != nil {
					t.Error(err)
				}
			}
			v, err := l.GetOrLoad(ctx, "k", func(context.Context, string) (int, error) { return 2, nil })
			if v != 1 || err != nil {
				t.Errorf("the caller got %v, %v, want the 1 that was stored", v, err)
			}
		})
	}
}
