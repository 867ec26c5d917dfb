package sharded

import (
	"context"
	"sync/atomic"

	"github.com/corralcache/corral/internal/flight"
)

// channel receives the result of one DoChan call, the first one that is sent.
type channel[V any] struct {
	sent    atomic.Bool
	results chan Result[V]
}

func (c *channel[V]) send(r Result[V]) bool {
	first := c.sent.CompareAndSwap(false, true)
	if first {
		c.results <- r
	}
	return first
}

// watch joins the flight of key for c. No goroutine waits: the flight's landing
// and the end of ctx each call back.
func (g *Group[K, V]) watch(ctx context.Context, s flight.Spot[K, V], key K, fn func(context.Context) (V, error), c *channel[V]) {
	if ctx.Err() != nil {
		c.send(Result[V]{Err: context.Cause(ctx)})
		return
	}
	var none V
	f, role, _ := g.table.Join(ctx, s, key, none, false, false)
	release, ok := f.Hold(ctx)
	if !ok {
		if role != flight.Queued {
			f.Leave()
		}
		c.send(Result[V]{Err: ErrRecursiveLoad})
		return
	}
	if role == flight.Leader {
		f.Go(fn)
	}
	stop := context.AfterFunc(ctx, func() {
		if c.send(Result[V]{Err: context.Cause(ctx)}) {
			release()
			if role != flight.Queued {
				f.Leave()
			}
		}
	})
	f.Notify(func() {
		release()
		if role == flight.Queued {
			if stop() { // else ctx ended, and its callback answers
				g.watch(ctx, s, key, fn, c)
			}
			return
		}
		v, err := f.Outcome()
		stop()
		c.send(Result[V]{v, f.Shared(), err})
	})
}
