package fleet

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/corralcache/corral"
)

// copies are those under way between shards in the memory of this process, which
// have no lease that a write could end: instead a write detaches the copy of its
// key. A copy is known from before it reads until it has stored.
type copies[K comparable, V any] struct {
	alive atomic.Int64 // how many there are; a write looks here first

	mu    sync.Mutex
	byKey map[K]*aCopy // guarded by mu
}

// aCopy is one of them.
type aCopy struct {
	detached bool          // guarded by copies.mu; it may not begin to store
	storing  bool          // guarded by copies.mu
	ended    chan struct{} // closed when it has stored, or will not
}

// make reads a value with read and, unless a write came meanwhile or another copy is
// under way, stores it with store. It returns what was read. It stores nothing if the
// copy, once that is known, is no longer valid: see errReplaced. refused is told if what
// was read is not stored.
func (c *copies[K, V]) make(key K, valid func() bool, read func() (*corral.Entry[V], error), store func(*corral.Entry[V]) error, refused func()) (*corral.Entry[V], error) {
	own := c.begin(key)
	if own == nil {
		return read()
	}
	defer c.end(key, own)
	lasts := valid()
	e, err := read()
	switch {
	case err != nil || e == nil:
		return e, err
	case !lasts || !c.mayStore(own):
		refused()
		return e, nil
	}
	return e, store(e)
}

// begin returns nil if a copy of key is under way.
func (c *copies[K, V]) begin(key K) *aCopy {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil {
		return nil
	}
	if c.byKey == nil {
		c.byKey = map[K]*aCopy{}
	}
	own := &aCopy{ended: make(chan struct{})}
	c.byKey[key] = own
	c.alive.Add(1)
	return own
}

func (c *copies[K, V]) mayStore(own *aCopy) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	own.storing = !own.detached
	return own.storing
}

func (c *copies[K, V]) end(key K, own *aCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byKey, key)
	c.alive.Add(-1)
	close(own.ended)
}

// detach keeps copies of the keys from storing what they have read, and waits for
// those that are at it.
func (c *copies[K, V]) detach(ctx context.Context, keys ...K) error {
	if c.alive.Load() == 0 {
		return nil
	}
	var errs []error
	for _, key := range keys {
		storing := c.detachOne(key)
		if storing == nil {
			continue
		}
		select {
		case <-storing:
		case <-ctx.Done():
			errs = append(errs, context.Cause(ctx))
		}
	}
	return errors.Join(errs...)
}

// detachOne returns what to wait for, nil for nothing.
func (c *copies[K, V]) detachOne(key K) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.byKey[key]
	if own == nil {
		return nil
	}
	if own.detached = true; !own.storing {
		return nil
	}
	return own.ended
}
