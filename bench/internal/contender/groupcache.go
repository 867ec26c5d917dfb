package contender

import (
	"context"

	"github.com/golang/groupcache/singleflight"
)

func init() {
	register(Contender{
		Name: "groupcache Do", Module: "github.com/golang/groupcache",
		Flight: func() Flights { return new(groupcacheDo) },
	})
}

type groupcacheDo struct{ g singleflight.Group }

func nothingInterface() (any, error) { return 1, nil }

func (f *groupcacheDo) Fly(_ context.Context, keys []string, from, n int) error {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		if _, err := f.g.Do(keys[i&mask], nothingInterface); err != nil {
			return err
		}
	}
	return nil
}

func (f *groupcacheDo) With(fn Load) Call {
	load := func() (any, error) { return fn(context.Background()) }
	return func(_ context.Context, key string) (int, error) {
		v, err := f.g.Do(key, load)
		n, _ := v.(int)
		return n, err
	}
}
