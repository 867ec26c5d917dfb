package bytestore

// Name returns how a key is written in the store.
func (c *Cache[K, V]) Name(key K) (string, error) { return c.name(key) }
