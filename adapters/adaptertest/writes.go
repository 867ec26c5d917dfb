package adaptertest

import "time"

// many is how often a race between two calls is tried, one key each time.
const many = 200

// writeClauses are about the order of writes to one key.
func writeClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "overwrite",
			rule:  "The later Set of a key wins, also when it follows at once.",
			why:   "A refresh that does not replace what was there leaves a stale entry that is refreshed again on every call.",
			cause: "A store call that only adds (SETNX, Add); two buffered writes of one key applied in either order, or the second dropped because the first is still waiting.",
			check: checkOverwrite[K, V],
		},
		{
			name:  "delete",
			rule:  "After Delete returned nil, Get misses, at once and later, also if a Set came just before.",
			why:   "The user deleted because the value is wrong. Whoever reads it after that writes a wrong answer, and may put it back for everybody.",
			cause: "Deletes that are queued; a buffered Set that is applied after the Delete; a near copy that Delete forgets.",
			check: checkDelete[K, V],
		},
		{
			name:  "delete-missing",
			rule:  "Delete of a key that is not there returns nil.",
			why:   "Callers delete to be sure. An error tells them that the wrong value may still be served.",
			cause: "The store's not-found error passed on.",
			check: checkDeleteMissing[K, V],
		},
		{
			name:  "set-after-delete",
			rule:  "A Set that follows a Delete at once is found.",
			why:   "The first load after a delete is lost, and every delete costs two loads.",
			cause: "A tombstone or a queued delete that also takes what came after it.",
			check: checkSetAfterDelete[K, V],
		},
	}
}

func checkOverwrite[K comparable, V any](p *probe[K, V]) {
	key := p.Key(0)
	for n := range 3 {
		e := p.entry(n)
		p.put(key, e)
		p.want(key, e, "after another Set")
	}
	for n := range many {
		key, last := p.Key(n+1), p.entry(many+n)
		p.write(key, p.entry(n))
		p.put(key, last)
		p.want(key, last, "after two Sets in a row")
	}
}

func checkDelete[K comparable, V any](p *probe[K, V]) {
	for n := range many {
		key := p.Key(n)
		p.put(key, p.entry(n))
		p.remove(key)
		p.wantMiss(key, "right after Delete")
		p.write(key, p.entry(n))
		p.remove(key)
		p.wantMiss(key, "right after Set and Delete")
	}
	p.sleep(p.pause())
	for n := range many {
		p.wantMiss(p.Key(n), "some time after Set and Delete")
	}
}

func checkDeleteMissing[K comparable, V any](p *probe[K, V]) {
	p.remove(p.Key(0))
	p.put(p.Key(0), p.entry(0))
	p.remove(p.Key(0))
	p.remove(p.Key(0))
	p.wantMiss(p.Key(0), "after two Deletes")
}

func checkSetAfterDelete[K comparable, V any](p *probe[K, V]) {
	for n := range many {
		key, last := p.Key(n), p.entry(many+n)
		p.write(key, p.entry(n))
		p.remove(key)
		p.put(key, last)
		p.want(key, last, "after Set, Delete and Set")
	}
	p.sleep(p.pause())
	for n := range many {
		p.wantValueOf(p.Key(n), many+n, "some time after Set, Delete and Set")
	}
}

// pause is long enough for a buffered write to show up late.
func (p *probe[K, V]) pause() time.Duration {
	if p.RealTime {
		return 100 * time.Millisecond
	}
	return 3 * time.Second
}
