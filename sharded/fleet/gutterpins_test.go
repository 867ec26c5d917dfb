package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// The gutter of a pinned key is the first shard in its ranking that it is not pinned to,
// which may be the one that it would be on without the pin. What is kept there is deleted
// there, by processes that take the key's own shard for well, too.
func TestGutter_OfAPinnedKey(t *testing.T) {
	for _, life := range []time.Duration{0, 2 * time.Second} {
		for _, many := range []bool{false, true} {
			for rank := range 4 {
				t.Run(fmt.Sprintf("leases of %v/many=%v/pinned to rank %d", life, many, rank), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { pinnedGutter(t, newTown(equal(4), life), many, rank) })
				})
			}
		}
	}
}

func pinnedGutter(t *testing.T, stores town, many bool, rank int) {
	opts := withGutter(10 * time.Second)
	opts.Pins = memoryPins[string](t, 0)
	p, q := stores.process(t, equal(4), opts), stores.process(t, equal(4), opts)
	const key = "key:7"
	e, err := p.Explain(t.Context(), key)
	must(t, err)
	pin := e.Ranking[rank]
	_, _, err = opts.Pins.GetOrPin(t.Context(), key, pin)
	must(t, err)
	want := e.Ranking[0]
	if rank == 0 {
		want = e.Ranking[1]
	}
	if owner, gutter := p.where(t, key); owner != pin || gutter != want {
		t.Fatalf("the key is at %s with the gutter %s, want %s and %s", owner, gutter, pin, want)
	}
	kept := func(where string) {
		t.Helper()
		for id, s := range stores {
			got, err := s.Process().Get(t.Context(), key)
			if must(t, err); (got != nil) != (id == where) {
				t.Errorf("%s holds it: %v; want it at %q alone", id, got != nil, where)
			}
		}
	}
	p.drain(t, pin)
	read := func() int { // the loads that it took
		before := p.loads
		if many {
			p.readTwo(t, key, "another")
		} else {
			p.read(t, key)
		}
		return p.loads - before
	}
	for name, write := range map[string]func() error{
		"a Delete":        func() error { return q.Loader.Delete(t.Context(), key) },
		"a Delete of two": func() error { return q.Loader.Delete(t.Context(), key, "other") },
		"a Set":           func() error { return q.Loader.Set(t.Context(), key, "set") },
		"a Set of two": func() error {
			return q.Fleet.SetMany(t.Context(), []string{key, "other"}, []*corral.Entry[string]{fresh("set"), fresh("set")})
		},
	} {
		if n := read() + read(); n != 1 {
			t.Errorf("before %s: %d loads of two calls", name, n)
		}
		kept(want)
		must(t, write())
		synctest.Wait() // who hears of it late discards what it loads meanwhile
		if n := read(); n != 1 {
			t.Errorf("after %s: %d loads: the gutter still has what was before", name, n)
		}
		must(t, q.Loader.Delete(context.Background(), key))
		synctest.Wait()
		kept("")
	}
	p.drain(t, want)
	if n := read() + read(); n != 2 {
		t.Errorf("%d loads of two calls while the shard and its gutter are out", n)
	}
	kept("")
	if rank > 0 { // it is out for others, and the pin is moved to it: so is its gutter
		must(t, p.SetState(t.Context(), pin, fleet.StateHealthy))
		_, ok, err := opts.Pins.TryPin(t.Context(), key, pin, want)
		if must(t, err); !ok {
			t.Fatal("the pin was not moved")
		}
		time.Sleep(2 * time.Second) // pins are known anew
		if n := read() + read(); n != 1 {
			t.Errorf("%d loads of two calls of a key that was pinned to a shard that is out", n)
		}
		kept(e.Ranking[1])
	}
}

// leaseless hides that a cache gives leases, as a wrapper does that does not know of them.
type leaseless struct {
	corral.BatchCache[string, string]
}

// What was loaded without a lease may be older than a Delete: where the shards give leases
// it is not stored in the gutter.
func TestGutter_TakesNothingWithoutALease(t *testing.T) {
	for life, want := range map[time.Duration]bool{0: true, 2 * time.Second: false} {
		for _, many := range []bool{false, true} {
			t.Run(fmt.Sprintf("leases of %v/many=%v", life, many), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					stores := newTown(equal(2), life)
					p := stores.process(t, equal(2), withGutter(10*time.Second))
					l, err := corral.New(leaseless{p.Fleet}, corral.Options{TTL: time.Minute})
					must(t, err)
					defer func() { must(t, l.Close(context.Background())) }()
					owner, gutter := p.where(t, "key")
					p.drain(t, owner)
					if many {
						_, err = l.GetOrLoadMany(t.Context(), []string{"key"}, func(context.Context, []string) (map[string]string, error) {
							return map[string]string{"key": "value"}, nil
						})
					} else {
						_, err = l.GetOrLoad(t.Context(), "key", func(context.Context, string) (string, error) { return "value", nil })
					}
					must(t, err)
					synctest.Wait()
					e, err := stores[gutter].Process().Get(t.Context(), "key")
					if must(t, err); (e != nil) != want {
						t.Errorf("it is stored in the gutter: %v, want %v", e != nil, want)
					}
				})
			})
		}
	}
}
