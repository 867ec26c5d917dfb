package contender

import (
	"context"

	"github.com/corralcache/corral/sharded/singleflight"
)

// Corral's package with the API of x/sync.

func init() {
	register(Contender{Name: "corral, singleflight.Do", Flight: func() Flights { return new(ownSingleflight) }})
}

type ownSingleflight struct{ g singleflight.Group }

func (f *ownSingleflight) Fly(_ context.Context, keys []string, from, n int) error {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		if _, err, _ := f.g.Do(keys[i&mask], nothingAny); err != nil {
			return err
		}
	}
	return nil
}

func (f *ownSingleflight) With(fn Load) Call {
	load := func() (any, error) { return fn(context.Background()) }
	return func(_ context.Context, key string) (int, error) {
		v, err, _ := f.g.Do(key, load)
		n, _ := v.(int)
		return n, err
	}
}
