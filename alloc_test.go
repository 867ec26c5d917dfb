package corral_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// allocating is what a hit is measured with: everything on that a hit could pay for.
var allocating = corral.Options{TTL: time.Hour, StaleFor: time.Hour, StaleIfError: time.Hour, EarlyExpiry: 1, AbsentTTL: time.Minute}

// holding returns a Ristretto cache that is closed after the Loaders over it.
func holding[V any](t *testing.T) *ristretto.Cache[string, V] {
	t.Helper()
	c, err := ristretto.NewCache(&ristretto.Config[string, V]{
		NumCounters: 1e4, MaxCost: 1e4, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// allocatingCaches are caches in memory.
func allocatingCaches(t *testing.T) map[string]corral.Cache[string, *int] {
	far := memadapter.NewShared[string, *int](time.Second).Process()
	return map[string]corral.Cache[string, *int]{
		"ristretto":         ristrettoadapter.New(holding[ristrettoadapter.Item[*int]](t), ristrettoadapter.Options[*int]{}),
		"ristretto, Plain":  ristrettoadapter.Plain(holding[*int](t), ristrettoadapter.Options[*int]{}),
		"memadapter":        memadapter.New[string, *int](),
		"memadapter, Plain": memadapter.Plain[string, *int](),
		"layered":           layered.New(memadapter.New[string, *int](), far, layered.Options{}),
	}
}

var errNotHeld = errors.New("the cache does not hold it")

// notHeld is the load of calls that must be hits.
func notHeld(context.Context, string) (*int, error) { return nil, errNotHeld }

// A hit allocates nothing with a load in a variable, whatever is switched on, and
// with a method value only what the caller makes at the call.
func TestAllocsHit(t *testing.T) {
	for name, cache := range allocatingCaches(t) {
		t.Run(name, func(t *testing.T) {
			ctx, load := context.Background(), corral.LoadFunc[string, *int](notHeld)
			l := newLoader(t, cache, allocating)
			if err := l.Set(ctx, "k", new(int)); err != nil {
				t.Fatal(err)
			}
			if _, err := l.GetOrLoad(ctx, "k", load); err != nil {
				t.Fatal(err)
			}
			wantAllocs(t, "GetOrLoad", 0, func() { _, _ = l.GetOrLoad(ctx, "k", load) })
			db := &holder{errNotHeld}
			wantAllocs(t, "GetOrLoad with a method value", 1, func() { _, _ = l.GetOrLoad(ctx, "k", db.load) })
		})
	}
}

// holder is whose method is the load.
type holder struct{ err error }

func (h *holder) load(context.Context, string) (*int, error) { return nil, h.err }

// So near its end that each call draws, an entry costs a hit no allocation, and
// neither does one that is stale while its refresh runs.
func TestAllocsHitOfAnOldEntry(t *testing.T) {
	for _, draws := range []bool{true, false} {
		for name, cache := range allocatingCaches(t) {
			if _, plain := cache.(corral.PlainCache[string, *int]); plain || name == "layered" {
				continue // they hold no entry that was set with an age
			}
			t.Run(fmt.Sprintf("%s, draws %v", name, draws), func(t *testing.T) { allocsOld(t, cache, draws) })
		}
	}
}

func allocsOld(t *testing.T, cache corral.Cache[string, *int], draws bool) {
	ctx, age := context.Background(), time.Hour+time.Minute
	if draws {
		age = time.Hour - time.Minute
	}
	e := &corral.Entry[*int]{
		Value: new(int), LoadedAt: time.Now().Add(-age), LoadTime: 2 * time.Second, TTL: time.Hour, Keep: 3 * time.Hour,
	}
	if err := cache.Set(ctx, "k", e); err != nil {
		t.Fatal(err)
	}
	if s, ok := cache.(corral.Settler[string]); ok {
		if err := s.Settle(ctx, "k"); err != nil {
			t.Fatal(err)
		}
	}
	l := newLoader(t, cache, allocating)
	release := make(chan struct{})
	defer close(release)
	load := func(context.Context, string) (*int, error) { <-release; return nil, errNotHeld }
	wantAllocs(t, "GetOrLoad", 0, func() {
		if _, err := l.GetOrLoad(ctx, "k", load); err != nil {
			t.Error(err)
		}
	})
}

// A batch of hits allocates the map that it returns, the list of the keys that it
// looks for, what the cache hands back, and five small things of the call's own:
// eight for eight hits, and with more only the map grows.
func TestAllocsHitsOfABatch(t *testing.T) {
	const n = 8 // as many as a map holds in one piece
	ctx, l := context.Background(), newLoader(t, memadapter.New[string, int](), allocating)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
		if err := l.Set(ctx, keys[i], i); err != nil {
			t.Fatal(err)
		}
	}
	load := func(context.Context, []string) (map[string]int, error) { return nil, errNotHeld }
	wantAllocs(t, "GetOrLoadMany", 8, func() {
		if _, err := l.GetOrLoadMany(ctx, keys, load); err != nil {
			t.Error(err)
		}
	})
}

// wantAllocs checks how often a call allocates at the most.
func wantAllocs(t *testing.T, what string, most float64, call func()) {
	t.Helper()
	if n := testing.AllocsPerRun(200, call); n > most {
		t.Errorf("%s allocates %v times, want at most %v", what, n, most)
	}
}
