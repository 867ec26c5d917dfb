package fleet

import (
	"math"
	"slices"
	"time"

	"github.com/corralcache/corral"
)

// endsBy returns e with an end that is not later than so long after it was loaded;
// e itself if that is so.
func endsBy[V any](e *corral.Entry[V], most time.Duration) *corral.Entry[V] {
	if e == nil || most == 0 || e.Keep <= most {
		return e
	}
	shorter := *e
	shorter.Keep = most
	return &shorter
}

// endsAt is endsBy of an instant; nil if the entry ended before now.
func endsAt[V any](e *corral.Entry[V], end time.Time) *corral.Entry[V] {
	if e == nil {
		return nil
	}
	loaded := e.LoadedAt
	if loaded.IsZero() {
		loaded = time.Now()
	}
	if end.Before(time.Now()) {
		return nil
	}
	return endsBy(e, max(1, end.Sub(loaded)))
}

// valueOf and lifeOf return a bare value, and what is left of its life, as its cache
// tells them.
func valueOf[V any](e *corral.Entry[V]) (v V) {
	if e != nil {
		v = e.Value
	}
	return v
}

func lifeOf[V any](e *corral.Entry[V]) time.Duration {
	switch {
	case e == nil:
		return 0
	case e.Keep == math.MaxInt64:
		return -1
	default:
		return e.Keep
	}
}

// allEndBy is endsBy of each.
func allEndBy[V any](entries []*corral.Entry[V], most time.Duration) []*corral.Entry[V] {
	if most == 0 {
		return entries
	}
	entries = slices.Clone(entries)
	for i, e := range entries {
		entries[i] = endsBy(e, most)
	}
	return entries
}
