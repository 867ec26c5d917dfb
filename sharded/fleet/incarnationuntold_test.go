package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// forbids has a server tell no longer which it is.
func (s *server) forbids() {
	s.do(func(_ context.Context, call string) error {
		if call == "incarnation" {
			return errors.New("NOPERM this user has no permissions to run the 'info' command")
		}
		return nil
	})
}

// A server that is well and may not be asked any more which it is comes back: when an operator
// says so, or when probes have failed for no other reason until the pause is as long as it
// gets. It may have been replaced meanwhile, so nothing is served that was there before.
func TestIncarnationThatIsNotToldAnyMore(t *testing.T) {
	for name, back := range map[string]func(t *testing.T, f *fleetOfAll, key string){
		"by an operator": func(t *testing.T, f *fleetOfAll, _ string) {
			must(t, f.SetState(t.Context(), "s00", fleet.StateHealthy))
		},
		"by itself": func(t *testing.T, f *fleetOfAll, key string) {
			start := time.Now()
			for outOf(f, "s00") && time.Since(start) < 5*time.Minute {
				_, _ = f.Get(t.Context(), key)
				time.Sleep(time.Second)
				synctest.Wait()
			}
			if took := time.Since(start); took < time.Minute {
				t.Errorf("it is back after %v", took)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				farm := newFarm(t, 2)
				f := farm.process(fleet.Options[string]{}, plainly)
				key := farm.keys[0][0]
				farm.resurrects(f, key)
				farm.servers[0].forbids()
				time.Sleep(2 * time.Second)
				for range 3 {
					if _, err := f.Get(t.Context(), key); err == nil {
						t.Error("it was read")
					}
				}
				if !outOf(f, "s00") {
					t.Fatal("it is not out")
				}
				back(t, f, key)
				s := f.Health()[0]
				if s.Out || s.Incarnation != "" || s.IncarnationErr == nil || !s.FencedAll {
					t.Errorf("it is %+v", s)
				}
				wantGet(t, f, key, "", "what was deleted")
				time.Sleep(time.Nanosecond)
				must(t, f.Set(t.Context(), key, fresh("new")))
				for range 10 {
					time.Sleep(time.Minute)
					wantGet(t, f, key, "new", "stored since")
				}
				farm.servers[0].do(nil) // it tells again: from then on what comes back is known
				time.Sleep(2 * time.Minute)
				wantGet(t, f, key, "new", "told again")
				farm.servers[0].restart(t, "run 3")
				time.Sleep(2 * time.Minute)
				wantGet(t, f, key, "", "come back old again")
			})
		})
	}
}

// A server that does not answer at all is not taken for one that does not tell: an operator
// whose time is over hears of it, and the shard stays out.
func TestIncarnationOfAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		farm.resurrects(f, farm.keys[0][0])
		must(t, f.SetState(t.Context(), "s00", fleet.StateUnhealthy))
		farm.servers[0].do(hangs)
		ctx, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer end()
		wantIs(t, f.SetState(ctx, "s00", fleet.StateHealthy), context.DeadlineExceeded)
		if s := f.Health()[0]; !s.Out || s.FencedAll {
			t.Errorf("it is %+v", s)
		}
	})
}
