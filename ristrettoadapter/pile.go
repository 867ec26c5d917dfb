package ristrettoadapter

// pile is keys in pieces: a slice that grows has room for an eighth more than it
// holds, and copies what it held. The nil pile is empty.
type pile[K any] struct {
	keys  []K // the latest piece
	under *pile[K]
}

// maxPiece is how many keys the largest pieces have; the first has one. With one
// more, strings took an eighth more: the allocator puts a word before what has
// pointers and is larger than 512 bytes.
const maxPiece = 63

// push returns p with key on it.
func (p *pile[K]) push(key K) *pile[K] {
	if p == nil || len(p.keys) == cap(p.keys) {
		n := 1
		if p != nil {
			n = min(2*cap(p.keys), maxPiece)
		}
		p = &pile[K]{make([]K, 0, n), p}
	}
	p.keys = append(p.keys, key)
	return p
}

// all calls yield with the keys.
func (p *pile[K]) all(yield func(K) bool) {
	for ; p != nil; p = p.under {
		for _, key := range p.keys {
			if !yield(key) {
				return
			}
		}
	}
}

// size returns how many keys there are.
func (p *pile[K]) size() (n int) {
	for ; p != nil; p = p.under {
		n += len(p.keys)
	}
	return n
}

// with returns p with the keys of another pile on it.
func (p *pile[K]) with(other *pile[K]) *pile[K] {
	for key := range other.all {
		p = p.push(key)
	}
	return p
}
