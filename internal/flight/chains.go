package flight

// chains is a hash table of flights that are linked through themselves. It knows
// a flight's hash from its start to its end, where a Go map would hash the key at
// each look-up, insertion and removal: for string keys it makes a flight of
// Group.Do a sixth faster. Memory is given back after a burst.
type chains[K comparable, V any] struct {
	heads []*Flight[K, V] // a power of two, or none
	n     int
}

// fewHeads is the size up to which memory is not worth giving back.
const fewHeads = 8

// find returns the flight of key, nil if there is none.
func (c *chains[K, V]) find(hash uint32, key K) *Flight[K, V] {
	if c.n == 0 {
		return nil
	}
	f := c.heads[hash&uint32(len(c.heads)-1)]
	for f != nil && (f.hash != hash || f.key != key) {
		f = f.next
	}
	return f
}

// put adds a flight whose key is not there.
func (c *chains[K, V]) put(f *Flight[K, V]) {
	if c.n >= len(c.heads) {
		c.resize(max(2*len(c.heads), fewHeads))
	}
	c.n++
	c.link(f)
}

func (c *chains[K, V]) link(f *Flight[K, V]) {
	head := &c.heads[f.hash&uint32(len(c.heads)-1)]
	f.next, *head = *head, f
}

// drop removes a flight that is there.
func (c *chains[K, V]) drop(f *Flight[K, V]) {
	at := &c.heads[f.hash&uint32(len(c.heads)-1)]
	for *at != f {
		at = &(*at).next
	}
	*at, f.next = f.next, nil
	c.n--
	if len(c.heads) > fewHeads && c.n <= len(c.heads)/8 {
		c.resize(len(c.heads) / 4)
	}
}

// resize moves the flights to as many chains. Between two of these at least an
// eighth of them came or went, so put and drop cost a constant on average.
func (c *chains[K, V]) resize(heads int) {
	old := c.heads
	c.heads = make([]*Flight[K, V], max(heads, fewHeads))
	for _, f := range old {
		for f != nil {
			next := f.next
			c.link(f)
			f = next
		}
	}
}

// all calls look with every flight.
func (c *chains[K, V]) all(look func(f *Flight[K, V])) {
	for _, f := range c.heads {
		for ; f != nil; f = f.next {
			look(f)
		}
	}
}
