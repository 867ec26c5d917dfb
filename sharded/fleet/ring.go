package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

const (
	maxPoints = 10_000
	maxNodes  = 1 << 20
)

// Ring returns the scheme of consistent hashing (Karger et al., STOC 1997): each
// shard has points times its weight virtual nodes on a circle of hashes, and a key
// belongs to the first one at or after its own hash. points must be 1 to 10,000, and
// there may be 1,048,576 virtual nodes in all, of 10 bytes each. What moves is what
// moves with [Rendezvous], but from or to neighbours on the circle, and the shares
// are less even: with 160 points they vary by some 8 %. A route takes
// time in proportion to the logarithm of the number of nodes.
//
// hash places the virtual nodes: it gets the shard's ID, '#' and the node's number
// in decimal digits. Nil is XXH64, which also hashes the keys. A hash that does not
// spread similar texts, such as FNV-1a, makes shares uneven by a factor.
func Ring(points int, hash func([]byte) uint64) RouterFunc {
	if hash == nil {
		hash = xxhash.Sum64
	}
	return func(t Topology) (Router, error) {
		if points < 1 || points > maxPoints {
			return nil, option("Ring: points", points, fmt.Sprintf("must be 1 to %d", maxPoints))
		}
		if err := t.Validate(); err != nil {
			return nil, err
		}
		sum := 0
		for _, s := range t.Shards {
			if sum += points * int(s.weight()); sum > maxNodes {
				return nil, option("Ring: points", points, fmt.Sprintf("times the sum of the weights must be at most %d", maxNodes))
			}
		}
		return newRing(t, points, sum, hash), nil
	}
}

// ring holds the virtual nodes in order of their hashes, which stand apart so that
// the search touches few lines of memory.
type ring struct {
	hashes []uint64
	owners []uint16
	shards int
}

func newRing(t Topology, points, sum int, hash func([]byte) uint64) *ring {
	type node struct {
		hash  uint64
		owner uint16
	}
	nodes := make([]node, 0, sum)
	var label []byte
	for i, s := range t.Shards {
		for n := range points * int(s.weight()) {
			label = append(append(label[:0], s.ID...), '#')
			label = strconv.AppendInt(label, int64(n), 10)
			nodes = append(nodes, node{hash(label), uint16(i)})
		}
	}
	slices.SortFunc(nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.owner, b.owner))
	})
	r := &ring{hashes: make([]uint64, sum), owners: make([]uint16, sum), shards: len(t.Shards)}
	for i, n := range nodes {
		r.hashes[i], r.owners[i] = n.hash, n.owner
	}
	return r
}

// first returns the node at or after hash.
func (r *ring) first(hash uint64) int {
	at := sort.Search(len(r.hashes), func(i int) bool { return r.hashes[i] >= hash })
	if at == len(r.hashes) {
		return 0
	}
	return at
}

func (r *ring) Pick(hash uint64) uint16 { return r.owners[r.first(hash)] }

// Rank is the order in which shards are met on the circle.
func (r *ring) Rank(hash uint64, dst []uint16) []uint16 {
	var met [MaxShards / 64]uint64 // a set of bits, on the stack
	left := r.shards
	for at := r.first(hash); left > 0; at++ {
		owner := r.owners[at%len(r.owners)]
		if bit := uint64(1) << (owner % 64); met[owner/64]&bit == 0 {
			met[owner/64] |= bit
			dst = append(dst, owner)
			left--
		}
	}
	return dst
}
