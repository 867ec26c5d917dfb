package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

func loader(t testing.TB, f *fleet.Fleet[string, string]) *corral.Loader[string, string] {
	t.Helper()
	l, err := corral.New(f, corral.Options{TTL: time.Minute, StaleFor: time.Minute})
	must(t, err)
	return l
}

// G1, W1: of three processes one loads a key, and what was loaded before a Delete in
// one of them is stored nowhere.
func TestProcessesLoadOnceThroughAFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores, process := shared(t, 3, 10*time.Second, fleet.Options[string]{})
		var loaders []*corral.Loader[string, string]
		for range 3 {
			loaders = append(loaders, loader(t, process()))
		}
		var loads atomic.Int64
		load := func(_ context.Context, key string) (string, error) {
			n := loads.Add(1)
			time.Sleep(time.Second)
			return fmt.Sprint(key, " ", n), nil
		}
		keys := mixed(keysOn(process(), 3, 5))
		var all sync.WaitGroup
		for _, l := range loaders {
			for _, key := range keys {
				all.Go(func() {
					_, err := l.GetOrLoad(t.Context(), key, load)
					must(t, err)
				})
			}
		}
		all.Wait()
		if n := loads.Load(); n != 15 {
			t.Errorf("%d loads of 15 keys", n)
		}
		must(t, loaders[0].Delete(t.Context(), keys...))
		all.Go(func() {
			_, err := loaders[1].GetOrLoad(t.Context(), keys[0], load)
			must(t, err)
		})
		time.Sleep(500 * time.Millisecond)
		must(t, loaders[2].Delete(t.Context(), keys[0]))
		all.Wait()
		for i, s := range stores {
			if e, _ := s.Process().Get(t.Context(), keys[0]); e != nil {
				t.Errorf("shard %d holds %q, which was loaded before the Delete", i, e.Value)
			}
		}
		for _, l := range loaders {
			must(t, l.Close(t.Context()))
		}
	})
}

// A1, B2: of a batch, what a broken shard would hold is loaded, and the rest are hits.
func TestABatchOverABrokenShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var caches []*faulty
		f, _ := open(t, equal(3), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
			caches = append(caches, newFaulty())
			return remote{caches[len(caches)-1]}
		})
		l := loader(t, f)
		on := keysOn(f, 3, 10)
		keys := mixed(on)
		var asked [][]string
		load := func(_ context.Context, keys []string) (map[string]string, error) {
			asked = append(asked, keys)
			values := map[string]string{}
			for _, key := range keys {
				values[key] = "of " + key
			}
			return values, nil
		}
		for round, breaks := range []func(ctx context.Context) error{
			func(context.Context) error { return nil },
			func(context.Context) error { return errors.New("fault") },
			func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
		} {
			asked = nil
			synctest.Wait() // a key that is being stored would be shared
			caches[1].do(breaks)
			got, err := l.GetOrLoadMany(t.Context(), keys, load)
			must(t, err)
			if len(got) != 30 {
				t.Errorf("round %d: %d values, want 30", round, len(got))
			}
			if want := map[bool]int{true: 30, false: 10}[round == 0]; len(asked) != 1 || len(asked[0]) != want {
				t.Errorf("round %d: the loads were of %v, want one of %d keys", round, asked, want)
			}
		}
		must(t, l.Close(t.Context()))
	})
}

// New takes a fleet for what its shards are.
func TestALoaderOverBareValues(t *testing.T) {
	f, inner := open(t, equal(3), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return memadapter.Plain[string, string]() })
	l := loader(t, f)
	must(t, l.Set(t.Context(), "key", "value"))
	held := 0
	for _, c := range inner {
		if value, life, ok, _ := c.(*memadapter.PlainCache[string, string]).GetValue(t.Context(), "key"); ok {
			held++
			if value != "value" || life < 119*time.Second {
				t.Errorf("a shard holds %q for %v", value, life)
			}
		}
	}
	if r, err := l.Lookup(t.Context(), "key", unwanted); held != 1 || err != nil || r.Value != "value" || r.TTL < 59*time.Second {
		t.Errorf("%d shards hold the value; Lookup = %+v, %v", held, r, err)
	}
}

func unwanted(context.Context, string) (string, error) { return "", errors.New("no load is wanted") }

// C11: over shards that hear nothing, a Loader listens to nothing.
func TestALoaderOverMemoryIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := faultyFleet(t, 3, fleet.Options[string]{})
		l := loader(t, f)
		must(t, l.Set(t.Context(), "key", "value"))
		synctest.Wait() // the bubble ends only if no goroutine is left, with no Close
	})
}
