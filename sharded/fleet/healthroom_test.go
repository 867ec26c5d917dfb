package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// Never more than half of the shards are out that keys are on, also when well ones have left
// and are still looked at.
func TestHealthAfterWellShardsHaveLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 4, fleet.Options[string]{MaxLife: time.Hour})
		h.putOut(0)
		h.putOut(1)
		next := equal(3)
		next.Epoch = 2
		change, err := h.Apply(t.Context(), next)
		must(t, err)
		outs := func() (n int) {
			for _, s := range h.Health() {
				if s.Out {
					n++
				}
			}
			return n
		}
		if outs() != 1 {
			t.Errorf("of 3 shards %d are out", outs())
		}
		synctest.Wait()
		h.wantChanges("s00 unknown>unhealthy out=true", "s01 unknown>unhealthy out=true", "s00 unhealthy>unhealthy out=false")
		for range 10 { // nor is it put out again
			_, _ = h.Get(t.Context(), h.keys[0][0])
		}
		if outs() != 1 {
			t.Errorf("after more failures %d are out", outs())
		}
		time.Sleep(time.Hour)
		<-change.Done()
	})
}

// What an operator has put out stays so, whatever leaves.
func TestHealthOfDrainedShardsWhenOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 3, fleet.Options[string]{MaxLife: time.Hour})
		must(t, h.SetState(t.Context(), "s00", fleet.StateUnhealthy))
		must(t, h.SetState(t.Context(), "s01", fleet.StateUnhealthy))
		next := equal(2)
		next.Epoch = 2
		change, err := h.Apply(t.Context(), next)
		must(t, err)
		for i, s := range h.Health()[:2] {
			if !s.Out || !s.Held {
				t.Errorf("shard %d is %+v", i, s)
			}
		}
		time.Sleep(time.Hour)
		<-change.Done()
	})
}

// What an operator leaves to itself again is as its calls say, also if they said so while it
// was held.
func TestHealthOfShardsLeftToThemselves(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 3, fleet.Options[string]{})
			must(t, h.SetState(t.Context(), "s00", fleet.StateHealthy))
			h.patients[0].do(func(context.Context, string) error { time.Sleep(80 * time.Millisecond); return nil })
			must(t, h.get(0, 10))
			must(t, h.SetState(t.Context(), "s00", fleet.StateUnknown))
			must(t, h.get(0, 1))
			h.wantChanges("s00 unknown>healthy out=false", "s00 healthy>degraded out=false")
		})
	})
	t.Run("well, when others leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 3, fleet.Options[string]{MaxLife: time.Hour})
			for _, s := range []fleet.State{fleet.StateUnhealthy, fleet.StateUnknown} {
				must(t, h.SetState(t.Context(), "s00", s))
				must(t, h.SetState(t.Context(), "s01", s))
			}
			next := equal(2)
			next.Epoch = 2
			change, err := h.Apply(t.Context(), next)
			must(t, err)
			synctest.Wait()
			must(t, h.get(0, 1))
			h.wantChanges("s00 unknown>unhealthy out=true", "s01 unknown>unhealthy out=true",
				"s00 unhealthy>unhealthy out=false", "s00 unhealthy>healthy out=false")
			time.Sleep(time.Hour)
			<-change.Done()
		})
	})
}

// A MaxPause that is shorter than the default MinPause bounds the first pause too.
func TestHealthMaxPauseAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 3, fleet.Options[string]{Health: fleet.HealthOptions{MaxPause: 2 * time.Second}})
		h.putOut(0)
		if took := h.recover(0); took > 3*time.Second {
			t.Errorf("it was out for %v", took)
		}
	})
}
