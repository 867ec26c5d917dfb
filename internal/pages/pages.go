// Package pages enumerates, a page at a time, keys that stand in no order and may
// change between two pages.
//
// The order is that of a hash with a seed of the process. So a cursor is a place and
// no state: keys that come and go move no other key to the other side of it, and a
// scan that nobody goes on with leaves nothing behind. The price is that each page
// looks at every key. A sorted index would save that and cost every write; a
// snapshot would have to be kept for as long as somebody might ask for the next page.
package pages

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/corralcache/corral"
)

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// process tells the cursors of this process from those of others, where the same
// cursor is another place.
var process = uint32(maphash.String(seeds[0], "cursor"))

// place is where a key stands. The second hash tells apart, once in 2^64 pairs of
// keys, those with the same first one.
type place struct{ first, second uint64 }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.first, q.first), cmp.Compare(p.second, q.second))
}

// Of returns the next keys of all, count at most, and the cursor of the page after
// them: empty if there is none. A key may be in all more than once. Errors name the
// package pkg.
func Of[K comparable](pkg string, all iter.Seq[K], cursor string, count int) (keys []K, next string, err error) {
	if err := CheckCount(pkg, count); err != nil {
		return nil, "", err
	}
	after, err := parse(pkg, cursor)
	if err != nil {
		return nil, "", err
	}
	h := least[K]{most: count}
	for key := range all {
		if key != key { // a NaN, which no Get finds
			continue
		}
		h.add(key, after, cursor == "")
	}
	slices.SortFunc(h.keys, func(a, b placed[K]) int { return a.compare(b.place) })
	for _, p := range h.keys {
		keys = append(keys, p.key)
	}
	if h.more {
		next = h.keys[len(h.keys)-1].cursor()
	}
	return keys, next, nil
}

// CheckCount returns an error for a count that a [corral.Scanner] does not take.
func CheckCount(pkg string, count int) error {
	if count < 1 || count > corral.MaxScanCount {
		return &corral.OptionError{Field: pkg + ".ScanPage: count", Value: count, Bound: fmt.Sprintf("must be 1 to %d", corral.MaxScanCount)}
	}
	return nil
}

// BadCursor returns the error of a cursor that cannot be one of the cache.
func BadCursor(pkg, cursor, bound string) error {
	return &corral.OptionError{Field: pkg + ".ScanPage: cursor", Value: fmt.Sprintf("%.80q", cursor), Bound: bound}
}

func (p place) cursor() string { return fmt.Sprintf("%08x%016x%016x", process, p.first, p.second) }

func parse(pkg, cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	var of uint32
	_, err = fmt.Sscanf(cursor, "%08x%016x%016x", &of, &p.first, &p.second)
	if err != nil || of != process || p.cursor() != cursor {
		return p, BadCursor(pkg, cursor, "must be empty, or what ScanPage returned in this process")
	}
	return p, nil
}

type placed[K comparable] struct {
	place
	key K
}

// least gathers the keys that stand first: a heap whose top is the last of them.
type least[K comparable] struct {
	keys []placed[K]
	most int
	more bool // there are others behind them
}

// add takes key in unless it stands at after or before, or, with from, wherever it
// stands.
func (l *least[K]) add(key K, after place, from bool) {
	p := placed[K]{place{first: maphash.Comparable(seeds[0], key)}, key}
	full := len(l.keys) == l.most
	if !from && p.first < after.first {
		return
	}
	if full && p.first > l.keys[0].first { // most keys of a large cache
		l.more = true
		return
	}
	p.second = maphash.Comparable(seeds[1], key)
	if !from && p.compare(after) <= 0 {
		return
	}
	if !full {
		l.keys = append(l.keys, p)
		l.up(len(l.keys) - 1)
		return
	}
	switch c := p.compare(l.keys[0].place); {
	case c > 0:
		l.more = true
	case c < 0:
		l.more = true
		l.keys[0] = p
		l.down(0)
	}
}

func (l *least[K]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if l.keys[i].compare(l.keys[parent].place) <= 0 {
			return
		}
		l.keys[i], l.keys[parent] = l.keys[parent], l.keys[i]
		i = parent
	}
}

func (l *least[K]) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(l.keys) {
			return
		}
		if right := child + 1; right < len(l.keys) && l.keys[right].compare(l.keys[child].place) > 0 {
			child = right
		}
		if l.keys[child].compare(l.keys[i].place) <= 0 {
			return
		}
		l.keys[i], l.keys[child] = l.keys[child], l.keys[i]
		i = child
	}
}
