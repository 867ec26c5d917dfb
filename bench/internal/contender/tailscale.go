package contender

import (
	"context"

	"tailscale.com/util/singleflight"
)

func init() {
	const module = "tailscale.com"
	register(Contender{Name: "tailscale Do", Module: module, Flight: func() Flights { return new(tailscaleDo) }})
	register(Contender{Name: "tailscale DoChanContext, select", Module: module, FlightCtx: func() Flights { return new(tailscaleChan) }})
}

type tailscaleDo struct {
	g singleflight.Group[string, int]
}

func nothingInt() (int, error) { return 1, nil }

func (f *tailscaleDo) Fly(_ context.Context, keys []string, from, n int) error {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		if _, err, _ := f.g.Do(keys[i&mask], nothingInt); err != nil {
			return err
		}
	}
	return nil
}

func (f *tailscaleDo) With(fn Load) Call {
	load := func() (int, error) { return fn(context.Background()) }
	return func(_ context.Context, key string) (int, error) {
		v, err, _ := f.g.Do(key, load)
		return v, err
	}
}

type tailscaleChan struct {
	g singleflight.Group[string, int]
}

func (f *tailscaleChan) Fly(ctx context.Context, keys []string, from, n int) error {
	mask := len(keys) - 1
	for i := from; i < from+n; i++ {
		if _, err := f.do(ctx, keys[i&mask], nothing); err != nil {
			return err
		}
	}
	return nil
}

func (f *tailscaleChan) With(fn Load) Call {
	return func(ctx context.Context, key string) (int, error) { return f.do(ctx, key, fn) }
}

func (f *tailscaleChan) do(ctx context.Context, key string, fn Load) (int, error) {
	select {
	case r := <-f.g.DoChanContext(ctx, key, fn):
		return r.Val, r.Err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}
