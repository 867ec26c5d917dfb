package fleet

import (
	"math/bits"
	"sync"
)

// The negative binary logarithm of a score, taken for a fraction of 2^64: a number
// above 0 and at most 64, in units of 2^-48.
const (
	nlogBits  = 48
	indexBits = 10
	nlogCells = 1 << indexBits
)

// nlog2 is exact at the ends of 1024 cells between two powers of two and linear
// between them, so at most 2^-22 too large. It never increases with the score.
func nlog2(table *[nlogCells + 1]uint64, score uint64) uint64 {
	zeros := bits.LeadingZeros64(score | 1)
	m := (score | 1) << zeros // the first bit is 1, the next ten are the cell's number
	cell := m >> (63 - indexBits) & (nlogCells - 1)
	from, to := table[cell], table[cell+1]
	down, _ := bits.Mul64(from-to, m<<(1+indexBits))
	return uint64(zeros)<<nlogBits + from - down
}

// nlogTable holds the values at the ends of the cells.
var nlogTable = sync.OnceValue(func() *[nlogCells + 1]uint64 {
	var table [nlogCells + 1]uint64
	for i := range nlogCells {
		table[i] = 1<<nlogBits - log2(uint64(nlogCells+i)<<(63-indexBits))
	}
	return &table // the last one is 0
})

// log2 is the binary logarithm of y, in units of 2^-63 and from 1 to 2, bit by bit:
// a square has twice the logarithm.
func log2(y uint64) (log uint64) {
	for range nlogBits {
		high, low := bits.Mul64(y, y)
		log <<= 1
		if high>>63 == 1 {
			log |= 1
			y = high
		} else {
			y = high<<1 | low>>63
		}
	}
	return log
}
