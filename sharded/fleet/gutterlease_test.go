package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// A lease that was got in the gutter is good there alone: it is renewed, filled and given
// back there, also when the shard is back, and a write by anybody ends it.
func TestGutter_Leases(t *testing.T) {
	type one = corral.LeaseRequest[string]
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint("many=", many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stores := t.Context(), newTown(equal(3), 2*time.Second)
				p, q := stores.process(t, equal(3), withGutter(10*time.Second)).Fleet, stores.process(t, equal(3), withGutter(10*time.Second)).Fleet
				keys := keysOn(p, 3, 1) // of which only that of s00 is in the gutter
				key, all := keys[0][0], []string{keys[0][0], keys[1][0], keys[2][0]}
				e, err := p.Explain(ctx, key)
				must(t, err)
				gutter := stores[e.Gutter].Process()
				for _, f := range []*fleet.Fleet[string, string]{p, q} {
					must(t, f.SetState(ctx, "s00", fleet.StateUnhealthy))
				}
				var tokens []string
				acquire := func(f *fleet.Fleet[string, string], token string) corral.Lease[string] {
					if !many {
						l, err := f.Acquire(ctx, key, one{Token: token})
						must(t, err)
						tokens = []string{l.Token}
						return l
					}
					leases, err := f.AcquireMany(ctx, all, []one{{Token: token}, {Token: token + "1"}, {Token: token + "2"}})
					must(t, err)
					tokens = []string{leases[0].Token, leases[1].Token, leases[2].Token}
					return leases[0]
				}
				fill := func(f *fleet.Fleet[string, string]) error {
					if !many {
						return f.Fill(ctx, key, tokens[0], fresh("loaded"))
					}
					err := f.FillMany(ctx, all, tokens, []*corral.Entry[string]{fresh("loaded"), fresh("loaded"), fresh("loaded")})
					var some *corral.KeyErrors[string]
					if errors.As(err, &some) {
						err = some.Errors[key]
					}
					return err
				}
				renew := func(f *fleet.Fleet[string, string]) error {
					if !many {
						return f.Renew(ctx, key, tokens[0])
					}
					return f.RenewMany(ctx, all, tokens)
				}
				if l := acquire(p, "a"); l.State != corral.LeaseHeld {
					t.Fatalf("%+v", l)
				}
				held := tokens
				ended, stop := q.Watch(key)
				defer stop()
				if l := acquire(q, "b"); l.State != corral.LeaseBusy {
					t.Errorf("%+v, which another process has", l)
				}
				tokens = held
				time.Sleep(1900 * time.Millisecond)
				must(t, renew(p))
				time.Sleep(1900 * time.Millisecond)
				must(t, q.SetState(ctx, "s00", fleet.StateHealthy))
				must(t, q.Delete(ctx, key)) // by who takes all for well
				<-ended
				if err := fill(p); !errors.Is(err, corral.ErrLeaseLost) {
					t.Errorf("err = %v of a Fill after a Delete", err)
				}
				must(t, q.SetState(ctx, "s00", fleet.StateUnhealthy))
				for _, k := range all {
					must(t, p.Delete(ctx, k))
				}
				acquire(p, "c")
				must(t, p.SetState(ctx, "s00", fleet.StateHealthy)) // before it has loaded
				must(t, fill(p))
				got, err := gutter.Get(ctx, key)
				if must(t, err); got == nil || got.Keep > 10*time.Second {
					t.Errorf("%+v is in the gutter, want it for 10 s", got)
				}
				if l := acquire(q, "d"); l.State != corral.LeaseChanged || l.Entry.Value != "loaded" {
					t.Errorf("%+v, want what is in the gutter", l)
				}
				for _, k := range all {
					must(t, q.Delete(ctx, k))
				}
				acquire(q, "e")
				given, stop := p.Watch(key)
				defer stop()
				must(t, p.SetState(ctx, "s00", fleet.StateUnhealthy))
				atGutter, stop := p.Watch(key)
				defer stop()
				if many {
					must(t, q.ReleaseMany(ctx, all, tokens))
				} else {
					must(t, q.Release(ctx, key, tokens[0]))
				}
				<-atGutter
				select {
				case <-given:
					t.Error("a lease of the shard itself has ended")
				default:
				}
				if l, err := gutter.Acquire(ctx, key, one{Token: "f"}); err != nil || l.State != corral.LeaseHeld {
					t.Errorf("%+v, %v after it was given back", l, err)
				}
				if a, b := p.Stats().Gutter, q.Stats().Gutter; a.Fills != 2 || b.Fills != 1 || a.Refused+b.Refused != 0 {
					t.Errorf("%+v and %+v, want leases a and c, and e", a, b)
				}
			})
		})
	}
}

// What has a lease is stored under it or not at all.
func TestGutter_StoresNothingWithoutItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := newTown(equal(2), 2*time.Second)
		p := stores.process(t, equal(2), withGutter(10*time.Second))
		e, err := p.Explain(t.Context(), "key")
		must(t, err)
		_, err = p.GetOrLoad(t.Context(), "key", func(context.Context, string) (string, error) {
			p.drain(t, e.Owner) // under the lease of which it loads
			return "value", nil
		})
		must(t, err)
		synctest.Wait()
		if got, _ := stores[e.Gutter].Process().Get(t.Context(), "key"); got != nil {
			t.Errorf("%+v was stored in the gutter without a lease", got)
		}
	})
}

// While the topology changes, a delete is made in the gutter of both: a process may be a
// phase behind, or ahead.
func TestGutter_OfBothTopologies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, after := equal(3), equal(5)
		after.Epoch = 2
		stores, epochs := newTown(after, 2*time.Second), &fleet.MemoryEpochs{}
		opts := withGutter(10 * time.Second)
		opts.Epochs, opts.EpochLife, opts.MaxLife = epochs, time.Second, time.Minute
		p := stores.process(t, before, opts)
		to := stores.process(t, after, withGutter(10*time.Second))
		var keys []string // that stay where they are, and have another gutter
		for i := 0; len(keys) < 20; i++ {
			key := fmt.Sprint("key:", i)
			o1, g1 := p.where(t, key)
			if o2, g2 := to.where(t, key); o1 == o2 && g1 != g2 {
				keys = append(keys, key)
			}
		}
		check := func(phase fleet.Phase) {
			t.Helper()
			for i, key := range keys {
				e, err := p.Explain(t.Context(), key)
				if must(t, err); e.Phase != phase {
					t.Fatalf("the phase is %v, want %v", e.Phase, phase)
				}
				_, g1 := to.where(t, key)
				for _, id := range []string{g1, e.Gutter} {
					must(t, stores[id].Process().Set(t.Context(), key, fresh("old")))
				}
				if i%2 == 0 {
					must(t, p.Loader.Delete(t.Context(), key))
				} else {
					must(t, p.Loader.Delete(t.Context(), key, "another"))
				}
				for _, id := range []string{g1, e.Gutter} {
					if got, _ := stores[id].Process().Get(t.Context(), key); got != nil {
						t.Errorf("%v: %s is still at %s", phase, key, id)
					}
				}
			}
		}
		go func() {
			_, err := p.Apply(t.Context(), after)
			must(t, err)
		}()
		synctest.Wait()
		check(fleet.PhasePrepare)
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		check(fleet.PhaseSwitch)
		time.Sleep(time.Minute + 1200*time.Millisecond)
		synctest.Wait()
		_, _ = p.Get(t.Context(), "key") // hears of the next phase
		check(fleet.PhaseClose)
	})
}

// A change that a migration ends before its time ends when nothing is left in gutters by
// the topology before: a later one might find it.
func TestGutter_IsEmptyWhenAChangeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := withGutter(20 * time.Second)
		opts.MaxLife = time.Hour
		p := newProcess(t, equal(2), opts, func(string) corral.Cache[string, string] { return memadapter.New[string, string]() })
		after := equal(3)
		after.Epoch = 2
		_, err := p.Apply(t.Context(), after)
		must(t, err)
		start := time.Now()
		r, err := fleet.Migrate(t.Context(), p.Fleet, fleet.MigrateOptions{})
		if must(t, err); !r.Ended || time.Since(start) != 20*time.Second {
			t.Errorf("ended is %v after %v, want 20s", r.Ended, time.Since(start))
		}
	})
}

// A store that is made while the topology changes is not left in a gutter of the one
// before.
func TestGutter_AStoreThatIsLateClearsTheGutterBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caches := map[string]*patient{}
		after := equal(6)
		for _, s := range after.Shards {
			caches[s.ID] = &patient{Cache: memadapter.New[string, string]()}
		}
		after.Epoch = 2
		opts := withGutter(20 * time.Second)
		opts.MaxLife = time.Hour
		p := newProcess(t, equal(2), opts, func(id string) corral.Cache[string, string] { return caches[id] })
		to := newProcess(t, after, withGutter(time.Second), func(id string) corral.Cache[string, string] { return caches[id] })
		for i := 0; ; i++ {
			key := fmt.Sprint("key:", i)
			owner, gutter := p.where(t, key)
			if o, g := to.where(t, key); o == gutter || g == gutter {
				continue
			}
			p.drain(t, owner)
			stored := make(chan struct{})
			caches[gutter].do(func(_ context.Context, call string) error {
				if call == "set" {
					close(stored)
					time.Sleep(time.Second)
				}
				return nil
			})
			go func() {
				<-stored
				_, err := p.Apply(t.Context(), after)
				must(t, err)
			}()
			p.read(t, key)
			time.Sleep(2 * time.Second)
			if e, _ := caches[gutter].Cache.Get(t.Context(), key); e != nil {
				t.Errorf("%+v is left in the gutter before", e)
			}
			return
		}
	})
}
