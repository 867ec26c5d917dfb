package ristrettoadapter_test

import (
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// count returns how many of the first n keys Ristretto holds.
func count[V any](raw *ristretto.Cache[string, V], n int) (held int) {
	raw.Wait()
	for i := range n {
		if _, ok := raw.GetTTL(strconv.Itoa(i)); ok {
			held++
		}
	}
	return held
}

func TestDeadEntriesAreSwept(t *testing.T) {
	const keys = 5_000
	synctest.Test(t, func(t *testing.T) {
		c, raw := entries(t, nil)
		for n := range keys {
			must(t, c.Set(t.Context(), strconv.Itoa(n), lasting(n, time.Duration(1+n%10)*time.Second)))
		}
		for n := range 13 {
			// At most the entries of three ticks are still to be swept.
			alive := keys * (10 - n) / 10
			if held := count(raw, keys); held < alive || held > max(0, alive)+3*keys/10 {
				t.Fatalf("%d entries are held after %d s, %d live", held, n, alive)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if held := count(raw, keys); held != 0 {
			t.Fatalf("%d dead entries are held", held)
		}
		if got := c.Stats().Swept; got != keys {
			t.Fatalf("Swept is %d, want %d", got, keys)
		}
		if left := ristrettoadapter.Watched(c); left != 0 {
			t.Fatalf("%d keys are still watched", left)
		}
		if ristrettoadapter.Armed(c) {
			t.Fatal("the timer is set, and nothing is stored (C11)")
		}
	})
}

// A run of the chores that meets another one is made up for.
func TestSweepThatMetAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := entries(t, nil)
		must(t, c.Set(t.Context(), "0", lasting(0, time.Second)))
		end := ristrettoadapter.Occupied(c)
		time.Sleep(5 * time.Second)
		end()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if held := count(raw, 1); held != 0 || ristrettoadapter.Armed(c) {
			t.Fatalf("%d dead entries are held, the timer is set: %v; want none, not set", held, ristrettoadapter.Armed(c))
		}
	})
}

// A key with a newer entry is swept at that one's end, be it later or sooner.
func TestSweepAsksTheEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := entries(t, nil)
		set := func(key string, value int, keep time.Duration) {
			must(t, c.Set(t.Context(), key, lasting(value, keep)))
		}
		set("longer", 1, time.Second)
		set("longer", 2, time.Hour)
		set("shorter", 1, time.Hour)
		set("shorter", 2, time.Second)
		set("around", 1, time.Second)
		must(t, c.Settle(t.Context(), "around"))
		raw.Set("around", held(2, time.Hour), 1)
		set("deleted", 1, time.Second)
		must(t, c.Delete(t.Context(), "deleted"))
		raw.Set("deleted", held(2, time.Second), 1) // not ours, but as dead
		ageless := held(2, time.Second)
		ageless.Entry().LoadedAt = time.Time{}
		set("ageless", 1, time.Second)
		must(t, c.Delete(t.Context(), "ageless"))
		raw.Set("ageless", ageless, 1) // not ours, and nobody knows when it ends
		set("for good", 1, 200*365*24*time.Hour)

		time.Sleep(5 * time.Second)
		synctest.Wait()
		for key, want := range map[string]int{"longer": 2, "shorter": -1, "around": 2, "deleted": -1, "ageless": 2, "for good": 1} {
			wantValue(t, c, key, want)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for key, want := range map[string]int{"longer": -1, "around": -1, "for good": 1} {
			wantValue(t, c, key, want)
		}
		if got := c.Stats().Swept; got != 4 {
			t.Fatalf("Swept is %d, want 4", got)
		}
	})
}

// An entry that is dead when it is set is not stored, and replaces what was
// there.
func TestDeadOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := entries(t, nil)
		e := lasting(2, time.Minute)
		e.LoadedAt = e.LoadedAt.Add(-time.Minute)
		must(t, c.Set(t.Context(), "k", lasting(1, time.Minute)))
		must(t, c.Set(t.Context(), "k", e))
		wantValue(t, c, "k", -1)
		e.LoadedAt = time.Time{} // of unknown age
		must(t, c.Set(t.Context(), "k", e))
		wantValue(t, c, "k", 2)
		time.Sleep(time.Minute + 3*time.Second)
		synctest.Wait()
		wantValue(t, c, "k", -1)
	})
}

// A cache that turns over many keys and keeps few does not pile up the keys.
func TestEvictedKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := entries(t, func(cfg *config) { cfg.MaxCost = 100 })
		most := 0
		for n := range 100_000 {
			key := strconv.Itoa(n)
			must(t, c.Set(t.Context(), key, lasting(n, 24*time.Hour)))
			must(t, c.Settle(t.Context(), key))
			if n%1000 == 0 {
				time.Sleep(100 * time.Millisecond)
				synctest.Wait()
			}
			most = max(most, ristrettoadapter.Watched(c))
		}
		if limit := 20_000; most > limit {
			t.Fatalf("up to %d keys were watched, want at most %d", most, limit)
		}
	})
}

// C11: nothing runs or is set while nothing is stored; and a timer keeps no
// cache alive.
func TestContract_C11_TimerHoldsNothing(t *testing.T) {
	gone := make(chan struct{})
	func() {
		c, raw := entries(t, nil)
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		must(t, c.Settle(t.Context(), "k"))
		raw.Close()
		ristrettoadapter.WhenCollected(c, func() { close(gone) })
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Fatal("the adapter was not collected while its timer was set")
}

// A key that gets a new entry every second, each kept for an hour, has a bounded
// number of listings, be it rewritten or deleted and set anew.
func TestListingsOfAHotKey(t *testing.T) {
	for name, deletes := range map[string]bool{"rewritten": false, "deleted": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, raw := entries(t, nil)
				most := 0
				for n := range 3000 {
					must(t, c.Set(t.Context(), "hot", lasting(n, time.Hour)))
					must(t, c.Settle(t.Context(), "hot"))
					if deletes && n < 2999 {
						must(t, c.Delete(t.Context(), "hot"))
					}
					time.Sleep(time.Second)
					synctest.Wait()
					most = max(most, ristrettoadapter.Listings(c))
				}
				if limit := 300; most > limit {
					t.Fatalf("one key has up to %d listings, want at most %d", most, limit)
				}
				time.Sleep(time.Hour + 3*time.Second)
				synctest.Wait()
				if held := count(raw, 1); held != 0 || ristrettoadapter.Listings(c) != 0 || ristrettoadapter.Armed(c) {
					t.Fatalf("%d entries and %d listings are held", held, ristrettoadapter.Listings(c))
				}
			})
		})
	}
}

// An entry of unknown age cannot say itself when it is over: what was noted of the
// one before it does not end it.
func TestSweepOfEntriesOfUnknownAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := entries(t, nil)
		set := func(value int, keep time.Duration) {
			e := lasting(value, keep)
			e.LoadedAt = time.Time{}
			must(t, c.Set(t.Context(), "k", e))
		}
		set(1, 3*time.Second)
		time.Sleep(2 * time.Second)
		set(2, time.Minute)
		for range 60 {
			wantValue(t, c, "k", 2)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		wantValue(t, c, "k", -1)
		if held := count(raw, 1); held != 0 || ristrettoadapter.Armed(c) {
			t.Fatalf("%d dead entries are held, the timer is set: %v; want none, not set", held, ristrettoadapter.Armed(c))
		}
	})
}
