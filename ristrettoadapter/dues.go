package ristrettoadapter

// dues knows when the entries of a stripe are to be let go. Ristretto could do
// that with a TTL of its own, but then reads the clock in every Get, and so
// does the Loader: 27 to 47 ns each, where the whole Get takes 44.
//
// A key that gets a new entry is listed again under its new tick; the old
// listing is void, because at says otherwise. rebuild drops void listings when
// they are as many as the valid ones. The zero value is ready to use.
type dues[K comparable] struct {
	at     map[K]int64   // the tick at which to look at the key
	listed map[int64][]K // the keys by tick, with void listings
	first  int64         // no tick before this one has a listing
	count  int           // listings, valid and void
	peak   int           // the most keys in at since it was made
	limit  int           // keys in at from which evicted ones are looked for
}

func (d *dues[K]) watch(key K, at int64) {
	if d.at == nil {
		d.at, d.listed, d.first = map[K]int64{}, map[int64][]K{}, at
	}
	if was, ok := d.at[key]; ok && was == at {
		return
	}
	d.at[key] = at
	d.listed[at] = append(d.listed[at], key)
	d.first = min(d.first, at)
	d.count++
	d.peak = max(d.peak, len(d.at))
	if d.count > 2*len(d.at)+64 {
		d.rebuild()
	}
}

func (d *dues[K]) forget(key K) {
	delete(d.at, key)
}

// postpone has key looked at again a tick later, if it is listed no more.
func (d *dues[K]) postpone(key K, now int64) {
	if at, ok := d.at[key]; ok && at <= now {
		d.watch(key, now+1)
	}
}

// shrink gives memory back: a Go map stays as large as it ever was.
func (d *dues[K]) shrink() {
	d.limit = 2 * len(d.at)
	if d.peak > 4*len(d.at) || d.count > 2*len(d.at)+64 {
		d.rebuild()
	}
}

// rebuild makes the maps anew, with the valid listings alone.
func (d *dues[K]) rebuild() {
	old := d.at
	*d = dues[K]{limit: d.limit, first: d.first}
	if len(old) == 0 {
		return
	}
	d.at, d.listed = make(map[K]int64, len(old)), map[int64][]K{}
	for key, at := range old {
		d.at[key] = at
		d.listed[at] = append(d.listed[at], key)
	}
	d.count, d.peak = len(old), len(old)
}

// take removes and returns the keys that are due at now. It leaves them in at,
// for who cannot handle them yet to postpone.
func (d *dues[K]) take(now int64) []K {
	var due []K
	for _, at := range d.ticksUntil(now) {
		keys := d.listed[at]
		delete(d.listed, at)
		d.count -= len(keys)
		for _, key := range keys {
			if d.at[key] == at {
				due = append(due, key)
			}
		}
	}
	d.first = max(d.first, now+1)
	return due
}

// ticksUntil returns the listed ticks up to now. It counts up where that is
// shorter than looking at all of them, as it is on a busy cache.
func (d *dues[K]) ticksUntil(now int64) (ticks []int64) {
	if now-d.first < int64(len(d.listed)) {
		for at := d.first; at <= now; at++ {
			ticks = append(ticks, at)
		}
		return ticks
	}
	for at := range d.listed {
		if at <= now {
			ticks = append(ticks, at)
		}
	}
	return ticks
}

// crowded says that the keys have doubled since somebody looked which of them
// Ristretto has evicted, of which it does not tell.
func (d *dues[K]) crowded() bool {
	const least = 256
	return len(d.at) > max(d.limit, least)
}

// any returns up to n of the keys, whichever.
func (d *dues[K]) any(n int) []K {
	keys := make([]K, 0, min(n, len(d.at)))
	for key := range d.at {
		if len(keys) == cap(keys) {
			break
		}
		keys = append(keys, key)
	}
	return keys
}

// next returns the first tick that is listed.
func (d *dues[K]) next() (at int64, ok bool) {
	const near = 8
	for at := d.first; at < d.first+near; at++ {
		if d.listed[at] != nil {
			return at, true
		}
	}
	for t := range d.listed {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	return at, ok
}
