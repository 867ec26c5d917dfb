package fleet_test

import (
	"context"
	"fmt"
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
		admitted, calls := 0, 0
		for ; h.Health()[0].State == fleet.StateWarming; calls++ {
			key := h.keys[0][calls%len(h.keys[0])]
			e, err := h.Get(t.Context(), key)
			if must(t, err); e == nil {
				must(t, h.Set(t.Context(), key, fresh("v")))
			}
			now := 0
			for hash := range uint64(1000) {
				if fleet.Admits(h.Fleet, "s00", hash) {
					now++
				}
			}
			if now < admitted {
				t.Fatalf("after %d calls %d of 1,000 keys are its own, before it were %d", calls, now, admitted)
			}
			if calls == 0 && (now < 90 || now > 160) {
				t.Errorf("to begin with %d of 1,000 keys are its own, want an eighth", now)
			}
			admitted = now
		}
		if calls < 60 || calls > 70 { // 20 misses, and the rate of 64 reads is half after some 44
			t.Errorf("it was warm after %d calls", calls)
		}
		if admitted != 1000 {
			t.Errorf("in the end %d of 1,000 keys are its own", admitted)
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
		for hash := range uint64(1000) {
			if !fleet.Admits(h.Fleet, "s00", hash) {
				t.Fatalf("what has the hash %d is not asked for at a shard that an operator forced in", hash)
			}
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

// reluctant is a shard of which a share of the keys, growing, is asked for: those not
// admitted are loaded, and not stored.
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

// Where no other shard had the keys, to read all of a shard that comes back empty at once
// costs the source one load of each, and to admit them by and by costs more.
func TestWarmingCostsNoLoads(t *testing.T) {
	loads := func(growing bool) (n int) {
		synctest.Test(t, func(t *testing.T) {
			var start time.Time
			cache := &reluctant{patient: &patient{Cache: memadapter.New[string, string]()}}
			cache.admits = func(key string) bool {
				return !growing || hash(t, key)%1000 < uint64(time.Since(start).Milliseconds()/10)
			}
			f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return cache })
			l := loader(t, f)
			start = time.Now() // it is back, empty
			for i := range 1000 {
				_, err := l.GetOrLoad(t.Context(), fmt.Sprint(i%100), func(context.Context, string) (string, error) { n++; return "v", nil })
				must(t, err)
				time.Sleep(10 * time.Millisecond)
			}
			must(t, l.Close(t.Context()))
		})
		return n
	}
	if n := loads(false); n != 100 {
		t.Errorf("%d loads of 100 keys", n)
	}
	if n := loads(true); n < 400 {
		t.Errorf("by a share that grows for 10 s: %d loads", n)
	}
}
