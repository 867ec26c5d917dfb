package contender

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// x/sync: Do, which knows no context, and DoChan beside the context's end, which
// is how a caller that heeds its context uses it.

func init() {
	register(Contender{Name: "x/sync Do", Module: xsyncModule, Flight: func() Flights { return new(xsyncDo) }})
	register(Contender{Name: "x/sync DoChan, select", Module: xsyncModule, FlightCtx: func() Flights { return new(xsyncChan) }})
}

type xsyncDo struct{ g singleflight.Group }

func (f *xsyncDo) Fly(_ context.Context, keys []string, from, n int) error {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		if _, err, _ := f.g.Do(keys[i&mask], nothingAny); err != nil {
			return err
		}
	}
	return nil
}

func (f *xsyncDo) With(fn Load) Call {
	load := func() (any, error) { return fn(context.Background()) }
	return func(_ context.Context, key string) (int, error) {
		v, err, _ := f.g.Do(key, load)
		n, _ := v.(int)
		return n, err
	}
}

type xsyncChan struct{ g singleflight.Group }

func (f *xsyncChan) Fly(ctx context.Context, keys []string, from, n int) error {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		select {
		case r := <-f.g.DoChan(keys[i&mask], nothingAny):
			if r.Err != nil {
				return r.Err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (f *xsyncChan) With(fn Load) Call {
	load := func() (any, error) { return fn(context.Background()) }
	return func(ctx context.Context, key string) (int, error) {
		select {
		case r := <-f.g.DoChan(key, load):
			n, _ := r.Val.(int)
			return n, r.Err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
