package layered

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// Cache is two caches as one: near holds copies of what far holds. Make it with
// [New]. All calls are safe for concurrent use. It holds, for each key whose far
// call is under way, some 100 bytes, and has no goroutine of its own.
type Cache[K comparable, V any] struct {
	near, far corral.Cache[K, V]
	era       era

	settler  corral.Settler[K]       // near's; nil if it buffers nothing
	glancer  corral.Glancer[K, V]    // near; nil if it does not glance
	plain    corral.PlainCache[K, V] // far; nil if it holds entries
	leaser   corral.Leaser[K, V]     // far; nil if it gives no leases
	listener corral.Listener[K]      // far; nil if it hears of no writes

	nearMany, farMany corral.BatchCache[K, V]  // nil for one that takes one key at a time
	leaserMany        corral.BatchLeaser[K, V] // leaser; nil if it does

	opts    Options
	fault   error // what Check returns
	window  atomic.Int64
	seed    maphash.Seed
	stripes *[numStripes]stripe[K] // apart from era, which every hit reads
}

var (
	_ corral.Cache[string, any]   = (*Cache[string, any])(nil)
	_ corral.Layered[string, any] = (*Cache[string, any])(nil)
	_ corral.Leaser[string, any]  = (*Cache[string, any])(nil)
	_ corral.Listener[string]     = (*Cache[string, any])(nil)
	_ corral.Settler[string]      = (*Cache[string, any])(nil)
	_ corral.Far                  = (*Cache[string, any])(nil)
	_ corral.Prompt               = (*Cache[string, any])(nil)
	_ corral.Checker              = (*Cache[string, any])(nil)
)

// New returns a cache over near, which is in this process's memory and holds
// entries, and far, which is far ([corral.Far]). near is the cache's own from
// then on: nobody else may write to it. Whether the two fit is what
// [Cache.Check] says, which [corral.New] asks.
func New[K comparable, V any](near, far corral.Cache[K, V], opts Options) *Cache[K, V] {
	c := &Cache[K, V]{near: near, far: far, opts: opts.withDefaults(), seed: maphash.MakeSeed(), stripes: new([numStripes]stripe[K])}
	c.window.Store(unknown)
	c.era.turn(false)
	if c.fault = check(near, far, opts); c.fault != nil {
		c.near, c.far = broken[K, V]{c.fault}, broken[K, V]{c.fault}
		return c
	}
	c.settler, _ = near.(corral.Settler[K])
	c.plain, _ = far.(corral.PlainCache[K, V])
	c.listener, _ = far.(corral.Listener[K])
	c.glancer, _ = near.(corral.Glancer[K, V])
	c.nearMany, _ = near.(corral.BatchCache[K, V])
	c.farMany, _ = far.(corral.BatchCache[K, V])
	if l, ok := far.(corral.Leaser[K, V]); ok && l.LeaseLife() > 0 {
		c.leaser = l
		c.leaserMany, _ = l.(corral.BatchLeaser[K, V])
	}
	return c
}

// Get returns near's copy of the entry of key, else what far holds, which it
// copies into near. An error is far's: one of near's is a miss there.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	e, err := (*nearLayer[K, V])(c).Get(ctx, key)
	if err != nil {
		c.report(err)
	}
	if e != nil && err == nil {
		return e, nil
	}
	return c.readFar(ctx, key)
}

// Set stores e in far, and a copy in near. After an error near holds nothing of
// key; what far holds, its error says.
func (c *Cache[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) (err error) {
	c.learn(e)
	w := c.beginWrite(key)
	err = errExited // unless far returns
	defer func() {
		copied, failed := c.endSet(ctx, w, e, err)
		c.report(copied)
		if err == nil {
			err = failed
		}
	}()
	return c.far.Set(ctx, key, e)
}

// Delete deletes key in near and in far. It is an error if either fails. While
// it runs nothing is copied into near, and no read of far that had begun before
// is copied after it.
func (c *Cache[K, V]) Delete(ctx context.Context, key K) error {
	w := c.beginWrite(key)
	defer c.endDelete(w)
	dropped := c.drop(ctx, key)
	err := c.far.Delete(ctx, key)
	if dropped == nil {
		return err
	}
	return errors.Join(fmt.Errorf("layered: near: %w", dropped), err)
}

// Settle waits until near shows the copy that it was given of key, if near
// buffers its writes. It returns nil also if near did not take it: far has the
// entry. Options.NearError is told.
func (c *Cache[K, V]) Settle(ctx context.Context, key K) error {
	if c.settler != nil {
		c.report(c.settler.Settle(ctx, key))
	}
	return nil
}

// Far returns true: what near does not hold costs a round trip.
func (c *Cache[K, V]) Far() bool { return true }

// Prompt returns what far's method of that name does, false without one: near is
// memory.
func (c *Cache[K, V]) Prompt() bool {
	p, ok := c.far.(corral.Prompt)
	return ok && p.Prompt()
}

// Layers returns the two layers. The near one is read only; what is read from
// the far one is copied into near. Written to, each writes to both. Each is a
// [corral.BatchCache] if the cache that New was given is, near a [corral.Glancer],
// and far as prompt as that one ([corral.Prompt]).
func (c *Cache[K, V]) Layers() (near, far corral.Cache[K, V]) {
	n, f := (*nearLayer[K, V])(c), (*farLayer[K, V])(c)
	near, far = n, f
	switch {
	case c.nearMany != nil && c.glancer != nil:
		near = glancingBatch[K, V]{nearBatch[K, V]{n}}
	case c.nearMany != nil:
		near = nearBatch[K, V]{n}
	case c.glancer != nil:
		near = glancingNear[K, V]{n}
	}
	if c.farMany != nil {
		far = farBatch[K, V]{f}
	}
	return near, far
}

// nearLayer is a Cache whose Get looks into near alone.
type nearLayer[K comparable, V any] Cache[K, V]

// Get is on the way of every hit, and costs it one atomic load.
func (n *nearLayer[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	e, err := n.near.Get(ctx, key)
	if e != nil && err == nil && n.serves(e) {
		return e, nil
	}
	return nil, err
}

func (n *nearLayer[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	return (*Cache[K, V])(n).Set(ctx, key, e)
}

func (n *nearLayer[K, V]) Delete(ctx context.Context, key K) error {
	return (*Cache[K, V])(n).Delete(ctx, key)
}

// glancingNear and glancingBatch are near layers over a near cache that glances.
type (
	glancingNear[K comparable, V any]  struct{ *nearLayer[K, V] }
	glancingBatch[K comparable, V any] struct{ nearBatch[K, V] }
)

func (n glancingNear[K, V]) Glance(ctx context.Context, key K) (corral.Glance[V], error) {
	return n.glance(ctx, key)
}

func (n glancingBatch[K, V]) Glance(ctx context.Context, key K) (corral.Glance[V], error) {
	return n.glance(ctx, key)
}

// glance is near's. It looks at the entry, for its Version.
func (n *nearLayer[K, V]) glance(ctx context.Context, key K) (corral.Glance[V], error) {
	g, err := n.glancer.Glance(ctx, key)
	if err != nil || g.Entry == nil || n.serves(g.Entry) {
		return g, err
	}
	return corral.Glance[V]{}, nil
}

// farLayer is a Cache whose Get passes near by.
type farLayer[K comparable, V any] Cache[K, V]

func (f *farLayer[K, V]) Get(ctx context.Context, key K) (*corral.Entry[V], error) {
	return (*Cache[K, V])(f).readFar(ctx, key)
}

func (f *farLayer[K, V]) Prompt() bool { return (*Cache[K, V])(f).Prompt() }

func (f *farLayer[K, V]) Set(ctx context.Context, key K, e *corral.Entry[V]) error {
	return (*Cache[K, V])(f).Set(ctx, key, e)
}

func (f *farLayer[K, V]) Delete(ctx context.Context, key K) error {
	return (*Cache[K, V])(f).Delete(ctx, key)
}

// readFar reads far and copies what it finds into near:
//
//  1. The fill is registered.
//  2. Far is read.
//  3. Another process deletes the key and announces it: the fill is detached.
//  4. What was read in 2 is not copied. Had the fill been registered only now,
//     near would serve the deleted value until its end.
func (c *Cache[K, V]) readFar(ctx context.Context, key K) (e *corral.Entry[V], err error) {
	f := c.beginFill(key)
	defer func() { c.endFill(ctx, f, e) }()
	if c.plain == nil {
		e, err = c.far.Get(ctx, key)
	} else {
		e, err = c.readPlain(ctx, key)
	}
	if err != nil {
		e = nil
	}
	return e, err
}

var errExited = errors.New("layered: the far cache ended the goroutine of its call")

// report tells the user of an error of near that fails no call. A refusal is no
// error: near does not take everything, by a policy of its own.
func (c *Cache[K, V]) report(err error) {
	if err == nil || errors.Is(err, corral.ErrRefused) || c.opts.NearError == nil {
		return
	}
	var panicked error
	defer bounded.Recover("Options.NearError", &panicked)
	c.opts.NearError(err)
}
