package fleet

import (
	"context"
	"math/bits"
	"time"

	"github.com/corralcache/corral"
)

// Hash hashes a key as a fleet with these options does.
func Hash[K comparable](key K, keyBytes func([]byte, K) []byte, secret *[16]byte) (uint64, error) {
	h, err := newHasher(keyBytes, secret)
	if err != nil {
		return 0, err
	}
	return h.hash(key)
}

// Hasher hashes keys that need no KeyBytes.
func Hasher[K comparable](secret *[16]byte) func(K) uint64 {
	h, err := newHasher[K](nil, secret)
	if err != nil {
		panic(err)
	}
	return func(key K) uint64 { sum, _ := h.hash(key); return sum }
}

// NLog2 is nlog2, and its unit.
func NLog2(score uint64) (n uint64, unit float64) {
	return nlog2(nlogTable(), score), 1.0 / (1 << nlogBits)
}

// Weighted makes the router for unequal weights also of equal ones.
func Weighted(t Topology) Router {
	r, _ := Rendezvous()(t)
	ids, equal := r.(equalWeights)
	if !equal {
		return r
	}
	weights := make([]uint64, len(ids))
	for i := range weights {
		weights[i] = 7
	}
	return &unequalWeights{ids, weights, nlogTable()}
}

// OfCells returns a score for each end of a cell of the table, and one before it.
func OfCells(yield func(score uint64) bool) {
	for zeros := range 64 {
		for cell := range uint64(nlogCells) {
			m := (1<<63 | cell<<(63-indexBits)) >> zeros
			if bits.LeadingZeros64(m) != zeros || !yield(m-1) || !yield(m) {
				break
			}
		}
	}
}

// LookUp is how a fleet reads pins in memory.
func LookUp[K comparable](p *MemoryPins[K], key K) (string, bool) { return p.lookup(key) }

// Pinned is what a fleet takes a key to be pinned to.
func Pinned[K comparable, V any](f *Fleet[K, V], key K) (string, bool) { return f.pins.peek(key) }

// SetOut has a shard count as out, or not.
func SetOut[K comparable, V any](f *Fleet[K, V], id string, out bool) {
	l := f.placed.Load().layout
	l.members[l.at[id]].vitals.setFlag(flagOut, out)
}

// Buffer is how many items of a Scan wait for its loop.
const Buffer = buffer

// Sizer decides over the size of pages.
type Sizer struct{ s sizer }

// NewSizer makes a Sizer, or says why p cannot work.
func NewSizer(p PageSize) (*Sizer, error) {
	p, err := p.complete()
	return &Sizer{newSizer(p)}, err
}

// Learn returns the size after a page that took so long.
func (s *Sizer) Learn(took time.Duration) (size int, oscillates bool) {
	s.s.learn(took)
	return s.s.size, s.s.oscillates()
}

// Size is that of the next page.
func (s *Sizer) Size() int { return s.s.size }

// Pace says how many batches of a migration there may be at a time, and with what pause
// before each, after some that took so long.
func Pace(workers int, latency time.Duration, took ...time.Duration) (limit float64, pause time.Duration) {
	p := newPace(workers, latency, 0)
	for _, t := range took {
		p.busy++
		p.leave(t, 0)
	}
	return p.limit, p.pause
}

// PageOfGroup is ScanPage of the first group, which migrations ask.
func PageOfGroup[K comparable, V any](ctx context.Context, f *Fleet[K, V], cursor string, count int) ([]corral.ScanItem[K, V], string, error) {
	return f.placed.Load().layout.members[0].scanner.ScanPage(ctx, cursor, count, true)
}
