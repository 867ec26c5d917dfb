package contender

import (
	"context"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
)

// corralService is Corral over Ristretto as a service would set it up.
type corralService struct {
	cache  opened[string, string]
	loader *corral.Loader[string, string]
	load   corral.LoadFunc[string, string]
}

func newCorralService(o ServiceOptions) (Service, error) {
	c, err := newRistretto[string, ristrettoadapter.Item[string]](o.Capacity)
	if err != nil {
		return nil, err
	}
	s := &corralService{
		cache: opened[string, string]{ristrettoadapter.New(c, ristrettoadapter.Options[string]{}), c.Close},
		load:  o.Load,
	}
	opts := corral.Options{TTL: o.TTL, StaleFor: o.StaleFor}
	if o.Spread {
		opts.Jitter = 0.3
	}
	s.loader, err = corral.New(s.cache.Cache, opts)
	return s, err
}

func (s *corralService) Get(ctx context.Context, key string) (string, error) {
	return s.loader.GetOrLoad(ctx, key, s.load)
}

func (s *corralService) Delete(ctx context.Context, key string) error {
	return s.loader.Delete(ctx, key)
}

func (s *corralService) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.loader.Close(ctx)
	s.cache.close()
}
