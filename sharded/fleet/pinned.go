package fleet

import (
	"context"
	"fmt"

	"github.com/corralcache/corral/internal/bounded"
)

// pinned is how a fleet reads its Pins: where they are, if that is in memory, else
// from a copy. The zero value is no pins.
type pinned[K comparable] struct {
	pins   Pins[K]
	memory *MemoryPins[K] // pins, if it is that
	copy   *pinCopy[K]    // of pins, if not
}

func newPinned[K comparable](ctx context.Context, pins Pins[K], hooks Hooks) (p pinned[K], err error) {
	if isNil(pins) {
		return p, nil
	}
	p.pins = pins
	if m, ok := pins.(*MemoryPins[K]); ok {
		p.memory = m
		return p, nil
	}
	p.copy = &pinCopy[K]{pins: pins, hooks: hooks}
	if err := p.copy.read(ctx); err != nil {
		return p, fmt.Errorf("fleet: Options.Pins: %w", err)
	}
	p.copy.rest()
	return p, nil
}

// find returns the shard that key is pinned to.
func (p *pinned[K]) find(ctx context.Context, key K) (shard string, ok bool) {
	switch {
	case p.memory != nil:
		return p.memory.lookup(key)
	case p.copy != nil:
		return p.copy.find(ctx, key)
	default:
		return "", false
	}
}

// peek is find that waits for nothing.
func (p *pinned[K]) peek(key K) (shard string, ok bool) {
	switch {
	case p.memory != nil:
		return p.memory.lookup(key)
	case p.copy != nil:
		return p.copy.peek(key)
	default:
		return "", false
	}
}

// ask asks the Pins themselves; an empty shard is none.
func (p *pinned[K]) ask(ctx context.Context, key K) (shard string, err error) {
	if p.pins == nil {
		return "", nil
	}
	return bounded.Do(ctx, func(ctx context.Context) (string, error) {
		shard, ok, err := p.pins.Get(ctx, key)
		if err != nil {
			return "", fmt.Errorf("fleet: Options.Pins: %w", err)
		}
		if !ok {
			return "", nil
		}
		return shard, nil
	})
}

// move moves a pin from the shard gone to another one, and returns what key is
// pinned to then, and whether this call has done that.
func (p *pinned[K]) move(ctx context.Context, key K, gone, to string) (owner string, moved bool, err error) {
	type pin struct {
		owner string
		moved bool
	}
	now, err := bounded.Do(ctx, func(ctx context.Context) (now pin, err error) {
		now.owner, now.moved, err = p.pins.TryPin(ctx, key, gone, to)
		return now, err
	})
	if err == nil && p.copy != nil {
		p.copy.learn(key, gone, now.owner)
	}
	return now.owner, now.moved, err
}

func (p *pinned[K]) stop() {
	if p.copy != nil {
		p.copy.stop()
	}
}
