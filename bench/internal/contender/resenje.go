package contender

import (
	"context"

	"resenje.org/singleflight"
)

func init() {
	register(Contender{Name: "resenje", Module: "resenje.org/singleflight", Flight: newResenje, FlightCtx: newResenje})
}

type resenje struct {
	g singleflight.Group[string, int]
}

func newResenje() Flights { return new(resenje) }

func (f *resenje) Fly(ctx context.Context, keys []string, from, n int) error {
	fn, mask := nothing, len(keys)-1
	for i := from; i < from+n; i++ {
		if _, _, err := f.g.Do(ctx, keys[i&mask], fn); err != nil {
			return err
		}
	}
	return nil
}

func (f *resenje) With(fn Load) Call {
	return func(ctx context.Context, key string) (int, error) {
		v, _, err := f.g.Do(ctx, key, fn)
		return v, err
	}
}
