package fleet

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

const (
	pinsEvery   = time.Second     // a copy this old is looked after by who comes across it
	pinsOldest  = 2 * time.Second // who comes across one this old waits for that
	pinsTimeout = 2 * time.Second // of one look
	maxPinCopy  = 1 << 20
)

// pinCopy is a copy of Pins that are elsewhere. Nothing runs while there are no
// calls: the copy grows old, and the next call has it looked after.
type pinCopy[K comparable] struct {
	pins  Pins[K]
	hooks Hooks
	table atomic.Pointer[pinTable[K]]
	age   atomic.Int32 // young, due, old

	mu      sync.Mutex
	looking chan struct{} // guarded by mu; closed when the look under way has ended
	timer   *time.Timer   // guarded by mu; makes the copy older
	stopped bool          // guarded by mu
}

const (
	young int32 = iota
	due
	old
)

// pinTable is what the Pins held at a version. It never changes.
type pinTable[K comparable] struct {
	version uint64
	shards  map[K]string
}

func (c *pinCopy[K]) find(ctx context.Context, key K) (shard string, ok bool) {
	if age := c.age.Load(); age != young {
		c.look(ctx, age == old)
	}
	return c.peek(key)
}

func (c *pinCopy[K]) peek(key K) (shard string, ok bool) {
	shard, ok = c.table.Load().shards[key]
	return shard, ok
}

// look sees to it that the copy is looked after, by one at a time, and waits for
// that if the caller shall.
func (c *pinCopy[K]) look(ctx context.Context, wait bool) {
	c.mu.Lock()
	looking := c.looking
	if looking == nil && !c.stopped && c.age.Load() != young {
		looking = make(chan struct{})
		c.looking = looking
		go c.lookNow(context.WithoutCancel(ctx), looking)
	}
	c.mu.Unlock()
	if !wait || looking == nil {
		return
	}
	select {
	case <-looking:
	case <-ctx.Done(): // the call, which goes by what is known, will say so
	}
}

func (c *pinCopy[K]) lookNow(ctx context.Context, looking chan struct{}) {
	bound, cancel := context.WithTimeout(ctx, pinsTimeout)
	defer cancel()
	if err := c.read(bound); err != nil {
		c.hooks.pinsError(ctx, err)
	}
	c.rest()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looking = nil
	close(looking)
}

// rest makes the copy young, whatever came of the look: Pins that fail are not asked
// more often than others.
func (c *pinCopy[K]) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age.Store(young)
	c.growOldLocked(due, pinsEvery)
}

// growOldLocked makes the copy older after a while, unless it is made young before.
func (c *pinCopy[K]) growOldLocked(to int32, after time.Duration) {
	if c.timer != nil {
		c.timer.Stop()
	}
	if c.stopped {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer != timer { // it was stopped too late
			return
		}
		if c.age.Store(to); to == due {
			c.growOldLocked(old, pinsOldest-pinsEvery)
		}
	})
	c.timer = timer
}

// read reads the pins if their version is another one.
func (c *pinCopy[K]) read(ctx context.Context) error {
	next, err := bounded.Do(ctx, func(ctx context.Context) (*pinTable[K], error) {
		version, err := c.pins.Version(ctx) // first: what changes from here on has a later one
		if now := c.table.Load(); err != nil || now != nil && now.version == version {
			return nil, err
		}
		t := &pinTable[K]{version: version, shards: map[K]string{}}
		for pin, err := range c.pins.All(ctx) {
			switch {
			case err != nil:
				return nil, err
			case len(t.shards) >= maxPinCopy:
				return nil, fmt.Errorf("%w: more than %d", ErrPinsFull, maxPinCopy)
			}
			t.shards[pin.Key] = pin.Shard
		}
		return t, context.Cause(ctx)
	})
	if err == nil && next != nil {
		c.table.Store(next)
	}
	return err
}

// learn puts into the copy what a key is pinned to now, if it has it as before.
func (c *pinCopy[K]) learn(key K, before, now string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.table.Load()
	if t.shards[key] != before {
		return
	}
	shards := maps.Clone(t.shards)
	if shards[key] = now; now == "" {
		delete(shards, key)
	}
	c.table.CompareAndSwap(t, &pinTable[K]{t.version, shards})
}

func (c *pinCopy[K]) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
