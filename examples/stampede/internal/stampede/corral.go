package stampede

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/examples/stampede/internal/report"
	"github.com/corralcache/corral/ristrettoadapter"
)

// brokenLoaders is how many Loaders share the cache if flights are off: enough
// that no two calls of a key that are under way share one.
const brokenLoaders = 1_000

// withCorral is a Loader around a cache, as a service would set it up.
type withCorral struct {
	loaders []*corral.Loader[string, Row] // one, unless flights are off
	next    atomic.Uint64
	cache   corral.Cache[string, Row]
	load    loadFunc
	fenced  bool
	closing func()
}

func newCorral(load loadFunc, broken string, open openFunc) (setUp, error) {
	opts := corral.Options{
		TTL:          ttl,
		StaleFor:     2 * time.Second,
		StaleIfError: 5 * time.Second,
		EarlyExpiry:  1,
		Jitter:       0.1,
		RetryMax:     400 * time.Millisecond,
		MaxLoads:     slots,
	}
	if broken == report.BreakStale {
		opts.StaleFor, opts.StaleIfError = 0, 0
	}
	cache, closing, err := open()
	if err != nil {
		return nil, err
	}
	c := &withCorral{cache: cache, load: load, fenced: broken != report.BreakFence, closing: closing}
	loaders := 1
	if broken == report.BreakFlight {
		loaders, opts.Shards = brokenLoaders, 1
	}
	for range loaders {
		loader, err := corral.New(cache, opts)
		if err != nil {
			closing()
			return nil, err
		}
		c.loaders = append(c.loaders, loader)
	}
	return c, nil
}

// openFunc opens the cache behind the Loader.
type openFunc = func() (cache corral.Cache[string, Row], closing func(), err error)

func openRistretto() (corral.Cache[string, Row], func(), error) {
	store, err := newRistretto[ristrettoadapter.Item[Row]]()
	if err != nil {
		return nil, nil, err
	}
	return ristrettoadapter.New(store, ristrettoadapter.Options[Row]{}), store.Close, nil
}

func (c *withCorral) get(ctx context.Context, key string) (Row, error) {
	loader := c.loaders[c.next.Add(1)%uint64(len(c.loaders))]
	return loader.GetOrLoad(ctx, key, c.load)
}

// delete goes through the Loader, which keeps loads under way from writing the
// old value back. With the fence off it goes straight to the cache.
func (c *withCorral) delete(ctx context.Context, key string) error {
	if !c.fenced {
		return c.cache.Delete(ctx, key)
	}
	return c.loaders[0].Delete(ctx, key)
}

// stop closes the Loaders first: their Stats are final then.
func (c *withCorral) stop(ctx context.Context) (loads int, err error) {
	for _, loader := range c.loaders {
		err = errors.Join(err, loader.Close(ctx))
		loads += int(loader.Stats().Loads)
	}
	c.closing()
	return loads, err
}
