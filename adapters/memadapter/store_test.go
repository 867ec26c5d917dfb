package memadapter

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func (s *store[K, T]) count() (n int) {
	s.items.Range(func(any, any) bool { n++; return true })
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

// Visiting 100,000 living entries at every 1024th new key would cost a hundred
// visits for each of them.
func TestSweepsAreAmortised(t *testing.T) {
	var s store[int, int]
	sweeps, last := 0, int64(0)
	for k := range 100_000 {
		s.set(k, k, time.Hour)
		if n := s.living.Load(); n != last {
			sweeps, last = sweeps+1, n
		}
	}
	if sweeps != 7 { // at 1024 entries and at each doubling
		t.Errorf("%d sweeps, want 7", sweeps)
	}
}

func TestOverwritingNeedsNoSweep(t *testing.T) {
	var s store[string, int]
	for n := range 10 * minSweep {
		s.set("k", n, time.Hour)
	}
	if n := s.added.Load(); n != 1 {
		t.Errorf("%d keys counted as new, want 1", n)
	}
}

// A sweep has seen a dead item, and a Set replaces it before the sweep goes on.
func TestSweepSparesNewerItems(t *testing.T) {
	var s store[string, int]
	dead := &item[int]{value: 1, end: now()}
	s.items.Store("k", dead)
	s.set("k", 2, time.Hour)
	s.drop("k", dead)
	if v, _, ok := s.get("k"); v != 2 || !ok {
		t.Errorf("get = %v, %v, want the newer item", v, ok)
	}
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
