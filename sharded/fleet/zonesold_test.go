package fleet_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// telling is a store of several processes that says which incarnation it is.
type telling struct {
	*memadapter.Process[string, string]
	run *atomic.Value
}

func (c telling) Incarnation(context.Context) (string, error) { return c.run.Load().(string), nil }

// A replica comes back old, and no call notices: what it holds gets into no other zone
// before it was asked.
func TestZones_CopiesOfWhatCameBackOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, run := newRegion(10*time.Second), &atomic.Value{}
		run.Store("run 1")
		f, err := fleet.New(t.Context(), replicated(1, 1, "east", "west"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			own := run
			if s.Zone == "west" {
				own = &atomic.Value{}
				own.Store("west")
			}
			return telling{r.store(s.ID).Process(), own}, nil
		}, fleet.Options[string]{Zone: "west"})
		must(t, err)
		l := loader(t, f)
		load, _ := numberedLoads()
		keys := heldBy(t, f, "g0 east", 2)
		read := func(key string) string {
			v, err := l.GetOrLoad(t.Context(), key, load)
			must(t, err)
			synctest.Wait()
			return v
		}
		must(t, f.Set(t.Context(), keys[0], fresh("old")))
		saved, _ := r.store("g0 east").Process().Get(t.Context(), keys[0])
		must(t, l.Delete(t.Context(), keys[0]))
		read(keys[1]) // so that it has just been asked
		must(t, r.store("g0 east").Process().Set(t.Context(), keys[0], saved))
		run.Store("run 2")
		read(keys[0])
		for range 10 {
			time.Sleep(time.Second)
			read(keys[1])
			_, _ = f.Acquire(t.Context(), keys[1], corral.LeaseRequest[string]{Token: "t", Force: true})
			_ = f.Release(t.Context(), keys[1], "t")
			synctest.Wait()
		}
		if v := read(keys[0]); v == "old" {
			t.Errorf("%q is served after 10 s, which was deleted", v)
		}
		must(t, l.Close(t.Context()))
		must(t, f.Close(t.Context()))
	})
}
