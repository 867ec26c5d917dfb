package ristrettoadapter_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// both runs a sub-test over New and over Plain, each in a bubble.
func both(t *testing.T, test func(t *testing.T, c settling)) {
	t.Helper()
	t.Run("New", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := entries(t, nil)
			test(t, c)
		})
	})
	t.Run("Plain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := values(t, nil)
			test(t, c)
		})
	})
}

type settling interface {
	corral.Cache[string, int]
	corral.Settler[string]
	Stats() ristrettoadapter.Stats
}

// A Ristretto cache misses right after Set in nearly every case.
func TestContract_A3_SetIsSeen(t *testing.T) {
	both(t, func(t *testing.T, c settling) {
		for n := range 10_000 {
			must(t, c.Set(t.Context(), strconv.Itoa(n), lasting(n, time.Hour)))
			wantValue(t, c, strconv.Itoa(n), n)
		}
		for n := range 10_000 {
			must(t, c.Settle(t.Context(), strconv.Itoa(n)))
			wantValue(t, c, strconv.Itoa(n), n)
		}
	})
}

// Two buffered Sets of one key leave the first in Ristretto.
func TestContract_A3_SecondSetWins(t *testing.T) {
	both(t, func(t *testing.T, c settling) {
		for n := range 2_000 {
			key := strconv.Itoa(n)
			for v := range 3 {
				must(t, c.Set(t.Context(), key, lasting(v, time.Hour)))
				wantValue(t, c, key, v)
			}
			must(t, c.Settle(t.Context(), key))
			wantValue(t, c, key, 2)
		}
	})
}

func TestContract_A3_FreshCaches(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			c, _ := entries(t, nil)
			must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
			must(t, c.Settle(t.Context(), "k"))
			for range 10 {
				wantValue(t, c, "k", 1)
			}
			if got := c.Stats(); got != (ristrettoadapter.Stats{}) {
				t.Fatalf("Stats is %+v, want none", got)
			}
		})
	}
}

// P20: the old value after Delete returned, in each state that a Set leaves.
//
// Red when erase, in calls.go, does not flush.
func TestPeers_P20_DeleteIsFinal(t *testing.T) {
	const rounds = 20_000
	both(t, func(t *testing.T, c settling) {
		for n := range rounds {
			key := strconv.Itoa(n % 50)
			must(t, c.Set(t.Context(), key, lasting(n, time.Hour)))
			if n%3 == 0 {
				must(t, c.Settle(t.Context(), key))
			}
			if n%3 == 1 {
				must(t, c.Set(t.Context(), key, lasting(n, time.Hour)))
			}
			must(t, c.Delete(t.Context(), key))
			wantValue(t, c, key, -1)
		}
	})
}

// P20: a write made around the adapter is buffered when Delete comes.
//
// Red when erase, in calls.go, does not flush.
func TestPeers_P20_DeleteWaitsForWritesAround(t *testing.T) {
	c, raw := values(t, nil)
	for n := range 20_000 {
		raw.Set("k", n, 1)
		must(t, c.Delete(t.Context(), "k"))
		wantValue(t, c, "k", -1)
	}
}

// P20: 8 writers are faster than Ristretto, which drops what its buffer has no
// room for.
//
// Red when, in calls.go, makeRoom does nothing and push tries once; each of them
// alone is enough here.
func TestPeers_P20_NoSetIsLost(t *testing.T) {
	for _, settle := range []bool{true, false} {
		t.Run(fmt.Sprintf("settle=%v", settle), func(t *testing.T) {
			raw := open(t, func(cfg *config) { cfg.NumCounters, cfg.Cost = 1e6, slowly })
			c := ristrettoadapter.New(raw, ristrettoadapter.Options[int]{Cost: func(int) int64 { return 0 }})
			const writers, each = 8, 12_500
			var all sync.WaitGroup
			for w := range writers {
				all.Go(func() {
					for n := w * each; n < (w+1)*each; n++ {
						if err := c.Set(t.Context(), strconv.Itoa(n), lasting(n, time.Hour)); err != nil {
							t.Error(err)
						}
						if !settle {
							continue
						}
						if err := c.Settle(t.Context(), strconv.Itoa(n)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			raw.Wait()
			for n := range writers * each {
				if e, ok := raw.Get(strconv.Itoa(n)); !ok || e.Entry().Value != n {
					t.Fatalf("Ristretto has lost key %d", n)
				}
			}
		})
	}
}

// slowly is a Config.Cost that takes some microseconds, so that Ristretto applies
// writes more slowly than they come on any machine.
func slowly(item) int64 {
	for range 100 {
		runtime.Gosched()
	}
	return 1
}

// P20: Ristretto's buffer is full, so that it drops the write.
//
// Red when push, in calls.go, tries once.
func TestPeers_P20_DroppedSetIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		raw := open(t, func(cfg *ristretto.Config[string, int]) {
			cfg.Cost = func(int) int64 { <-stop; return 1 }
		})
		goOn := sync.OnceFunc(func() { close(stop) })
		t.Cleanup(goOn) // lest raw's Close waits for ever if this fails
		c := ristrettoadapter.Plain(raw, ristrettoadapter.Options[int]{})
		for n := 0; raw.Set(strconv.Itoa(n), n, 0); n++ {
		}
		var set sync.WaitGroup
		set.Go(func() {
			if err := c.Set(t.Context(), "k", lasting(1, time.Hour)); err != nil {
				t.Error(err)
			}
		})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, c.Set(short, "other", lasting(1, time.Hour)), context.DeadlineExceeded)
		goOn()
		set.Wait()
		raw.Wait()
		if v, ok := raw.Get("k"); !ok || v != 1 {
			t.Fatalf("Ristretto has %d, %v, want 1", v, ok)
		}
		if got := c.Stats().Contended; got != 2 {
			t.Fatalf("Contended is %d, want 2", got)
		}
	})
}

// Writers, deleters and settlers of few keys: afterwards the cache holds what
// each key's last call left.
func TestStressOneKeyManyCalls(t *testing.T) {
	both := map[string]func(t *testing.T) settling{
		"New":   func(t *testing.T) settling { c, _ := entries(t, nil); return c },
		"Plain": func(t *testing.T) settling { c, _ := values(t, nil); return c },
	}
	for name, make := range both {
		t.Run(name, func(t *testing.T) {
			c := make(t)
			var all sync.WaitGroup
			for w := range 8 {
				all.Go(func() {
					for n := range 2_000 {
						key := strconv.Itoa(n % 3)
						if err := oneCall(t.Context(), c, key, w, n); err != nil {
							t.Error(err)
						}
					}
				})
			}
			all.Wait()
			for n := range 3 {
				key := strconv.Itoa(n)
				must(t, c.Set(t.Context(), key, lasting(n, time.Hour)))
				wantValue(t, c, key, n)
				must(t, c.Settle(t.Context(), key))
				wantValue(t, c, key, n)
				must(t, c.Delete(t.Context(), key))
				wantValue(t, c, key, -1)
			}
		})
	}
}

func oneCall(ctx context.Context, c settling, key string, w, n int) error {
	switch (w + n) % 4 {
	case 0:
		return c.Delete(ctx, key)
	case 1:
		return c.Settle(ctx, key)
	case 2:
		_, err := c.Get(ctx, key)
		return err
	}
	return c.Set(ctx, key, lasting(n, time.Hour))
}

// A reader must not fall between the overlay and Ristretto.
func TestContract_A3_NoMissWhileSettling(t *testing.T) {
	c, _ := entries(t, nil)
	for n := range 3_000 {
		key := strconv.Itoa(n)
		must(t, c.Set(t.Context(), key, lasting(n, time.Hour)))
		var settled sync.WaitGroup
		settled.Go(func() {
			if err := c.Settle(t.Context(), key); err != nil {
				t.Error(err)
			}
		})
		for range 20 {
			wantValue(t, c, key, n)
		}
		settled.Wait()
	}
}

// A Delete whose wait was cut short leaves a deletion in the buffer, which must
// not take the next value with it. Here Ristretto stops twice on the way:
//
//  1. It has nothing of the key applied when Delete comes.
//  2. It has applied value 1 but not the deletion behind it.
//
// A Set that came now would find the key there and replace value 1 at once; the
// deletion would then remove value 2.
func TestSetAfterDeleteThatGaveUp(t *testing.T) {
	t.Run("Delete", func(t *testing.T) {
		setAfter(t, func(ctx context.Context, c settling) error { return c.Delete(ctx, "k") })
	})
	t.Run("DeleteMany", func(t *testing.T) {
		setAfter(t, func(ctx context.Context, c settling) error {
			return c.(corral.BatchCache[string, int]).DeleteMany(ctx, []string{"k", "other"})
		})
	})
}

func setAfter(t *testing.T, remove func(ctx context.Context, c settling) error) {
	synctest.Test(t, func(t *testing.T) {
		first, second := make(chan struct{}), make(chan struct{})
		stops := map[int]chan struct{}{-1: first, -2: second}
		raw := open(t, func(cfg *ristretto.Config[string, int]) {
			cfg.Cost = func(v int) int64 {
				if stop := stops[v]; stop != nil {
					<-stop
				}
				return 1
			}
		})
		c := ristrettoadapter.Plain(raw, ristrettoadapter.Options[int]{})
		ended, cancel := context.WithCancel(t.Context())
		cancel()

		raw.Set("stop", -1, 0)
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		raw.Set("stop again", -2, 0)
		wantErr(t, remove(ended, c), context.Canceled)
		close(first)
		synctest.Wait()

		var set sync.WaitGroup
		set.Go(func() {
			if err := c.Set(t.Context(), "k", lasting(2, time.Hour)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		close(second)
		set.Wait()
		raw.Wait()
		wantValue(t, c, "k", 2)
	})
}

// A burst of writes leaves no large map behind: after it a new one is made.
func TestContract_C10_ABurstOfWritesLeavesNothingBehind(t *testing.T) {
	raw, err := ristretto.NewCache(&ristretto.Config[int, item]{NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64})
	must(t, err)
	defer raw.Close()
	c := ristrettoadapter.New(raw, ristrettoadapter.Options[int]{})
	if few := ristrettoadapter.BurstOf(c, 10); few != 10 {
		t.Errorf("a map of %d writes was made anew", few)
	}
	if many := ristrettoadapter.BurstOf(c, 1000); many != 0 {
		t.Errorf("the map of %d writes is kept", many)
	}
}

// Keys that are settled one by one share the wait that began after their writes.
func TestSettleOfManyKeysIsOneWait(t *testing.T) {
	const keys = 100
	synctest.Test(t, func(t *testing.T) {
		c, _ := entries(t, nil)
		for n := range keys {
			must(t, c.Set(t.Context(), strconv.Itoa(n), lasting(n, time.Hour)))
		}
		for n := range keys {
			must(t, c.Settle(t.Context(), strconv.Itoa(n)))
		}
		if waits := ristrettoadapter.Waits(c); waits != 1 {
			t.Errorf("%d waits were begun, want 1", waits)
		}
		must(t, c.Set(t.Context(), "later", lasting(0, time.Hour)))
		must(t, c.Settle(t.Context(), "later"))
		if waits := ristrettoadapter.Waits(c); waits != 2 {
			t.Errorf("%d waits were begun, want one more for a later write", waits)
		}
	})
}
