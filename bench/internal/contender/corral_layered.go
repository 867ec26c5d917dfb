package contender

import (
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"

	"github.com/corralcache/corral"
)

// layeredHits is a layered cache whose hits are answered near: what is far takes
// no part in them, and is in memory here.
func layeredHits(o HitOptions) (Hits[string], error) {
	near, err := openNew[string](o.Capacity)
	if err != nil {
		return nil, err
	}
	far := memadapter.NewShared[string, *Value](Life).Process()
	h, err := newLoaderHits(func(int) (opened[string, *Value], error) {
		var cache corral.Cache[string, *Value] = layered.New(near.Cache, far, layered.Options{})
		return opened[string, *Value]{cache, near.close}, nil
	}, o)
	return h, err
}
