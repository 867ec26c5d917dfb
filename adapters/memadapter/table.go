package memadapter

import (
	"math/bits"
	"sync/atomic"
)

// table is a hash table of pointers to items, for one writer at a time and any
// number of readers. These take no lock and write to no shared memory: for one
// that has the hash of its key, a look-up costs a line of the processor's cache
// for the bucket and one for the item, also among many keys.
//
// An item stays in its slot until it is replaced there or dropped, so no reader
// misses a key that is there all the time. Tables do not grow: see shard.
//
// The buckets are those of the cache-line hash table (David, Guerraoui, Trigonakis,
// ASPLOS 2015), with a byte of each key's hash in front, as in Go's own maps.
type table[K comparable, T any] struct {
	buckets []bucket[K, T] // a power of two
}

// bucket has a line of the processor's cache, and more buckets if its keys do not
// fit into one.
type bucket[K comparable, T any] struct {
	tags  atomic.Uint64 // in byte i what tag says of the key in slot i; 0 for an empty slot
	items [slots]atomic.Pointer[item[K, T]]
	more  atomic.Pointer[bucket[K, T]]
}

// item is what a table holds under a key. It is never written to: a Set replaces it.
type item[K comparable, T any] struct {
	key   K
	value T
	end   int64 // of its life, in nanoseconds after epoch
}

const (
	slots = 6

	everyByte = 0x01_01_01_01_01_01_01_01
	highBits  = 0x80 * everyByte
	allSlots  = 1<<(8*slots) - 1
)

// newTable returns a table for up to n items, which then fill a third of its slots
// to two thirds.
func newTable[K comparable, T any](n int) *table[K, T] {
	const full = slots - 2 // items to a bucket, on average
	return &table[K, T]{make([]bucket[K, T], 1<<bits.Len(uint(max(n, full)-1)/full))}
}

// tag is of a hash what the shard and the bucket do not depend on, and never 0.
func tag(hash uint64) uint64 { return hash>>57 | 0x80 }

func (t *table[K, T]) bucket(hash uint64) *bucket[K, T] {
	return &t.buckets[hash/shards&uint64(len(t.buckets)-1)]
}

// find returns the item of key and where it is; nil for none.
func (t *table[K, T]) find(hash uint64, key K) (it *item[K, T], b *bucket[K, T], slot int) {
	for b = t.bucket(hash); b != nil; b = b.more.Load() {
		for at := b.candidates(hash); at != 0; at &= at - 1 {
			slot = first(at)
			if it = b.items[slot].Load(); it != nil && it.key == key {
				return it, b, slot
			}
		}
	}
	return nil, nil, 0
}

// candidates returns the slots whose tag is that of hash, as the high bits of their
// bytes. Now and then another slot is among them: who looks compares the keys.
func (b *bucket[K, T]) candidates(hash uint64) uint64 {
	different := b.tags.Load() ^ tag(hash)*everyByte
	return (different - everyByte) &^ different & highBits & allSlots
}

// first returns the first slot of those that candidates returned.
func first(at uint64) int { return bits.TrailingZeros64(at) / 8 }

// swap puts it in place of the item of its key, and reports whether there was one.
func (t *table[K, T]) swap(hash uint64, it *item[K, T]) bool {
	was, b, slot := t.find(hash, it.key)
	if was == nil {
		return false
	}
	b.items[slot].Store(it)
	return true
}

// drop removes the item of key, and reports whether there was one.
func (t *table[K, T]) drop(hash uint64, key K) bool {
	was, b, slot := t.find(hash, key)
	if was == nil {
		return false
	}
	b.items[slot].Store(nil)
	b.tags.Store(b.tags.Load() &^ (0xff << (8 * slot)))
	return true
}

// add puts an item into the table whose key is not there.
func (t *table[K, T]) add(hash uint64, it *item[K, T]) {
	b := t.bucket(hash)
	for b.full() {
		next := b.more.Load()
		if next == nil {
			next = new(bucket[K, T])
			b.more.Store(next)
		}
		b = next
	}
	free := first(^b.tags.Load() & highBits)
	b.items[free].Store(it)
	b.tags.Store(b.tags.Load() | tag(hash)<<(8*free))
}

func (b *bucket[K, T]) full() bool { return b.tags.Load()&highBits&allSlots == highBits&allSlots }

// all yields every item.
func (t *table[K, T]) all(yield func(*item[K, T]) bool) {
	for i := range t.buckets {
		for b := &t.buckets[i]; b != nil; b = b.more.Load() {
			for slot := range b.items {
				if it := b.items[slot].Load(); it != nil && !yield(it) {
					return
				}
			}
		}
	}
}
