package adaptertest

// keyClauses are about telling keys apart.
func keyClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{{
		name:  "keys",
		rule:  "Each key has a value of its own: the empty key, binary ones, prefixes of each other, ones that print alike.",
		why:   "One user is served another user's data.",
		cause: "fmt.Sprint of a struct key, parts joined without their lengths, text cut, trimmed or lowered, a prefix deleted as a pattern; a store that limits length or characters, for which the key needs to be encoded or hashed.",
		check: checkKeys[K, V],
	}}
}

func checkKeys[K comparable, V any](p *probe[K, V]) {
	keys := p.distinctKeys()
	for half := range 2 {
		for n, key := range keys {
			p.put(key, p.entry(n))
		}
		for n, key := range keys {
			p.wantValueOf(key, n, "after Set of this and other keys")
		}
		p.removeHalf(keys, half)
	}
}

// removeHalf deletes every other key and looks at what became of all.
func (p *probe[K, V]) removeHalf(keys []K, half int) {
	for n, key := range keys {
		if n%2 == half {
			p.remove(key)
		}
	}
	for n, key := range keys {
		if n%2 == half {
			p.wantMiss(key, "after Delete of every other key")
		} else {
			p.wantValueOf(key, n, "after Delete of every other key")
		}
	}
}

// distinctKeys returns the suite's odd keys and the author's.
func (p *probe[K, V]) distinctKeys() []K {
	keys := p.oddKeys[:len(p.oddKeys):len(p.oddKeys)]
	for n := range 32 {
		keys = append(keys, p.Key(n))
	}
	seen := map[K]bool{}
	distinct := keys[:0:0]
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			distinct = append(distinct, key)
		}
	}
	return distinct
}

// wantValueOf fails unless key holds the value of number n.
func (p *probe[K, V]) wantValueOf(key K, n int, when string) {
	e := p.get(key)
	switch {
	case e == nil:
		p.failf("%s %s missed, want the value %s", call("Get", key), when, show(p.Value(n)))
	case e.Absent || !p.Equal(e.Value, p.Value(n)):
		p.failf("%s %s returned the value %s (Absent %v), want %s", call("Get", key), when, show(e.Value), e.Absent, show(p.Value(n)))
	}
}
