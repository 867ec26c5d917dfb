package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// resurrects has the first server lose a Delete: it runs again with what it held before.
func (f *farm) resurrects(c corral.Cache[string, string], key string) {
	f.t.Helper()
	must(f.t, c.Set(f.t.Context(), key, fresh("old")))
	f.servers[0].save(f.t)
	wantGet(f.t, c, key, "old", "before")
	must(f.t, c.Delete(f.t.Context(), key))
	time.Sleep(time.Nanosecond)
	f.servers[0].restart(f.t, "run 2")
}

// I4: a server restarts with old data, and no call notices. After a pause nothing of them
// is served; what is stored then is.
func TestIncarnationAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		key, other := farm.keys[0][0], farm.keys[1][0]
		must(t, f.Set(t.Context(), other, fresh("other")))
		farm.resurrects(f, key)
		time.Sleep(2 * time.Second)
		wantGet(t, f, key, "", "after the restart")
		if got, err := f.GetMany(t.Context(), farm.keys[0][:2]); err != nil || got[0] != nil {
			t.Errorf("GetMany = %v, %v", got, err)
		}
		wantGet(t, f, other, "other", "of another shard")
		synctest.Wait()
		s := f.Health()[0]
		if s.Incarnation != "run 2" || s.Incarnations != 1 || s.IncarnationErr != nil || !s.FencedAll || s.Out {
			t.Errorf("it is %+v", s)
		}
		time.Sleep(time.Nanosecond)
		must(t, f.Set(t.Context(), key, fresh("new")))
		wantGet(t, f, key, "new", "stored since")
	})
}

// While there are reads the shard is asked once a second, and nobody waits for that.
func TestIncarnationIsAskedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		key := farm.keys[0][0]
		farm.resurrects(f, key)
		served := 0
		for range 100 {
			e, err := f.Get(t.Context(), key)
			must(t, err)
			if e != nil {
				served++
			}
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		if served > 11 {
			t.Errorf("what was deleted was served for %d reads in a row, 100 ms apart", served)
		}
		if n := farm.servers[0].count("incarnation"); n != 10 {
			t.Errorf("it was asked %d times in 10 s", n)
		}
		farm.servers[0].do(func(ctx context.Context, call string) error {
			if call == "incarnation" {
				return hangs(ctx, call)
			}
			return nil
		})
		start := time.Now()
		for range 9 {
			time.Sleep(100 * time.Millisecond)
			_, err := f.Get(t.Context(), key)
			must(t, err)
		}
		if took := time.Since(start); took != 900*time.Millisecond {
			t.Errorf("reads waited for the answer: %v", took)
		}
	})
}

// After a failure the next read waits until the shard has said which it is.
func TestIncarnationAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		key := farm.keys[0][0]
		farm.resurrects(f, key)
		farm.servers[0].fails(errDown)
		_, err := f.Get(t.Context(), key)
		wantIs(t, err, errDown)
		farm.servers[0].do(nil)
		wantGet(t, f, key, "", "after a failure")
		if n := farm.servers[0].count("incarnation"); n != 2 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

// A shard that was out is asked before it is read, also if what it then tells is old.
func TestIncarnationOfAShardThatWasOut(t *testing.T) {
	for name, through := range map[string]func(client) corral.Cache[string, string]{"plainly": plainly, "leases": leasing} {
		synctest.Test(t, func(t *testing.T) {
			farm := newFarm(t, 2)
			f := farm.process(fleet.Options[string]{}, through)
			key := farm.keys[0][0]
			farm.resurrects(f, key)
			farm.servers[0].fails(errDown)
			for range 3 {
				_, _ = f.Get(t.Context(), key)
			}
			if s := f.Health()[0]; !s.Out {
				t.Fatalf("%s: it is %+v", name, s)
			}
			farm.servers[0].do(func(_ context.Context, call string) error {
				if call == "incarnation" {
					return errDown
				}
				return nil
			})
			for range 60 { // as long as it does not tell it stays out
				time.Sleep(time.Second)
				_, err := f.Get(t.Context(), key)
				wantIs(t, err, fleet.ErrUnhealthy)
				synctest.Wait()
			}
			farm.servers[0].do(nil)
			for start := time.Now(); f.Health()[0].Out && time.Since(start) < 2*time.Minute; time.Sleep(time.Second) {
				_, _ = f.Get(t.Context(), key)
				synctest.Wait()
			}
			wantGet(t, f, key, "", name)
		})
	}
}

// A server that cannot be asked any more is not read: nobody knows what it is.
func TestIncarnationThatCannotBeAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		key := farm.keys[0][0]
		farm.resurrects(f, key)
		farm.servers[0].do(func(_ context.Context, call string) error {
			if call == "incarnation" {
				return errDown
			}
			return nil
		})
		time.Sleep(2 * time.Second)
		for range 3 {
			_, err := f.Get(t.Context(), key)
			wantIs(t, err, errDown)
		}
		if s := f.Health()[0]; !s.Out || !errors.Is(s.IncarnationErr, errDown) {
			t.Errorf("it is %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) { // one that never could be is read all the same
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		key := farm.keys[0][0]
		farm.servers[0].do(func(_ context.Context, call string) error {
			if call == "incarnation" {
				return errDown
			}
			return nil
		})
		farm.resurrects(f, key)
		for range 10 {
			time.Sleep(2 * time.Second)
			wantGet(t, f, key, "old", "nobody can tell")
		}
		if s := f.Health()[0]; s.Out || s.Incarnation != "" || !errors.Is(s.IncarnationErr, errDown) {
			t.Errorf("it is %+v", s)
		}
		if n := farm.servers[0].count("incarnation"); n != 1 {
			t.Errorf("it was asked %d times in 20 s, want once", n)
		}
	})
}

// Several servers that answer by turns are no incarnations: nobody can tell.
func TestIncarnationOfSeveralServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		key := farm.keys[0][0]
		for _, run := range []string{"a", "b", "a", "b", "c"} {
			farm.servers[0].save(t)
			farm.servers[0].restart(t, run)
			time.Sleep(2 * time.Second)
			_, err := f.Get(t.Context(), key)
			must(t, err)
		}
		if n := farm.servers[0].count("incarnation"); n != 3 {
			t.Errorf("it was asked %d times", n)
		}
		if s := f.Health()[0]; s.Incarnation != "" || s.IncarnationErr == nil {
			t.Errorf("it is %+v", s)
		}
		must(t, f.Set(t.Context(), key, fresh("new")))
		wantGet(t, f, key, "new", "stored since")
	})
}

// KeepOld asks nobody.
func TestIncarnationKeepOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{Health: fleet.HealthOptions{KeepOld: true}}, plainly)
		farm.resurrects(f, farm.keys[0][0])
		time.Sleep(time.Minute)
		wantGet(t, f, farm.keys[0][0], "old", "with KeepOld")
		if n := farm.servers[0].count("incarnation"); n != 0 {
			t.Errorf("it was asked %d times", n)
		}
	})
}

// What was copied into near before anybody knew is not served from there.
func TestIncarnationBehindANearCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, func(c client) corral.Cache[string, string] {
			return layered.New(memadapter.New[string, string](), c, layered.Options{Unheard: time.Hour})
		})
		key := farm.keys[0][0]
		farm.resurrects(f, key)
		wantGet(t, f, key, "old", "the copy is made")
		near, _ := f.AsCache().(corral.Layered[string, string]).Layers()
		wantGet(t, near, key, "old", "near")
		time.Sleep(2 * time.Second)
		_, err := f.Get(t.Context(), farm.keys[0][1])
		must(t, err)
		wantGet(t, near, key, "", "near")
		got, err := near.(corral.BatchCache[string, string]).GetMany(t.Context(), []string{key})
		if err != nil || got[0] != nil {
			t.Errorf("near.GetMany = %v, %v", got[0], err)
		}
	})
}

// A scan does not visit what is not served, and finds out as a read does.
func TestIncarnationOfWhatIsScanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{}, plainly)
		must(t, f.Set(t.Context(), farm.keys[1][0], fresh("other")))
		farm.resurrects(f, farm.keys[0][0])
		time.Sleep(2 * time.Second)
		for it, err := range f.Scan(t.Context(), fleet.ScanOptions[string, string]{}) {
			if must(t, err); it.Key != farm.keys[1][0] {
				t.Errorf("%s is visited: %v", it.Key, it.Entry)
			}
		}
		items, _, err := f.ScanPage(t.Context(), "", 100, false)
		if err != nil || len(items) != 0 {
			t.Errorf("ScanPage = %v, %v", items, err)
		}
	})
}

// After MaxLife nothing old can be left, and nothing is fenced.
func TestIncarnationEndsAfterMaxLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		farm := newFarm(t, 2)
		f := farm.process(fleet.Options[string]{MaxLife: time.Hour}, plainly)
		farm.resurrects(f, farm.keys[0][0])
		time.Sleep(2 * time.Second)
		wantGet(t, f, farm.keys[0][0], "", "fenced")
		time.Sleep(time.Hour)
		must(t, f.Set(t.Context(), farm.keys[0][0], fresh("new")))
		wantGet(t, f, farm.keys[0][0], "new", "stored since")
		if s := f.Health()[0]; s.FencedAll {
			t.Errorf("it is %+v", s)
		}
	})
}

// An answer that was on its way when the shard failed is of before: it is asked again.
func TestIncarnationIsAskedAgain(t *testing.T) {
	for name, wait := range map[string]time.Duration{"while it is on its way": 0, "when it has come": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			farm := newFarm(t, 2)
			f := farm.process(fleet.Options[string]{}, plainly)
			key := farm.keys[0][0]
			must(t, f.Set(t.Context(), key, fresh("old")))
			farm.servers[0].save(t)
			wantGet(t, f, key, "old", name)
			must(t, f.Delete(t.Context(), key))
			time.Sleep(1500 * time.Millisecond)
			down := false
			farm.servers[0].do(func(_ context.Context, call string) error {
				switch {
				case call == "incarnation told":
					time.Sleep(500 * time.Millisecond)
				case down && call == "get":
					return errDown
				}
				return nil
			})
			_, err := f.Get(t.Context(), key) // has it asked, in the background
			must(t, err)
			synctest.Wait()
			farm.servers[0].restart(t, "run 2")
			down = true
			time.Sleep(100 * time.Millisecond)
			_, err = f.Get(t.Context(), key)
			wantIs(t, err, errDown)
			down = false
			time.Sleep(100*time.Millisecond + wait)
			wantGet(t, f, key, "", name)
		})
	}
}
