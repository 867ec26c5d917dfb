package fleet

import (
	"fmt"
	"slices"
)

// Jump returns the scheme of Lamping and Veach ("A fast, minimal memory, consistent
// hash algorithm", arXiv 1406.2294, 2014) for fleets that only ever grow and shrink
// at one end: shards are numbered in order of their IDs, and only the last can be
// added or removed without moving keys between the others. Give them IDs that sort
// by age, as cache-00, cache-01. Weights must be equal. It is as even as
// [Rendezvous], and a route takes time in proportion to the logarithm of the number
// of shards.
//
// The shards after the owner are ranked by the number that a key would get if there
// were fewer: those before the owner as it would fall back to them, then the rest.
func Jump() RouterFunc {
	return func(t Topology) (Router, error) {
		if err := t.Validate(); err != nil {
			return nil, err
		}
		for i, s := range t.Shards {
			if s.weight() != t.Shards[0].weight() {
				return nil, option(fmt.Sprintf("Jump: Topology.Shards[%d].Weight", i), s.weight(),
					fmt.Sprintf("must be that of the others, %d", t.Shards[0].weight()))
			}
		}
		return jump(len(t.Shards)), nil
	}
}

// jump is the number of shards.
type jump int64

// Pick is the published function. Its one division and one product of floats are
// exact or rounded by IEEE 754 in the same way everywhere; the conversions keep a
// compiler from fusing them with what follows.
func (n jump) Pick(hash uint64) uint16 {
	b, j := int64(-1), int64(0)
	for j < int64(n) {
		b = j
		hash = hash*2862933555777941757 + 1
		j = int64(float64(float64(b+1) * float64(float64(1<<31)/float64(hash>>33+1))))
	}
	return uint16(b)
}

func (n jump) Rank(hash uint64, dst []uint16) []uint16 {
	begin := len(dst)
	for m := n; m > 0; m = jump(dst[len(dst)-1]) {
		dst = append(dst, m.Pick(hash))
	}
	ranked := len(dst)
	for i := range uint16(n) {
		if !slices.Contains(dst[begin:ranked], i) {
			dst = append(dst, i)
		}
	}
	return dst
}
