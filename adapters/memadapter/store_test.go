package memadapter

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func (s *store[K, T]) count() (n int) {
	for i := range s.shards {
		if t := s.shards[i].table.Load(); t != nil {
			for range t.all {
				n++
			}
		}
	}
	return n
}

// buckets is how many buckets the tables have, without those for what did not fit.
func (s *store[K, T]) buckets() (n int) {
	for i := range s.shards {
		if t := s.shards[i].table.Load(); t != nil {
			n += len(t.buckets)
		}
	}
	return n
}

// 100 entries live on while 50 generations come and go.
func TestDeadEntriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store[int, int]
		const living = 100
		for k := range living {
			s.set(-1-k, k, time.Hour)
		}
		for k := range 50 * minSweep {
			if k%64 == 0 {
				time.Sleep(time.Second)
				if n := s.count(); n > 64+living+minSweep {
					t.Fatalf("%d entries of which %d live, want at most %d more", n, living, 64+minSweep)
				}
			}
			s.set(k, k, time.Second)
		}
		for k := range living {
			if _, _, ok := s.get(-1 - k); !ok {
				t.Fatalf("entry %d was swept before its time", k)
			}
		}
	})
}

// Visiting all living entries whenever a few keys are new would cost a hundred
// visits for each of them.
func TestSweepsAreAmortised(t *testing.T) {
	var s store[int, int]
	sh, sweeps, last := &s.shards[0], 0, (*table[int, int])(nil)
	for k := 0; sh.held < 2000; k++ {
		s.set(k, k, time.Hour)
		if now := sh.table.Load(); now != last {
			sweeps, last = sweeps+1, now
		}
	}
	if sweeps != 6 { // at the first entry, at 64 and at each doubling
		t.Errorf("%d sweeps, want 6", sweeps)
	}
}

func TestOverwritingNeedsNoSweep(t *testing.T) {
	var s store[string, int]
	for n := range 10 * minSweep {
		s.set("k", n, time.Hour)
	}
	if n := s.count(); n != 1 || s.buckets() != minSweep/shards/(slots-2) {
		t.Errorf("%d entries in %d buckets, want 1 in the fewest", n, s.buckets())
	}
}

// A17: when a burst was deleted, or is over at the next new keys, its memory is
// given back.
func TestBurstsLeaveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store[int, int]
		const burst = 100_000
		fewest := minSweep / (slots - 2)
		for k := range burst {
			s.set(k, k, time.Hour)
		}
		for k := range burst {
			s.delete(k)
		}
		if n := s.count(); n != 0 || s.buckets() > fewest {
			t.Errorf("%d entries in %d buckets, want none in %d", n, s.buckets(), fewest)
		}
		for k := range burst {
			s.set(k, k, time.Second)
		}
		time.Sleep(time.Second)
		for k := range 2 * burst {
			s.set(burst+k, k, time.Nanosecond)
			time.Sleep(1)
		}
		if n := s.count(); n > minSweep || s.buckets() > fewest {
			t.Errorf("%d entries in %d buckets, want at most %d in %d", n, s.buckets(), minSweep, fewest)
		}
	})
}

// A key that is there all the time is found at every moment, while it is replaced
// and others come and go around it, so that its table is rebuilt.
func TestReadersMissNothing(t *testing.T) {
	var s store[int, int]
	const living = 200
	for k := range living {
		s.set(k, 0, time.Hour)
	}
	var over atomic.Bool
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			var seen [living]int
			for !over.Load() {
				for k := range living {
					n, _, ok := s.get(k)
					if !ok || n < seen[k] {
						t.Errorf("get(%d) = %d, %v, want %d or what was set later", k, n, ok, seen[k])
						return
					}
					seen[k] = n
				}
			}
		})
	}
	for n := 1; n <= 10; n++ {
		for k := range living {
			s.set(k, n, time.Hour)
		}
		for k := range 4 * minSweep {
			s.set(living+k, 0, time.Hour)
		}
		for k := range 4 * minSweep {
			s.delete(living + k)
		}
	}
	over.Store(true)
	readers.Wait()
}

// Keys of one hash share buckets and tags, and are told apart all the same.
func TestKeysOfOneHash(t *testing.T) {
	const hash, n = 4711 << 50, 3*slots + 1
	tab := newTable[int, int](0)
	for round := range 3 {
		for k := range n {
			tab.add(hash, &item[int, int]{key: k, value: round})
		}
		for k := range n {
			if it, _, _ := tab.find(hash, k); it == nil || it.key != k || it.value != round {
				t.Fatalf("found %v for the key %d of round %d", it, k, round)
			}
		}
		for k := range n {
			if !tab.drop(hash, k) || tab.drop(hash, k) {
				t.Fatalf("the key %d was not dropped once", k)
			}
		}
	}
	if it, _, _ := tab.find(hash, 0); it != nil {
		t.Errorf("found %v, want nothing", it)
	}
	buckets := 0
	for b := tab.bucket(hash); b != nil; b = b.more.Load() {
		buckets++
	}
	if buckets != 4 {
		t.Errorf("%d buckets, want the 4 that %d keys need", buckets, n)
	}
}

// A reader may come between the two steps of a drop.
func TestHalfDroppedItem(t *testing.T) {
	tab := newTable[int, int](0)
	for k := range 2 {
		tab.add(0, &item[int, int]{key: k})
	}
	tab.bucket(0).items[0].Store(nil)
	if it, _, _ := tab.find(0, 0); it != nil {
		t.Errorf("found %v, want nothing", it)
	}
	if it, _, _ := tab.find(0, 1); it == nil {
		t.Error("the key behind it is not found")
	}
}

// No two NaNs are equal: nobody finds one, and they go when their time is over.
// What cannot be hashed panics, as a map does.
func TestOddKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store[any, int]
		for range 10 * minSweep {
			s.set(math.NaN(), 1, time.Second)
			time.Sleep(time.Millisecond)
		}
		if _, _, ok := s.get(math.NaN()); ok || s.count() > 3*minSweep {
			t.Errorf("found a NaN: %v, among %d", ok, s.count())
		}
		s.set(1.5, 1, time.Hour)
		s.set(int8(1), 2, time.Hour)
		if v, _, _ := s.get(1.5); v != 1 {
			t.Errorf("get(1.5) = %d, want 1", v)
		}
		if _, _, ok := s.get(1); ok {
			t.Error("found an int, set an int8")
		}
		defer func() {
			if recover() == nil {
				t.Error("a slice as key did not panic")
			}
		}()
		s.get([]int{1})
	})
}

// Outside a bubble, where now is above zero, such a sum overflows.
func TestLongLivesDoNotOverflow(t *testing.T) {
	var s store[string, int]
	for now() <= 1 {
	}
	s.set("k", 1, math.MaxInt64-1)
	if _, life, ok := s.get("k"); life >= 0 || !ok {
		t.Errorf("life %v, %v, want no end", life, ok)
	}
}
