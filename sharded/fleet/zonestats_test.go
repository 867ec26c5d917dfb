package fleet_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// Of a group, too, a call that a replica was spared counts once, whatever it was looked at
// for, and with however many keys.
func TestStats_RefusedByAReplica(t *testing.T) {
	for _, holder := range []string{"g0 east", "g0 west"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegion(time.Minute)
			f, _ := r.process(t, "east", replicated(1, 1, "east", "west"), fleet.Options[string]{})
			keys := heldBy(t, f, holder, 3)
			must(t, f.SetState(t.Context(), "g0 east", fleet.StateUnhealthy))
			for call, do := range map[string]func() error{
				"Get":     func() error { _, err := f.Get(t.Context(), keys[0]); return err },
				"GetMany": func() error { _, err := f.GetMany(t.Context(), keys); return err },
				"Acquire": func() error {
					_, err := f.Acquire(t.Context(), keys[0], corral.LeaseRequest[string]{Token: "t"})
					return err
				},
				"AcquireMany": func() error {
					_, err := f.AcquireMany(t.Context(), keys[1:], []corral.LeaseRequest[string]{{Token: "t"}, {Token: "t"}})
					return err
				},
			} {
				before := f.Stats().Shards["g0 east"].Refused
				must(t, do())
				if n := f.Stats().Shards["g0 east"].Refused - before; n != 1 {
					t.Errorf("%s of keys that %s holds: %d calls refused", call, holder, n)
				}
			}
		})
	}
}

// So it is where every replica is out; half of them at most are, unless an operator says so.
func TestStats_RefusedByEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion(time.Minute)
		f, _ := r.process(t, "east", replicated(1, 1, "east", "west"), fleet.Options[string]{})
		for _, id := range []string{"g0 east", "g0 west"} {
			must(t, f.SetState(t.Context(), id, fleet.StateUnhealthy))
		}
		for i := range 4 {
			_, err := f.Get(t.Context(), fmt.Sprint("key:", i))
			wantIs(t, err, fleet.ErrUnhealthy)
		}
		for id, s := range f.Stats().Shards {
			if s.Refused != 4 {
				t.Errorf("%s: %d calls refused", id, s.Refused)
			}
		}
	})
}
