package layered

import (
	"context"
	"math"
	"time"

	"github.com/corralcache/corral"
)

const (
	unknown = -1 // of the window
	noEnd   = time.Duration(math.MaxInt64)
)

// A bare value tells what is left of its life, of which the last part is the
// window in which it is stale. How long that is, what is written tells: it is the
// same for all that a Loader writes. Until something was written, a value with an
// end is of unknown age, and counts as stale.

// learn learns the window from an entry that is written.
func (c *Cache[K, V]) learn(e *corral.Entry[V]) {
	if c.plain != nil && e != nil && !e.Absent && e.Keep != noEnd {
		c.window.Store(int64(max(0, e.Keep-max(0, e.TTL))))
	}
}

func (c *Cache[K, V]) readPlain(ctx context.Context, key K) (*corral.Entry[V], error) {
	asked := time.Now()
	v, life, ok, err := c.plain.GetValue(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	if life < 0 {
		life = noEnd
	}
	return c.entry(v, life, asked), nil
}

// entry makes an entry of a value of which life was left when it was asked for,
// or a little later: the entry ends no later than the value.
func (c *Cache[K, V]) entry(v V, life time.Duration, asked time.Time) *corral.Entry[V] {
	window := time.Duration(c.window.Load())
	switch {
	case life == noEnd:
		return &corral.Entry[V]{Value: v, LoadedAt: asked, TTL: noEnd, Keep: noEnd}
	case window == unknown:
		return &corral.Entry[V]{Value: v, Keep: life}
	}
	return &corral.Entry[V]{Value: v, LoadedAt: asked, TTL: life - window, Keep: life}
}

// acquirePlain speaks far's language: entries as its Get returns them.
func (c *Cache[K, V]) acquirePlain(ctx context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	if r.Seen != nil {
		r.Seen = &corral.Entry[V]{Value: r.Seen.Value, Keep: r.Seen.Keep}
	}
	asked := time.Now()
	l, err := c.leaser.Acquire(ctx, key, r)
	if err == nil && l.Entry != nil {
		l.Entry = c.entry(l.Entry.Value, l.Entry.Keep, asked)
	}
	return l, err
}
