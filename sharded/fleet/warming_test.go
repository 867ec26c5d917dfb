package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// fill stores all keys of the i-th shard, and reads them until its hit rate is high.
func (h *hospital) fill(i int) {
	h.t.Helper()
	for _, key := range h.keys[i] {
		must(h.t, h.Set(h.t.Context(), key, fresh("v")))
	}
	for n := range 400 {
		_, err := h.Get(h.t.Context(), h.keys[i][n%len(h.keys[i])])
		must(h.t, err)
	}
}

// empty takes all that the i-th shard holds.
func (h *hospital) empty(i int) {
	h.t.Helper()
	must(h.t, h.patients[i].Cache.DeleteMany(h.t.Context(), h.keys[i]))
}

// A shard that comes back empty is warming until half as much of what is asked for is
// there as before.
func TestWarmingAShardThatComesBackEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.fill(0)
		if s := h.Health()[0]; s.HitRate < 0.99 {
			t.Errorf("it is %+v", s)
		}
		h.putOut(0)
		h.empty(0)
		h.recover(0)
		if s := h.Health()[0]; s.State != fleet.StateWarming || s.Out || s.HitRate != 0 {
			t.Errorf("it is %+v", s)
		}
		calls := 0
		for ; h.Health()[0].State == fleet.StateWarming; calls++ {
			key := h.keys[0][calls%len(h.keys[0])]
			e, err := h.Get(t.Context(), key)
			if must(t, err); e == nil {
				must(t, h.Set(t.Context(), key, fresh("v")))
			}
		}
		if calls < 60 || calls > 70 { // 20 misses, and the rate of 64 reads is half after some 44
			t.Errorf("it was warm after %d calls", calls)
		}
		h.wantChanges("s00 unknown>healthy out=false", "s00 healthy>unhealthy out=true",
			"s00 unhealthy>warming out=false", "s00 warming>healthy out=false")
	})
}

// A shard that comes back with what it held is warm as soon as that shows; one that is
// out again before it was warm is to have as much as it had in the beginning; and a
// minute is the most.
func TestWarmingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.fill(0)
		h.putOut(0)
		h.recover(0)
		for n := range 44 {
			if s := h.Health()[0]; s.State != fleet.StateWarming {
				t.Errorf("after %d hits it is %+v", n, s)
				break
			}
			must(t, h.get(0, 1))
		}
		if s := h.Health()[0]; s.State != fleet.StateHealthy {
			t.Errorf("it is %+v", s)
		}
		h.putOut(0)
		h.empty(0)
		h.recover(0)
		must(t, h.get(0, 5))
		h.putOut(0)
		h.recover(0)
		time.Sleep(59 * time.Second)
		must(t, h.get(0, 100))
		if s := h.Health()[0]; s.State != fleet.StateWarming {
			t.Errorf("it is %+v", s)
		}
		time.Sleep(time.Second)
		must(t, h.get(0, 1))
		if s := h.Health()[0]; s.State != fleet.StateHealthy {
			t.Errorf("it is %+v", s)
		}
	})
}

// A shard that never had much is not warming; nor is one that an operator forces in.
func TestWarmingOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		must(t, h.get(0, 100))
		h.putOut(0)
		h.recover(0)
		if s := h.Health()[0]; s.State != fleet.StateHealthy {
			t.Errorf("it is %+v", s)
		}
		h.fill(0)
		h.putOut(0)
		h.patients[0].fails(nil)
		must(t, h.SetState(t.Context(), "s00", fleet.StateHealthy))
		if s := h.Health()[0]; s.State != fleet.StateHealthy {
			t.Errorf("it is %+v", s)
		}
		must(t, h.SetState(t.Context(), "s00", fleet.StateUnknown))
		_ = h.get(0, 1)
		if s := h.Health()[0]; s.State != fleet.StateHealthy {
			t.Errorf("it is %+v", s)
		}
		wantOption(t, h.SetState(t.Context(), "s00", fleet.StateWarming), "SetState: s", fleet.StateWarming)
	})
}

// A shard that comes back as another incarnation is warming, and the hook is told why.
func TestWarmingAnotherIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		told := make(chan fleet.HealthChange, 10)
		f := farm.process(fleet.Options[string]{Hooks: fleet.Hooks{HealthChange: func(_ context.Context, e fleet.HealthChange) { told <- e }}}, plainly)
		for _, key := range farm.keys[0] {
			must(t, f.Set(t.Context(), key, fresh("v")))
		}
		for range 10 {
			for _, key := range farm.keys[0] {
				wantGet(t, f, key, "v", "before")
			}
		}
		<-told
		farm.servers[0].save(t)
		farm.servers[0].restart(t, "run 2")
		time.Sleep(2 * time.Second)
		wantGet(t, f, farm.keys[0][0], "", "after")
		if e := <-told; e.From != fleet.StateHealthy || e.To != fleet.StateWarming || e.Out || e.Err == nil {
			t.Errorf("the hook was told %+v", e)
		}
		if s := f.Health()[0]; s.State != fleet.StateWarming {
			t.Errorf("it is %+v", s)
		}
	})
}

// reluctant is a shard of which a share of the keys is asked for.
type reluctant struct {
	*patient
	admits func(key string) bool
}

func (r *reluctant) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	if !r.admits(key) {
		return nil, fleet.ErrUnhealthy
	}
	return r.patient.Get(ctx, key)
}

func (r *reluctant) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	if !r.admits(key) {
		return fleet.ErrUnhealthy
	}
	return r.patient.Set(ctx, key, e)
}

// warmingLoads returns how many loads a shard costs that was out for five seconds and comes
// back empty: if it is asked for all of its keys at once, or for a share that grows for so
// long. Each of 100 keys is asked for once a second.
func warmingLoads(t *testing.T, gutter fleet.GutterOptions, grows time.Duration) (loads int) {
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(5 * time.Second)
		f, _ := open(t, equal(2), fleet.Options[string]{Health: fleet.HealthOptions{
			Gutter:   gutter,
			Classify: func(error) fleet.Fault { return fleet.NoFault },
		}}, func(i int) corral.Cache[string, string] {
			return &reluctant{&patient{Cache: memadapter.New[string, string]()}, func(key string) bool {
				since := time.Since(back)
				return i == 1 || since >= 0 && hash(t, key)%1000 >= uint64(1000-1000*min(since, grows)/max(grows, 1)) || grows == 0 && since >= 0
			}}
		})
		keys := keysOn(f, 2, 100)[0]
		l := loader(t, f)
		for i := range 3500 {
			_, err := l.GetOrLoad(t.Context(), keys[i%len(keys)], func(context.Context, string) (string, error) {
				if !time.Now().Before(back) {
					loads++
				}
				return "v", nil
			})
			must(t, err)
			time.Sleep(10 * time.Millisecond)
		}
		must(t, l.Close(t.Context()))
	})
	return loads
}

// To ask a shard that comes back empty for all of its keys at once costs the source one
// load of each; by a share that grows it costs more, also with a gutter: what is in there
// ends, and is loaded for the gutter again.
func TestWarmingCostsNoLoads(t *testing.T) {
	for name, gutter := range map[string]fleet.GutterOptions{"no gutter": {}, "a gutter": {Life: 10 * time.Second, Fills: 1000}} {
		once := warmingLoads(t, gutter, 0)
		if once != 100 {
			t.Errorf("%s: %d loads of 100 keys", name, once)
		}
		for _, grows := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
			n := warmingLoads(t, gutter, grows)
			t.Logf("%s, a share that grows for %v: %d loads, at once: %d", name, grows, n, once)
			if n < once {
				t.Errorf("%s: a share that grows for %v costs %d loads, and all at once %d", name, grows, n, once)
			}
		}
	}
}
