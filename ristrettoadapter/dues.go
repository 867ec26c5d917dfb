package ristrettoadapter

import (
	"maps"
	"math"
	"math/bits"
	"slices"
)

// dues lists the keys of a stripe by when their entries are to be let go.
// Ristretto could do that with a TTL of its own, but then reads the clock in every
// Get, and so does the Loader: 27 to 47 ns each, where the whole Get takes 44.
//
// A listing says when to look at a key, and nothing more: what is to become of the
// key its entry says, which is in Ristretto. So a key takes the 16 bytes of a
// string here; a map that knew each key's tick took 50 more, and two look-ups for
// each new entry. A key that gets a new entry is listed once more, and the old
// listing is void: the look that it leads to finds an entry that is to stay. Void
// listings are dropped when they are half of all. The zero value is ready to use.
type dues[K comparable] struct {
	listed map[int64]*pile[K] // the keys by tick
	first  int64              // no tick before this one has a listing
	count  int                // listings
	void   int                // those that may be void, by estimate
	limit  int                // listings from which keys that were evicted are looked for

	// ageless are the keys of entries that cannot tell when they are over, with the
	// tick in which they are. They are few: a Loader knows when it loaded.
	ageless map[K]int64
}

// list has key looked at in the tick at, or a little before: the ticks of what is
// far from now are rounded down by up to a 64th of the way, so that few keys do not
// take a list each.
func (d *dues[K]) list(key K, now, at int64) {
	if far := uint64(max(0, at-now)) >> 6; far > 1 {
		at &^= 1<<(bits.Len64(far)-1) - 1
	}
	if d.listed == nil {
		d.listed, d.first = map[int64]*pile[K]{}, at
	}
	was := d.listed[at]
	if is := was.push(key); is != was {
		d.listed[at] = is
	}
	d.first = min(d.first, at)
	d.count++
}

// forget says that what key was listed for is no more.
func (d *dues[K]) forget(key K) {
	d.void = min(d.void+1, d.count)
	delete(d.ageless, key)
}

// ageFrom says that key's entry, which does not know its age, is over in the tick at.
func (d *dues[K]) ageFrom(key K, at int64) {
	if d.ageless == nil {
		d.ageless = map[K]int64{}
	}
	d.ageless[key] = at
}

// take removes and returns the keys that are to be looked at by the tick now.
func (d *dues[K]) take(now int64) (due []K) {
	for _, at := range d.ticksUntil(now) {
		due = slices.AppendSeq(due, d.listed[at].all)
		delete(d.listed, at)
	}
	d.count -= len(due)
	d.first = max(d.first, now+1)
	if len(d.listed) == 0 {
		d.listed = nil // a map keeps the size of its largest burst
	}
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

// takeAll removes and returns all listings, for putBack.
func (d *dues[K]) takeAll() map[int64]*pile[K] {
	all := d.listed
	d.listed, d.count, d.void = nil, 0, 0
	return all
}

// putBack lists again what takeAll returned, beside what was listed since.
func (d *dues[K]) putBack(all map[int64]*pile[K]) {
	if d.listed == nil {
		d.listed, d.first = map[int64]*pile[K]{}, math.MaxInt64
	}
	for at, keys := range all {
		d.count += keys.size()
		d.first = min(d.first, at)
		d.listed[at] = keys.with(d.listed[at])
	}
}

// thin drops the listings of keys that are not to be kept, and of each key all but
// the soonest.
func thin[K comparable](all map[int64]*pile[K], keep func(K) bool) {
	seen := map[K]struct{}{}
	for _, at := range slices.Sorted(maps.Keys(all)) {
		var kept *pile[K]
		for key := range all[at].all {
			if _, again := seen[key]; !again && keep(key) {
				seen[key] = struct{}{}
				kept = kept.push(key)
			}
		}
		if all[at] = kept; kept == nil {
			delete(all, at)
		}
	}
}

// least is how many listings are not worth looking through.
const least = 256

// crowded says that it is time to look through the listings: half of them may be
// void, or they have doubled since somebody looked which keys Ristretto has evicted,
// of which it does not tell.
func (d *dues[K]) crowded() bool { return d.voided() || d.count > max(d.limit, least) }

func (d *dues[K]) voided() bool { return d.void > (d.count+least)/2 }

// sample returns up to n of the listed keys, spread over all of them: the latest ones
// are in Ristretto whatever it has evicted.
func (d *dues[K]) sample(n int) (keys []K) {
	step, next, passed := max(1, (d.count+n-1)/n), 0, 0
	for _, list := range d.listed {
		for p := list; p != nil; p = p.under {
			for ; next < passed+len(p.keys); next += step {
				keys = append(keys, p.keys[next-passed])
			}
			passed += len(p.keys)
		}
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
