package fleet

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Rendezvous returns the default scheme: every shard has a score for a key, made of
// both their hashes, and the greatest wins (Thaler and Ravishankar, "Using
// name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998). A shard that
// is added takes its share of keys from all others, one that is removed leaves
// them to all others, one with another weight takes or gives; no other key moves.
//
// With equal weights the owner is the one that go-redis' Ring picks, if a shard's ID
// is its name in RingOptions.Addrs and the key's bytes are what [AppendHashTag]
// makes of the Redis key: a Ring's user keeps the placement.
//
// Everything is computed in integers, so that architectures agree. A route takes
// time in proportion to the number of shards.
func Rendezvous() RouterFunc {
	return func(t Topology) (Router, error) {
		if err := t.Validate(); err != nil {
			return nil, err
		}
		ids := make([]uint64, len(t.Shards))
		weights := make([]uint64, len(t.Shards))
		for i, s := range t.Shards {
			ids[i], weights[i] = xxhash.Sum64String(s.ID), uint64(s.weight())
		}
		if t.balanced() {
			return equalWeights(ids), nil
		}
		return &unequalWeights{ids, weights, nlogTable()}, nil
	}
}

// mix64 is the xorshift* step of github.com/dgryski/go-rendezvous, which Ring uses.
func mix64(x uint64) uint64 {
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	return x * 2685821657736338717
}

// equalWeights are the hashes of the shards' IDs.
type equalWeights []uint64

func (ids equalWeights) Pick(hash uint64) uint16 {
	best, at := uint64(0), 0
	for i, id := range ids {
		if score := mix64(hash ^ id); score > best {
			best, at = score, i
		}
	}
	return uint16(at)
}

func (ids equalWeights) Rank(hash uint64, dst []uint16) []uint16 {
	return rank(len(ids), dst, func(i int) bid { return bid{score: mix64(hash ^ ids[i]), weight: 1} })
}

// unequalWeights picks the least -log2(score)/weight: with scores uniform in (0, 1]
// these are exponential draws with the weights as rates, of which each is the least
// as often as its share of the sum. The logarithm is a table's, since a float's
// takes three times as long and its last bits differ between architectures.
type unequalWeights struct {
	ids, weights []uint64
	nlogs        *[nlogCells + 1]uint64
}

// Pick is what Rank begins with, written out: 53 ns at 8 shards, where it takes 74 by
// way of bids (BenchmarkRoute, with the hash).
func (r *unequalWeights) Pick(hash uint64) uint16 {
	nlogs, weights := r.nlogs, r.weights[:len(r.ids)]
	var best, bestLog, bestWeight uint64
	at := 0
	for i, id := range r.ids {
		score := mix64(hash ^ id)
		n, weight := nlog2(nlogs, score), weights[i]
		high, low := bits.Mul64(n, bestWeight)
		bestHigh, bestLow := bits.Mul64(bestLog, weight)
		if i == 0 || high < bestHigh || high == bestHigh && (low < bestLow || low == bestLow && score > best) {
			best, bestLog, bestWeight, at = score, n, weight, i
		}
	}
	return uint16(at)
}

func (r *unequalWeights) Rank(hash uint64, dst []uint16) []uint16 {
	return rank(len(r.ids), dst, func(i int) bid {
		score := mix64(hash ^ r.ids[i])
		return bid{score: score, nlog: nlog2(r.nlogs, score), weight: r.weights[i]}
	})
}

// bid is what a shard offers for a key.
type bid struct {
	score, nlog, weight uint64
	shard               uint16
}

// compare compares the quotients by their cross products, which no rounding touches.
func (b bid) compare(c bid) int {
	high, low := bits.Mul64(b.nlog, c.weight)
	otherHigh, otherLow := bits.Mul64(c.nlog, b.weight)
	switch {
	case high != otherHigh:
		return cmp.Compare(high, otherHigh)
	case low != otherLow:
		return cmp.Compare(low, otherLow)
	default:
		return cmp.Compare(c.score, b.score)
	}
}

// rank appends the shards by their bids, equal ones in the order of the topology.
func rank(shards int, dst []uint16, of func(i int) bid) []uint16 {
	var room [16]bid // on the stack
	bids := room[:0]
	for i := range shards {
		b := of(i)
		b.shard = uint16(i)
		bids = append(bids, b)
	}
	slices.SortStableFunc(bids, bid.compare)
	for _, b := range bids {
		dst = append(dst, b.shard)
	}
	return dst
}
