package counting

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Buckets is how many a Histogram has.
const Buckets = 32

// Histogram counts durations, bucket i those below 2^i µs that no earlier one counts, and
// the last everything longer too. The zero value is one of none.
type Histogram struct {
	counts [Buckets]atomic.Uint64
	sum    atomic.Int64
}

// Add counts d.
func (h *Histogram) Add(d time.Duration) {
	i := bits.Len64(uint64(max(0, d) / time.Microsecond))
	h.counts[min(i, Buckets-1)].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot returns the counts, and the sum of the durations.
func (h *Histogram) Snapshot() (counts [Buckets]uint64, sum time.Duration) {
	for i := range h.counts {
		counts[i] = h.counts[i].Load()
	}
	return counts, time.Duration(h.sum.Load())
}
