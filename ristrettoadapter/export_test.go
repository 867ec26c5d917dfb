package ristrettoadapter

import (
	"runtime"

	"github.com/corralcache/corral"
)

// Watched returns how many listings the sweep has that are not void.
func Watched[K Key, V any](c *Cache[K, V]) (n int) {
	for i := range c.store.stripes {
		st := &c.store.stripes[i]
		st.mu.Lock()
		n += st.dues.count - st.dues.void
		st.mu.Unlock()
	}
	return n
}

// Armed says whether the timer is set.
func Armed[K Key, V any](c *Cache[K, V]) bool {
	return c.store.tidier.at.Load() != 0
}

// Occupied keeps the chores from being done until end is called.
func Occupied[K Key, V any](c *Cache[K, V]) (end func()) {
	c.store.tidier.running.Lock()
	return c.store.tidier.running.Unlock
}

// WhenCollected has f called once c's store is garbage.
func WhenCollected[K Key, V any](c *Cache[K, V], f func()) {
	runtime.AddCleanup(c.store, func(struct{}) { f() }, struct{}{})
}

// BurstOf has n writes of one stripe under way at once, and returns the most
// that the stripe's map remembers once all have ended.
func BurstOf(c *Cache[int, int], n int) int {
	own := map[int]*write[*corral.Entry[int]]{}
	st := c.store.stripe(0)
	for key := 0; len(own) < n; key++ {
		if c.store.stripe(key) == st {
			own[key] = c.store.tryOwn(key)
		}
	}
	for key, w := range own {
		c.store.release(key, w)
	}
	return st.peak
}

// Waits returns how many waits for Ristretto's buffer were begun.
func Waits[K Key, V any](c *Cache[K, V]) uint64 {
	return c.store.flusher.begun.Load()
}

// WriteOf begins a write of key and returns its end.
func WriteOf[K Key, V any](c *Cache[K, V], key K) (end func()) {
	w := c.store.tryOwn(key)
	return func() { c.store.release(key, w) }
}

// Indexed is how many keys an enumerable cache keeps.
func Indexed[K Key, V any](c *Cache[K, V]) (n int) {
	for range c.index.all() {
		n++
	}
	return n
}

// Listings returns how many listings the sweep has, void ones too.
func Listings[K Key, V any](c *Cache[K, V]) (n int) {
	for i := range c.store.stripes {
		st := &c.store.stripes[i]
		st.mu.Lock()
		n += st.dues.count
		st.mu.Unlock()
	}
	return n
}
