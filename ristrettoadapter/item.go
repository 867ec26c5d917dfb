package ristrettoadapter

import (
	"reflect"
	"time"
	"unsafe"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
	"github.com/dgraph-io/ristretto/v2"
)

// Item is what a Ristretto cache holds for [New]: an entry, and beside it what most
// hits look at. That stands in Ristretto's own map, so that the entry is not touched:
// over 100,000 keys, pointers to 64 bytes, a hit takes 1.07 times Ristretto's own
// Get in place of 1.41. It has four words at the most, since Go copies what is
// larger through memory: with two more the hit of a hot key took a quarter longer.
// An interface in place of the unsafe pointer would be a word more, which with the
// room that maps leave free is 12 bytes of an entry.
//
// The zero Item holds no entry. Items are not changed once they are made.
type Item[V any] struct {
	value unsafe.Pointer // the entry's if that is a pointer, else nil
	quiet int64          // until when hits are quiet, in nanoseconds after epoch
	entry *corral.Entry[V]
}

// ItemOf returns the item that holds e, for who writes to the Ristretto cache
// directly.
func ItemOf[V any](e *corral.Entry[V]) Item[V] {
	if e == nil {
		return Item[V]{}
	}
	it := Item[V]{quiet: stored.QuietUntil(e, now()), entry: e}
	if reflect.TypeFor[V]().Kind() == reflect.Pointer {
		it.value = *(*unsafe.Pointer)(unsafe.Pointer(&e.Value))
	}
	return it
}

// at returns the entry's value, nil if it is not at hand.
func (i *Item[V]) at() any {
	if i.value == nil {
		return nil
	}
	return *(*V)(unsafe.Pointer(&i.value)) // a pointer, as ItemOf saw
}

// Entry returns the entry, nil if the item is the zero Item.
func (i Item[V]) Entry() *corral.Entry[V] { return i.entry }

// itemCache is a cache of items to those who know of entries only.
type itemCache[K Key, V any] struct{ *ristretto.Cache[K, Item[V]] }

func (c itemCache[K, V]) Get(key K) (*corral.Entry[V], bool) {
	it, ok := c.Cache.Get(key)
	return it.entry, ok
}

func (c itemCache[K, V]) SetWithTTL(key K, e *corral.Entry[V], cost int64, ttl time.Duration) bool {
	return c.Cache.SetWithTTL(key, ItemOf(e), cost, ttl)
}

// epoch is where this package counts time from, by the monotonic clock. Offsets
// from it are negative in a testing/synctest bubble, where it is 2000.
var epoch = time.Now()

func now() int64 { return int64(time.Since(epoch)) }
