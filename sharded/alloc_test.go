package sharded_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded"
)

// What a call with a load made once costs, of keys that nobody else asks for: the
// context of the load. A caller who can leave needs a channel too, if its load was
// not over when the caller looked first: the runtime decides that.
func TestAllocsDo(t *testing.T) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	fn := func(context.Context) (int, error) { return 1, nil }
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
		t.Run(name, func(t *testing.T) {
			g := newGroup(sharded.Options[string]{})
			if n := testing.AllocsPerRun(1000, func() { _, _, _ = g.Do(ctx, "k", fn) }); n != 1 {
				t.Errorf("a call allocates %v times, want 1", n)
			}
		})
	}
}

// A caller that joins a flight costs no allocation, whether it can leave or not:
// what 64 callers of one flight allocate is what one allocates. The first rounds,
// in which the runtime makes what its goroutines block with, do not count.
func TestAllocsWaiter(t *testing.T) {
	const callers, rounds, early = 64, 12, 2
	for name, ends := range map[string]bool{"background": false, "cancellable": true} {
		sub(t, name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if !ends {
				ctx = context.Background()
			}
			g := newGroup(sharded.Options[string]{})
			fn := func(context.Context) (int, error) { time.Sleep(time.Second); return 1, nil }
			for range callers {
				go func() {
					for range rounds {
						_, _, _ = g.Do(ctx, "k", fn)
						time.Sleep(time.Second)
					}
				}()
			}
			made := make([]uint64, 0, rounds)
			for range rounds {
				time.Sleep(time.Second + time.Second/2) // everyone sleeps between two calls
				made = append(made, mallocs())
				time.Sleep(time.Second / 2)
			}
			synctest.Wait()
			each := float64(made[rounds-1]-made[early]) / (rounds - 1 - early)
			if each > callers/2 { // the runtime makes some, as they block on other processors
				t.Errorf("a flight of %d callers allocates %v times, want no more than one of one caller", callers, each)
			}
		})
	}
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}
