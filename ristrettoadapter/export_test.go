package ristrettoadapter

import "runtime"

// Watched returns how many keys the sweep knows.
func Watched[K Key, V any](c *Cache[K, V]) (n int) {
	for i := range c.store.stripes {
		st := &c.store.stripes[i]
		st.mu.Lock()
		n += len(st.dues.at)
		st.mu.Unlock()
	}
	return n
}

// Armed says whether the timer is set.
func Armed[K Key, V any](c *Cache[K, V]) bool {
	t := &c.store.tidier
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.armed
}

// WhenCollected has f called once c's store is garbage.
func WhenCollected[K Key, V any](c *Cache[K, V], f func()) {
	runtime.AddCleanup(c.store, func(struct{}) { f() }, struct{}{})
}
