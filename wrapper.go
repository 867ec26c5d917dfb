package corral

import "github.com/corralcache/corral/internal/bounded"

// Wrapper is the optional interface of a cache made of others that learns what those
// can do only when it is made: its type has the methods of all abilities, or of none.
// AsCache returns it as a cache with the optional interfaces that it has, always the
// same. [New] uses that in its place, and so must other wrappers.
type Wrapper[K comparable, V any] interface {
	Cache[K, V]
	AsCache() Cache[K, V]
}

// able returns cache as one whose type tells what it can do.
func able[K comparable, V any](cache Cache[K, V]) (c Cache[K, V], err error) {
	defer bounded.Recover("the cache", &err)
	w, ok := cache.(Wrapper[K, V])
	if !ok {
		return cache, nil
	}
	if c = w.AsCache(); c == nil {
		return nil, &OptionError{"the cache", "a Wrapper whose AsCache returned nil", "it may not be nil"}
	}
	return c, nil
}
