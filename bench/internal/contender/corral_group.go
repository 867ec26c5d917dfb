package contender

import (
	"context"

	"github.com/corralcache/corral/sharded"
)

// Corral's flights without a cache.

func init() {
	register(Contender{Name: "corral, Group.Do", Flight: newGroup, FlightCtx: newGroup})
}

type group struct{ g *sharded.Group[string, int] }

func newGroup() Flights { return group{sharded.NewGroup[string, int](sharded.Options[string]{})} }

func (f group) Fly(ctx context.Context, keys []string, from, n int) error {
	fn, mask := nothing, len(keys)-1
	for i := from; i < from+n; i++ {
		if _, _, err := f.g.Do(ctx, keys[i&mask], fn); err != nil {
			return err
		}
	}
	return nil
}

func (f group) With(fn Load) Call {
	return func(ctx context.Context, key string) (int, error) {
		v, _, err := f.g.Do(ctx, key, fn)
		return v, err
	}
}
