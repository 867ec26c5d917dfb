//go:build !race

package corral_test

import (
	"context"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// A miss allocates its flight, the flight's contexts, what the load is given, what
// the caller waits on, the start of a goroutine and the entry: six, and what the
// cache makes of a write. For memadapter that is one, for Ristretto two, of which one is
// its own, and of the wait for its buffer, which is shared by all that were written
// before, up to one more where the machine is slow.
func TestAllocsMiss(t *testing.T) {
	for name, test := range map[string]struct {
		cache corral.Cache[string, *int]
		most  float64
	}{
		"a cache that holds nothing": {noCache{}, 6},
		"memadapter":                 {memadapter.New[string, *int](), 7},
		"ristretto":                  {ristrettoadapter.New(holding[*corral.Entry[*int]](t), ristrettoadapter.Options[*int]{}), 9},
	} {
		t.Run(name, func(t *testing.T) {
			const runs = 200
			ctx, value := context.Background(), new(int)
			load := func(context.Context, string) (*int, error) { return value, nil }
			l := newLoader(t, test.cache, allocating)
			keys := make([]string, runs+1) // what maps keep for them is there after the first time
			for i := range keys {
				keys[i] = strconv.Itoa(i)
				if _, err := l.GetOrLoad(ctx, keys[i], load); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Delete(ctx, keys...); err != nil {
				t.Fatal(err)
			}
			i := -1
			wantAllocs(t, "GetOrLoad", test.most, func() {
				i++
				_, _ = l.GetOrLoad(ctx, keys[i%len(keys)], load)
			})
		})
	}
}

type noCache struct{}

func (noCache) Get(context.Context, string) (*corral.Entry[*int], error) { return nil, nil }
func (noCache) Set(context.Context, string, *corral.Entry[*int]) error   { return nil }
func (noCache) Delete(context.Context, string) error                     { return nil }

// A caller that joins a flight costs no allocation, whether it can leave or not:
// what 64 callers of one flight allocate is what one allocates. The first rounds,
// in which the runtime makes what its goroutines block with, do not count.
func TestAllocsWaiter(t *testing.T) {
	const callers, rounds, early = 64, 12, 2
	for name, ends := range map[string]bool{"background": false, "cancellable": true} {
		bubble(t, name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if !ends {
				ctx = context.Background()
			}
			l := memLoader(t, corral.Options{TTL: time.Second / 2})
			load := func(context.Context, string) (int, error) { time.Sleep(time.Second); return 1, nil }
			for range callers {
				go func() {
					for range rounds {
						_, _ = l.GetOrLoad(ctx, "k", load)
						time.Sleep(time.Second)
					}
				}()
			}
			made := make([]uint64, 0, rounds)
			for range rounds {
				time.Sleep(time.Second + time.Second/2) // everyone sleeps between two calls
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				made = append(made, m.Mallocs)
				time.Sleep(time.Second / 2)
			}
			synctest.Wait()
			each := float64(made[rounds-1]-made[early]) / (rounds - 1 - early)
			if each > callers/2 {
				t.Errorf("a flight of %d callers allocates %v times, want no more than one of one caller", callers, each)
			}
			if loads := l.Stats().Loads; loads != rounds {
				t.Errorf("%d loads for %d rounds", loads, rounds)
			}
		})
	}
}
