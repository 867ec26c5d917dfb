package fleet_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// With leases all processes together load once what they no longer take from a server
// that came back old, and again when that is over.
func TestIncarnationWithLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		var loaders []*corral.Loader[string, string]
		for range 3 {
			loaders = append(loaders, loader(t, farm.process(fleet.Options[string]{}, leasing)))
		}
		load, count := numberedLoads()
		keys := farm.keys[0][:5]
		all := func() (values []string) {
			var mu sync.Mutex
			var done sync.WaitGroup
			for i, l := range loaders {
				done.Go(func() {
					for j, key := range keys {
						v, err := l.GetOrLoad(t.Context(), key, func(ctx context.Context, key string) (string, error) {
							time.Sleep(10 * time.Millisecond)
							return load(ctx, key)
						})
						must(t, err)
						if i+j == 0 {
							mu.Lock()
							values = append(values, v)
							mu.Unlock()
						}
					}
				})
			}
			done.Wait()
			return values
		}
		all()
		farm.servers[0].save(t)
		must(t, loaders[0].Delete(t.Context(), keys[0]))
		farm.servers[0].restart(t, "run 2")
		time.Sleep(3 * time.Second)
		if v := all(); v[0] == "load 1" || count() != 10 {
			t.Errorf("after the restart it is %v, %d loads; want a new one of each key", v, count())
		}
		time.Sleep(2*time.Minute + time.Second)
		if all(); count() != 15 {
			t.Errorf("when these had expired: %d loads, want one of each key", count())
		}
		for _, l := range loaders {
			must(t, l.Close(t.Context()))
		}
	})
}

// So it is for calls of many keys.
func TestIncarnationWithLeasesOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		var loaders []*corral.Loader[string, string]
		for range 2 {
			loaders = append(loaders, loader(t, farm.process(fleet.Options[string]{}, leasing)))
		}
		loads := map[string]int{}
		keys := append(farm.keys[0][:5:5], farm.keys[1][:5]...)
		all := func() {
			for _, l := range loaders {
				got, err := l.GetOrLoadMany(t.Context(), keys, func(_ context.Context, keys []string) (map[string]string, error) {
					values := map[string]string{}
					for _, key := range keys {
						loads[key]++
						values[key] = fmt.Sprint(loads[key])
					}
					return values, nil
				})
				must(t, err)
				for key, v := range got {
					if v != fmt.Sprint(loads[key]) {
						t.Errorf("%s is %q after %d loads", key, v, loads[key])
					}
				}
			}
		}
		all()
		farm.servers[0].save(t)
		farm.servers[0].restart(t, "run 2")
		time.Sleep(3 * time.Second)
		for _, l := range loaders { // each finds out for itself: what one loads before another has, that one loads again
			_, err := l.GetOrLoad(t.Context(), farm.keys[0][9], func(context.Context, string) (string, error) { return "v", nil })
			must(t, err)
		}
		time.Sleep(time.Nanosecond)
		all()
		for i, key := range keys {
			want := 2
			if i >= 5 {
				want = 1
			}
			if loads[key] != want {
				t.Errorf("%d loads of %s, want %d", loads[key], key, want)
			}
		}
		for _, l := range loaders {
			must(t, l.Close(t.Context()))
		}
	})
}

// What is stored while a lease is asked for again is the answer, and is not loaded over.
func TestIncarnationLeaseOfWhatIsStoredMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, leasing)
		keys := farm.keys[0][:2]
		for _, key := range keys {
			must(t, f.Set(t.Context(), key, fresh("old")))
		}
		wantGet(t, f, keys[0], "old", "before")
		farm.servers[0].save(t)
		farm.servers[0].restart(t, "run 2")
		time.Sleep(2 * time.Second)
		wantGet(t, f, keys[0], "", "after the restart")
		time.Sleep(time.Nanosecond)
		acquires := 0
		farm.servers[0].do(func(_ context.Context, call string) error {
			if call != "acquire" {
				return nil
			}
			if acquires++; acquires%2 == 0 { // by another process
				farm.servers[0].mu.Lock()
				defer farm.servers[0].mu.Unlock()
				for _, key := range keys {
					must(t, farm.servers[0].store.Process().Set(t.Context(), key, fresh("new")))
				}
			}
			return nil
		})
		l, err := f.Acquire(t.Context(), keys[0], aRequest{Token: "one"})
		if err != nil || l.State != corral.LeaseChanged || l.Entry.Value != "new" {
			t.Errorf("Acquire = %+v, %v", l, err)
		}
		farm.servers[0].restart(t, "run 2")
		all, err := f.AcquireMany(t.Context(), keys, []aRequest{{Token: "one"}, {Token: "two"}})
		must(t, err)
		for i, l := range all {
			if l.State != corral.LeaseChanged || l.Entry.Value != "new" {
				t.Errorf("AcquireMany = %+v of %s", l, keys[i])
			}
		}
		if acquires != 4 {
			t.Errorf("%d calls", acquires)
		}
	})
}

// If each answer is something old again, stored by a process that does not know, the
// lease is asked for whatever there is; what is fenced is no answer.
func TestIncarnationLeaseOfWhatIsOldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, leasing)
		keys := farm.keys[0][:2]
		wantGet(t, f, keys[0], "", "before")
		farm.servers[0].restart(t, "run 2")
		old := fresh("old")
		time.Sleep(2 * time.Second)
		wantGet(t, f, keys[0], "", "the fleet finds out")
		farm.servers[0].do(func(_ context.Context, call string) error {
			if call == "acquire" {
				farm.servers[0].mu.Lock()
				defer farm.servers[0].mu.Unlock()
				for _, key := range keys {
					must(t, farm.servers[0].store.Process().Set(t.Context(), key, old))
				}
			}
			return nil
		})
		l, err := f.Acquire(t.Context(), keys[0], aRequest{Token: "one"})
		if err != nil || l.State != corral.LeaseHeld {
			t.Errorf("Acquire = %+v, %v", l, err)
		}
		all, err := f.AcquireMany(t.Context(), keys, []aRequest{{Token: "one"}, {Token: "two"}})
		must(t, err)
		for i, l := range all {
			if l.State != corral.LeaseHeld {
				t.Errorf("AcquireMany = %+v of %s", l, keys[i])
			}
		}
	})
}

// loses is a client of a server whose replica takes over before it has heard of a Delete.
type loses struct{ leaser }

func (l loses) Delete(context.Context, string) error { return nil }

// W1, I4: a replica that takes over may know the lease of one who loads since before a
// Delete of which it has not heard. What is stored under that is as old as its load.
func TestIncarnationThatKnowsALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 1)
		deletes := farm.process(fleet.Options[string]{}, func(c client) corral.Cache[string, string] { return loses{leaser{c}} })
		other := loader(t, farm.process(fleet.Options[string]{}, leasing))
		key := farm.keys[0][0]
		wantGet(t, deletes, key, "", "before")
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			_, err := other.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) {
				time.Sleep(5 * time.Second)
				return "old", nil
			})
			must(t, err)
		}()
		time.Sleep(time.Second)
		must(t, deletes.Delete(t.Context(), key))
		farm.servers[0].mu.Lock()
		farm.servers[0].run = "run 2"
		farm.servers[0].mu.Unlock()
		time.Sleep(2 * time.Second)
		wantGet(t, deletes, key, "", "the replica has taken over")
		<-loaded
		synctest.Wait()
		wantGet(t, deletes, key, "", "when the load has ended")
		l, err := deletes.Acquire(t.Context(), key, aRequest{Token: "one"})
		if err != nil || l.State != corral.LeaseHeld {
			t.Errorf("Acquire = %+v, %v", l, err)
		}
		must(t, other.Close(t.Context()))
	})
}
