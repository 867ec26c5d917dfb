package adaptertest

import "github.com/corralcache/corral"

// able returns what a Loader would use in place of a cache that learnt what it can
// do only when it was made.
func able[K comparable, V any](cache corral.Cache[K, V]) corral.Cache[K, V] {
	if w, ok := cache.(corral.Wrapper[K, V]); ok {
		return w.AsCache()
	}
	return cache
}
