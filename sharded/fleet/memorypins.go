package fleet

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// DefaultMaxPins is what [NewMemoryPins] takes zero for.
const DefaultMaxPins = 65_536

// MemoryPins are [Pins] in the memory of one process. Processes that share shards
// must make the same pins, or keys are in two places.
//
// Reading takes no lock, so that a hot key can be a pinned one. For that a change
// copies its part of the pins, a 256th of them.
type MemoryPins[K comparable] struct {
	most    int64
	seed    maphash.Seed
	pins    atomic.Int64
	version atomic.Uint64
	stripes [256]pinStripe[K]

	hits, misses, pinned, moved, unpinned atomic.Uint64
}

type pinStripe[K comparable] struct {
	mu   sync.Mutex // held by whoever replaces pins
	pins atomic.Pointer[map[K]string]
}

var _ Pins[string] = (*MemoryPins[string])(nil)

// PinStats is what [MemoryPins] counted since they were made.
type PinStats struct {
	Pins                    int    // how many there are
	Hits, Misses            uint64 // Get and GetOrPin that found a pin, and that found none
	Pinned, Moved, Unpinned uint64 // pins that were made, that TryPin changed, that were taken away
}

// NewMemoryPins returns no pins, with room for most; zero is [DefaultMaxPins]. Below
// zero is an error.
func NewMemoryPins[K comparable](most int) (*MemoryPins[K], error) {
	switch {
	case most < 0:
		return nil, option("NewMemoryPins: most", most, fmt.Sprintf("must not be below 0 (%d)", DefaultMaxPins))
	case most == 0:
		most = DefaultMaxPins
	}
	return &MemoryPins[K]{most: int64(most), seed: maphash.MakeSeed()}, nil
}

// Get returns the shard that key is pinned to. The error is always nil.
func (p *MemoryPins[K]) Get(_ context.Context, key K) (shard string, ok bool, err error) {
	if shard, ok = p.lookup(key); ok {
		p.hits.Add(1)
	} else {
		p.misses.Add(1)
	}
	return shard, ok, nil
}

// lookup is Get for every call of a fleet, which would meet at a counter.
func (p *MemoryPins[K]) lookup(key K) (shard string, ok bool) {
	if p.pins.Load() == 0 {
		return "", false
	}
	shard, ok = p.stripe(key).load()[key]
	return shard, ok
}

func (p *MemoryPins[K]) stripe(key K) *pinStripe[K] {
	return &p.stripes[maphash.Comparable(p.seed, key)%uint64(len(p.stripes))]
}

func (s *pinStripe[K]) load() map[K]string {
	if m := s.pins.Load(); m != nil {
		return *m
	}
	return nil
}

// GetOrPin returns the shard that key is pinned to, and pins it to shard if there is
// none: then it is [ErrPinsFull] if there is no room. A key that is not equal to
// itself is [corral.ErrInvalidKey].
func (p *MemoryPins[K]) GetOrPin(ctx context.Context, key K, shard string) (owner string, pinned bool, err error) {
	if err := checkShard("shard", shard); err != nil {
		return "", false, err
	}
	if owner, ok := p.lookup(key); ok { // most racers come after the first
		p.hits.Add(1)
		return owner, false, nil
	}
	owner, pinned, err = p.change(key, "", shard)
	switch {
	case pinned:
		p.misses.Add(1)
	case err == nil:
		p.hits.Add(1)
	}
	return owner, pinned, err
}

// TryPin pins key to new if it is pinned to old, or, where old is empty, not at all:
// then it is [ErrPinsFull] if there is no room.
func (p *MemoryPins[K]) TryPin(_ context.Context, key K, old, new string) (owner string, ok bool, err error) {
	if err := checkShard("new", new); err != nil {
		return "", false, err
	}
	return p.change(key, old, new)
}

// Unpin takes the pin of key away if it is old.
func (p *MemoryPins[K]) Unpin(_ context.Context, key K, old string) (bool, error) {
	if old == "" {
		return false, nil
	}
	_, ok, err := p.change(key, old, "")
	return ok, err
}

// change replaces a pin if it is old; empty stands for no pin.
func (p *MemoryPins[K]) change(key K, old, new string) (owner string, ok bool, err error) {
	defer bounded.Recover("the key", &err) // one that holds what cannot be hashed
	if !same(key, key) {
		return "", false, corral.ErrInvalidKey
	}
	s := p.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	pins := s.load()
	if now := pins[key]; now != old {
		return now, false, nil
	}
	if old == new {
		return new, true, nil // no change, no new version
	}
	if old == "" && !p.reserve() {
		return "", false, ErrPinsFull
	}
	p.replaceLocked(s, key, new)
	p.count(old, new)
	return new, true, nil
}

func same[K comparable](a, b K) bool { return a == b }

// reserve makes room for one more, if there is any.
func (p *MemoryPins[K]) reserve() bool {
	for {
		n := p.pins.Load()
		if n >= p.most {
			return false
		}
		if p.pins.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (p *MemoryPins[K]) replaceLocked(s *pinStripe[K], key K, shard string) {
	next := maps.Clone(s.load())
	switch {
	case shard == "":
		delete(next, key)
	case next == nil:
		next = map[K]string{key: shard}
	default:
		next[key] = shard
	}
	s.pins.Store(&next)
	p.version.Add(1) // who reads the version first and then the pins has them all
}

func (p *MemoryPins[K]) count(old, new string) {
	switch {
	case old == "":
		p.pinned.Add(1)
	case new == "":
		p.pins.Add(-1)
		p.unpinned.Add(1)
	default:
		p.moved.Add(1)
	}
}

// All visits every pin. The error is what ended ctx.
func (p *MemoryPins[K]) All(ctx context.Context) iter.Seq2[Pin[K], error] {
	return func(yield func(Pin[K], error) bool) {
		for i := range p.stripes {
			if ctx.Err() != nil {
				yield(Pin[K]{}, context.Cause(ctx))
				return
			}
			for key, shard := range p.stripes[i].load() {
				if !yield(Pin[K]{key, shard}, nil) {
					return
				}
			}
		}
	}
}

// Compact takes away the pins that keep returns false for. keep is called under no
// lock; its panic is an error.
func (p *MemoryPins[K]) Compact(ctx context.Context, keep func(Pin[K]) bool) (removed int, err error) {
	return CompactPins(ctx, p, keep)
}

// Version counts the changes. The error is always nil.
func (p *MemoryPins[K]) Version(context.Context) (uint64, error) { return p.version.Load(), nil }

// Stats returns what was counted.
func (p *MemoryPins[K]) Stats() PinStats {
	return PinStats{
		Pins: int(p.pins.Load()), Hits: p.hits.Load(), Misses: p.misses.Load(),
		Pinned: p.pinned.Load(), Moved: p.moved.Load(), Unpinned: p.unpinned.Load(),
	}
}
