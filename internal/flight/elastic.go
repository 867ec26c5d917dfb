package flight

// elastic is a map that gives memory back after a burst: a map keeps the memory
// of the most it ever held.
type elastic[K comparable, E any] struct {
	m    map[K]E
	peak int // the most m held since it was made
}

// spare is the peak up to which memory is not worth giving back.
const spare = 64

func (e *elastic[K, E]) put(key K, value E) {
	if e.m == nil {
		e.m = make(map[K]E)
	}
	e.m[key] = value
	e.peak = max(e.peak, len(e.m))
}

func (e *elastic[K, E]) drop(key K) {
	if len(e.m) == 0 {
		return
	}
	delete(e.m, key)
	if e.peak > spare && len(e.m) <= e.peak/8 {
		e.shrink()
	}
}

// shrink moves what is left into a map of its size. That is at most an eighth of
// what was dropped before, so a drop costs a constant on average.
func (e *elastic[K, E]) shrink() {
	old := e.m
	*e = elastic[K, E]{}
	for key, value := range old {
		e.put(key, value)
	}
}
