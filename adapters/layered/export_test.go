package layered

// Gates returns for how many keys something is under way.
func Gates[K comparable, V any](c *Cache[K, V]) (n int) {
	for i := range c.stripes {
		st := &c.stripes[i]
		st.mu.Lock()
		n += len(st.gates)
		st.mu.Unlock()
	}
	return n
}

// Maps returns how many stripes hold on to a map.
func Maps[K comparable, V any](c *Cache[K, V]) (n int) {
	for i := range c.stripes {
		st := &c.stripes[i]
		st.mu.Lock()
		if st.gates != nil {
			n++
		}
		st.mu.Unlock()
	}
	return n
}
