package corral

import (
	"context"
	"sync"
	"time"
)

// Control lets a load decide about the entry that it makes. The context of a
// load carries one; see [FromContext]. What is said after the load has returned
// has no effect. Its methods are safe for concurrent use.
type Control[V any] struct {
	previous *Entry[V] // nil if there is none; not changed once the load runs

	mu      sync.Mutex
	ttl     time.Duration // guarded by mu
	ttlSet  bool          // guarded by mu
	noStore bool          // guarded by mu
}

// FromContext returns the control of the load that was given ctx, or a context
// made from it. It returns false outside of a load, or if V is not the loader's.
func FromContext[V any](ctx context.Context) (*Control[V], bool) {
	if ctx == nil {
		return nil, false
	}
	c, ok := ctx.Value(controlKey{}).(*Control[V])
	return c, ok
}

// FromContextKey returns the control of key. In a load of several keys it is the
// way to name one; inside loads within loads it finds the one that loads key.
func FromContextKey[K comparable, V any](ctx context.Context, key K) (*Control[V], bool) {
	if ctx == nil {
		return nil, false
	}
	c, ok := ctx.Value(controlOf[K]{key}).(*Control[V])
	return c, ok
}

type controlKey struct{}

type controlOf[K comparable] struct{ key K }

// SetTTL makes the entry fresh for ttl instead of the loader's TTL, or for an
// absent one AbsentTTL. Jitter applies to it. A ttl of zero or less means
// [Control.NoStore].
func (c *Control[V]) SetTTL(ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ttl, c.ttlSet = ttl, true
}

// NoStore keeps what the load returns out of the cache. Its callers get it. What
// the cache holds stays.
func (c *Control[V]) NoStore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noStore = true
}

// Previous returns the value that the cache held when the load's flight read it,
// fresh or not. A load that finds it unchanged can return [ErrNotModified].
func (c *Control[V]) Previous() (V, bool) {
	if c.previous == nil || c.previous.Absent {
		var none V
		return none, false
	}
	return c.previous.Value, true
}

// decided returns what the load said, given the TTL that holds otherwise.
func (c *Control[V]) decided(otherwise time.Duration) (ttl time.Duration, store bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ttlSet {
		return otherwise, !c.noStore
	}
	return c.ttl, !c.noStore && c.ttl > 0
}

// loadContext is what a load is given.
type loadContext[K comparable, V any] struct {
	context.Context
	key     K
	control *Control[V]
	slots   *slots
	slot    *slot
}

// Value knows the load's control and slot, and else what the caller's context
// knows.
func (c *loadContext[K, V]) Value(key any) any {
	switch k := key.(type) {
	case controlKey:
		return c.control
	case controlOf[K]:
		if k.key == c.key {
			return c.control
		}
	case slotKey:
		if k.of == c.slots {
			return c.slot
		}
	}
	return c.Context.Value(key)
}
