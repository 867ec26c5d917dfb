package fleet_test

import (
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
