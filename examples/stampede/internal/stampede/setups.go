package stampede

import (
	"context"

	"github.com/dgraph-io/ristretto/v2"
	"golang.org/x/sync/singleflight"
)

// setUp is a way to read rows through a cache.
type setUp interface {
	get(ctx context.Context, key string) (Row, error)
	delete(ctx context.Context, key string) error

	// stop ends what the set-up does in the background and returns how many
	// loads it counted.
	stop(ctx context.Context) (loads int, err error)
}

// loadFunc asks the source.
type loadFunc = func(ctx context.Context, key string) (Row, error)

func newRistretto[V any]() (*ristretto.Cache[string, V], error) {
	return ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: 10_000, MaxCost: 1_000, BufferItems: 64, IgnoreInternalCost: true,
	})
}

// plain is Ristretto as its README shows it: get, and on a miss load and set.
type plain struct {
	cache *ristretto.Cache[string, Row]
	load  loadFunc
}

func newPlain(load loadFunc) (setUp, error) {
	cache, err := newRistretto[Row]()
	return &plain{cache: cache, load: load}, err
}

func (p *plain) get(ctx context.Context, key string) (Row, error) {
	if v, ok := p.cache.Get(key); ok {
		return v, nil
	}
	v, err := p.load(ctx, key)
	if err != nil {
		return Row{}, err
	}
	p.cache.SetWithTTL(key, v, 1, ttl)
	return v, nil
}

func (p *plain) delete(_ context.Context, key string) error {
	p.cache.Del(key)
	return nil
}

func (p *plain) stop(context.Context) (int, error) {
	p.cache.Close()
	return 0, nil
}

// byHand puts golang.org/x/sync/singleflight around the load, in the few lines
// that most services have for it. The load runs with the context of the caller
// who came first, as it does in most of them.
type byHand struct {
	plain
	flights singleflight.Group
}

func newByHand(load loadFunc) (setUp, error) {
	cache, err := newRistretto[Row]()
	return &byHand{plain: plain{cache: cache, load: load}}, err
}

func (b *byHand) get(ctx context.Context, key string) (Row, error) {
	if v, ok := b.cache.Get(key); ok {
		return v, nil
	}
	v, err, _ := b.flights.Do(key, func() (any, error) {
		v, err := b.load(ctx, key)
		if err == nil {
			b.cache.SetWithTTL(key, v, 1, ttl)
		}
		return v, err
	})
	return v.(Row), err
}
