package memadapter

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// epoch is where this package counts time from. Offsets from it come from the
// monotonic clock, so that a step of the wall clock ends nothing and revives
// nothing. They are negative in a testing/synctest bubble, where it is 2000.
var epoch = time.Now()

// seed makes the hashes of this process: nobody who chooses keys can aim at one
// bucket.
var seed = maphash.MakeSeed()

const (
	noEnd = math.MaxInt64

	// shards is how many writers may write at once. Each has two lines of the
	// processor's cache for readers to go through, which 64 do not keep there as well:
	// then a hit of one among 100,000 keys took a tenth longer.
	shards = 16

	// minSweep keeps a small store from sweeping at every Set.
	minSweep = 1024
)

// store is a map whose values end. Readers take no lock, writers that of a shard.
type store[K comparable, T any] struct {
	shards [shards]shard[K, T]
}

// shard is a part of a store, for the keys whose hashes have the same low bits.
type shard[K comparable, T any] struct {
	table atomic.Pointer[table[K, T]] // nil before the first item

	mu   sync.Mutex // guards what follows, and the table against other writers
	held int        // items in the table, those whose time is over too
	room int        // how many it may hold

	_ [32]byte // keeps two shards off one line of the processor's cache
}

// get returns the value of key and what is left of its life, -1 for no end.
func (s *store[K, T]) get(key K) (value T, life time.Duration, ok bool) {
	it := s.find(key)
	switch {
	case it == nil:
		return value, 0, false
	case it.end == noEnd:
		return it.value, -1, true
	}
	life = time.Duration(it.end - now())
	if life <= 0 {
		return value, 0, false
	}
	return it.value, life, true
}

// find returns the item of key, whether its time is over or not; nil for none.
func (s *store[K, T]) find(key K) *item[K, T] {
	hash := maphash.Comparable(seed, key)
	if t := s.shards[hash%shards].table.Load(); t != nil {
		it, _, _ := t.find(hash, key)
		return it
	}
	return nil
}

// set keeps value for life. Without any, an older value must not stay either.
func (s *store[K, T]) set(key K, value T, life time.Duration) {
	if life <= 0 {
		s.delete(key)
		return
	}
	hash := maphash.Comparable(seed, key)
	s.shards[hash%shards].set(hash, &item[K, T]{key, value, endAfter(now(), life)})
}

func (s *store[K, T]) delete(key K) {
	hash := maphash.Comparable(seed, key)
	s.shards[hash%shards].delete(hash, key)
}

func (s *shard[K, T]) set(hash uint64, it *item[K, T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	if t != nil && t.swap(hash, it) {
		return
	}
	if s.held == s.room {
		t = s.rebuildLocked(now())
	}
	t.add(hash, it)
	s.held++
}

func (s *shard[K, T]) delete(hash uint64, key K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.table.Load(); t == nil || !t.drop(hash, key) {
		return
	}
	s.held--
	if s.room > minSweep/shards && s.held < s.room/8 {
		s.rebuildLocked(now())
	}
}

// rebuildLocked moves the items whose time is not over to a table with room for as
// many again, and returns it. Each new key, or each deleted one, pays for visiting
// two items or three. Readers of the old table see what was there until now.
func (s *shard[K, T]) rebuildLocked(at int64) *table[K, T] {
	var living []*item[K, T]
	if t := s.table.Load(); t != nil {
		for it := range t.all {
			if it.end > at {
				living = append(living, it)
			}
		}
	}
	s.held, s.room = len(living), max(2*len(living), minSweep/shards)
	t := newTable[K, T](s.room)
	for _, it := range living {
		t.add(maphash.Comparable(seed, it.key), it)
	}
	s.table.Store(t)
	return t
}

// endAfter is the end of a life that begins at at.
func endAfter(at int64, life time.Duration) int64 {
	end := at + int64(life)
	if life == noEnd || end < at { // the longest life there is, or the sum overflowed
		return noEnd
	}
	return end
}

func now() int64 { return int64(time.Since(epoch)) }
