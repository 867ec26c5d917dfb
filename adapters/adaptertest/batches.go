package adaptertest

import (
	"errors"
	"slices"

	"github.com/corralcache/corral"
)

// batchClauses are about calls with many keys: each does what the call for one
// key does, for every one of its keys.
func batchClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "batch-get",
			rule:  "GetMany returns as many entries as keys, each in its key's place and as Get returns it, and nil for a miss. Without keys it returns none and no error.",
			why:   "Entries in wrong places are served under other keys. One that differs from what Get returns is stale for some callers and fresh for others.",
			cause: "Misses left out of the result; a reply in the server's own order; entries that share one buffer; a decoding written apart from that of Get.",
			when:  batching[K, V],
			check: checkBatchGet[K, V],
		},
		{
			name:  "batch-set",
			rule:  "After SetMany, Get finds each entry as after a Set of it, in place of what was there: absent ones, zero values and those whose Keep is over too. The slices stay the caller's.",
			why:   "What a bulk load returned is loaded again, key by key. A kept slice that its owner goes on using stores one key's value under another.",
			cause: "A pipeline of which only the first reply is looked at; a second way to compute lives; a write that is made after the call has returned, from the caller's slice.",
			when:  batching[K, V],
			check: checkBatchSet[K, V],
		},
		{
			name:  "batch-keep",
			rule:  "Each entry of a SetMany is kept for its own Keep, and GetMany says of each what is left.",
			why:   "With one life for all, some values are loaded too often and others served after their end.",
			cause: "MSET, which knows no lives, with one EXPIRE; the life of the first or the shortest taken for all.",
			when:  batching[K, V],
			check: checkBatchKeep[K, V],
		},
		{
			name:  "batch-delete",
			rule:  "After DeleteMany returned nil, none of its keys is found, at once and later, also if a SetMany came just before. A key that is not there is no error, and a SetMany that follows is found.",
			why:   "The user deleted because the values are wrong. One that stays is served until its end.",
			cause: "Deletes that are queued; a count of deleted keys taken for an error; a buffered write that is applied after it.",
			when:  batching[K, V],
			check: checkBatchDelete[K, V],
		},
		{
			name:  "batch-thousand",
			rule:  "A call takes a thousand keys.",
			why:   "Bulk loads are as large as their callers ask. A limit shows when the service is busiest.",
			cause: "A limit of the server or of a statement's arguments: send several.",
			when:  batching[K, V],
			check: checkBatchThousand[K, V],
		},
	}
}

// batchTroubleClauses are about calls with many keys when not all goes well, or not
// alone.
func batchTroubleClauses[K comparable, V any]() []clause[K, V] {
	return []clause[K, V]{
		{
			name:  "batch-undecodable",
			rule:  "Bytes of one key that nobody can read are ErrUndecodable in a *KeyErrors under that key alone: the other entries are in their places. SetMany replaces and DeleteMany removes such bytes.",
			why:   "One broken value would turn a thousand hits into misses, for as long as it lies there.",
			cause: "The first error returned for the whole call, or none; entries left out together with it.",
			when:  func(cfg *Config[K, V]) bool { return cfg.Corrupt != nil && batching(cfg) },
			check: checkBatchUndecodable[K, V],
		},
		{
			name:  "batch-agrees",
			rule:  "GetMany and Get find the same, whichever calls wrote: Set, SetMany, Delete or DeleteMany.",
			why:   "Callers of one key and of many share the cache. What one kind of call does not see of the other's writes is a delete that did not happen.",
			cause: "Keys built differently for batches; a buffer or a near copy that only single calls know of.",
			when:  batching[K, V],
			check: checkBatchAgrees[K, V],
		},
		{
			name:  "batch-concurrent",
			rule:  "Batches at the same time do not disturb each other: what a SetMany stored is found, what a DeleteMany removed is not, and no key has another's value.",
			why:   "Entries swapped under load are one user's data served to another, and are seen nowhere else.",
			cause: "A buffer that calls share; locks of several keys taken in the order of the call, so that two batches wait for each other.",
			when:  batching[K, V],
			check: checkBatchConcurrent[K, V],
		},
		{
			name:  "batch-ended-context",
			rule:  "A call whose context has ended returns soon. For each key of which its error says nothing, it did what it says; and the calls after it work.",
			why:   "A DeleteMany that was cut short and says nothing leaves wrong values behind.",
			cause: "A loop that is left when the context ends, with nil or with errors for some keys only.",
			when:  batching[K, V],
			check: checkBatchEnded[K, V],
		},
		{
			name:  "batch-heard",
			rule:  "Listen hears of each key of a SetMany and a DeleteMany by other processes, and not of its own.",
			why:   "A key that is not heard is served as it was, here, for as long as its near copy lives.",
			cause: "One announcement for the first key; announcements made by the calls for one key alone.",
			when: func(cfg *Config[K, V]) bool {
				return cfg.Other != nil && batching(cfg) && listening(cfg)
			},
			check: checkBatchHeard[K, V],
		},
	}
}

// batching is a condition for clauses, like leasing.
func batching[K comparable, V any](cfg *Config[K, V]) bool {
	return !cfg.seen.known || cfg.seen.batches
}

func checkBatchGet[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys := p.distinctKeys()
	for n, key := range keys {
		switch n % 4 {
		case 0, 1:
			p.put(key, p.entry(n))
		case 2:
			p.put(key, p.absent())
		}
	}
	b.wantAsGet(keys, "of keys with and without entries")
	slices.Reverse(keys)
	b.wantAsGet(keys, "of the same keys in another order")
	b.wantAsGet(keys[:1], "of one key")
	b.wantAsGet(nil, "of no keys")

	p.put(p.Key(0), p.entry(0))
	held := p.watch("that GetMany returned", b.get([]K{p.Key(0)})[0])
	b.get(keys)
	held.unchanged("another GetMany")
	p.removeAll(keys)
	b.wantAsGet(keys, "of keys without entries")
}

func checkBatchSet[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys := p.distinctKeys()
	b.set(nil, nil)
	for round := range 2 { // into the empty cache, and over what is there
		entries := p.mixed(len(keys), round)
		b.setAndSpoil(keys, entries)
		for n, key := range keys {
			p.wantAfterSet(key, entries[n], "after SetMany")
		}
		b.wantAsGet(keys, "after SetMany")
	}
	over := p.lasting(1, p.life())
	over.LoadedAt = over.LoadedAt.Add(-p.life() - p.margin())
	stays := p.entry(2)
	b.discard(keys[:2], []*corral.Entry[V]{over, stays})
	p.want(keys[1], stays, "after SetMany beside an entry whose Keep is over")
	p.sleep(p.pause() + p.Linger)
	p.wantMiss(keys[0], "some time after SetMany of an entry whose Keep is over")
}

// mixed returns n entries of all kinds, others in each round.
func (p *probe[K, V]) mixed(n, round int) []*corral.Entry[V] {
	entries := make([]*corral.Entry[V], n)
	for i := range entries {
		switch e := p.entry(i + n*round); (i + round) % 4 {
		case 0:
			entries[i] = p.absent()
		case 1:
			e.Value = *new(V)
			fallthrough
		default:
			entries[i] = e
		}
	}
	return entries
}

func checkBatchKeep[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys := []K{p.Key(0), p.Key(1), p.Key(2)}
	entries := []*corral.Entry[V]{p.lasting(0, 100*p.life()), p.lasting(1, p.life()), p.lasting(2, 100*p.life())}
	b.set(keys, entries)
	p.sleep(p.life() / 2)
	b.wantAsGet(keys, "in the middle of their lives")
	p.sleep(p.life()/2 + p.margin())
	b.wantAsGet(keys, "when one of them is over")
	p.wantMiss(keys[1], "after its Keep, and others' were longer,")
	p.wantValueOf(keys[0], 0, "within its Keep, and another's was shorter,")
	p.wantValueOf(keys[2], 2, "within its Keep, and another's was shorter,")
}

func checkBatchDelete[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys := p.distinctKeys()
	b.remove(nil)
	b.remove(keys)
	for n, key := range keys {
		if n%3 > 0 {
			p.put(key, p.entry(n))
		}
	}
	b.remove(keys[1:])
	p.wantMisses(keys[1:], "right after DeleteMany")
	b.write(keys, p.mixed(len(keys), 0))
	b.remove(keys)
	p.wantMisses(keys, "right after SetMany and DeleteMany")
	p.sleep(p.pause())
	p.wantMisses(keys, "some time after SetMany and DeleteMany")
	entries := p.mixed(len(keys), 1)
	b.remove(keys)
	b.set(keys, entries)
	p.sleep(p.pause())
	for n, key := range keys {
		p.wantAfterSet(key, entries[n], "some time after DeleteMany and SetMany")
	}
}

func checkBatchThousand[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys, entries := make([]K, 1000), make([]*corral.Entry[V], 1000)
	for n := range keys {
		keys[n], entries[n] = p.Key(n), p.entry(n)
	}
	b.set(keys, entries)
	b.wantEntries(keys, entries, "after SetMany of 1,000")
	b.remove(keys)
	b.wantEntries(keys, make([]*corral.Entry[V], 1000), "after DeleteMany of 1,000")
}

func checkBatchUndecodable[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	if b == nil {
		return
	}
	keys := []K{p.Key(0), p.Key(1), p.Key(2), p.Key(3), p.Key(4)}
	for _, d := range damages(0) {
		for n, key := range keys[:4] {
			p.put(key, p.entry(n))
		}
		p.Corrupt(p.t, keys[1], d.change)
		b.wantBadKey(keys, 1, d.name)
	}
	entries := p.mixed(len(keys), 0)
	b.set(keys, entries)
	p.wantAfterSet(keys[1], entries[1], "after SetMany over unreadable bytes")
	p.Corrupt(p.t, keys[1], damages(0)[0].change)
	b.remove(keys)
	p.wantMisses(keys, "after DeleteMany of unreadable bytes")
}

// wantBadKey fails unless GetMany says of every key what Get says. Of a bare
// value Get may find that the damage made another one of it.
func (b *batch[K, V]) wantBadKey(keys []K, bad int, what string) {
	single, singleErr := b.p.getAny(keys[bad], what, 64<<20)
	entries, err := b.tryGet(b.p.ctx, keys)
	var kerr *corral.KeyErrors[K]
	name := callMany("GetMany", keys)
	switch errors.As(err, &kerr); {
	case singleErr == nil && err == nil:
		b.likeGet(keys[bad], entries[bad], single, 0, "of "+what)
	case singleErr == nil:
		b.p.failf("%s with %s under %s returned the error %q, and Get of it none", name, what, show(keys[bad]), err)
	case err != nil && kerr == nil:
		b.p.failf("%s with %s under %s returned the error %q, want a *KeyErrors", name, what, show(keys[bad]), err)
	case kerr == nil || len(kerr.Errors) != 1 || !errors.Is(kerr.Errors[keys[bad]], corral.ErrUndecodable):
		b.p.failf("%s with %s under %s returned the error %v, want a *KeyErrors with ErrUndecodable for this key alone", name, what, show(keys[bad]), err)
	case entries[bad] != nil:
		b.p.failf("%s with %s under %s returned an entry with its error", name, what, show(keys[bad]))
	}
	for n, key := range keys {
		if n != bad {
			b.likeGet(key, entries[n], b.p.getBy(b.cache, key), 0, "beside another with "+what)
		}
	}
}

func checkBatchHeard[K comparable, V any](p *probe[K, V]) {
	b := p.batch(p.cache)
	h, stop := p.listen()
	if b == nil || h == nil {
		return
	}
	defer stop()
	other := p.batch(p.other())
	if other == nil {
		p.failf("%T, as Config.Other returned it, is no corral.BatchCache, and the cache under test is", p.other())
	}
	own, others := []K{p.Key(0), p.Key(4)}, []K{p.Key(1), p.Key(2), p.Key(3)}
	b.set(own, []*corral.Entry[V]{p.entry(0), p.entry(4)})
	b.remove(own)
	other.set(others, []*corral.Entry[V]{p.entry(1), p.entry(2), p.entry(3)})
	for _, key := range others {
		p.wantHeard(h, key, "SetMany")
	}
	for _, key := range others { // when all were heard: one call without a key may be for several
		h.forget(key)
	}
	other.remove(others)
	for _, key := range others {
		p.wantHeard(h, key, "DeleteMany")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range own {
		if h.keys[key] > 0 {
			p.failf("drop was called with %s, which only this process wrote", show(key))
		}
	}
}
