package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// A3: what is set while the fence is cleaned is there, whatever was to be deleted of its
// key; and a call that had ended before it began fences nothing.
func TestFenceLeavesWhatIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cache := newFaulty()
		f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return remote{cache} })
		must(t, f.Set(t.Context(), "key", fresh("old")))
		ended, end := context.WithCancel(t.Context())
		end()
		cache.do(func(ctx context.Context) error { return ctx.Err() })
		wantIs(t, f.DeleteMany(ended, []string{"key"}), context.Canceled)
		if e, err := f.Get(t.Context(), "key"); err != nil || e == nil {
			t.Fatalf("after a Delete that had ended before it began the key is %v, %v", e, err)
		}
		cache.do(func(context.Context) error { return errors.New("broken") })
		if f.DeleteMany(t.Context(), []string{"key"}) == nil {
			t.Fatal("a broken Delete went well")
		}
		cache.do(func(context.Context) error { return nil })
		slow := true
		cache.do(func(context.Context) error { // the first call from now on is the fence's
			if slow {
				slow = false
				return nil
			}
			time.Sleep(10 * time.Second) // longer than it waits for that
			return nil
		})
		if e, err := f.Get(t.Context(), "key"); err != nil || e != nil { // has the fence cleaned
			t.Fatalf("a fenced key is %v, %v", e, err)
		}
		synctest.Wait()
		must(t, f.Set(t.Context(), "key", fresh("new")))
		time.Sleep(time.Minute)
		if e, err := f.Get(t.Context(), "key"); err != nil || e == nil || e.Value != "new" {
			t.Errorf("what was set is %v, %v", e, err)
		}
	})
}

// moving returns a fleet whose first shard leaves, and a key that is on it and was set since.
func moving(t *testing.T) (f *fleetOfAll, farm *farm, key string, change *fleet.Change) {
	farm = newFarm(t, 3)
	f, err := fleet.New(t.Context(), equal(2), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		return leasing(client{farm.servers[int(s.ID[2]-'0')]}), nil
	}, fleet.Options[string]{MaxLife: time.Hour})
	must(t, err)
	key = keysOn(f, 2, 1)[0][0]
	next := equal(3)
	next.Epoch, next.Shards = 2, next.Shards[1:]
	change, err = f.Apply(t.Context(), next)
	must(t, err)
	must(t, f.Set(t.Context(), key, fresh("old")))
	return f, farm, key, change
}

// A Delete of a key that moves, whose time is over while the old shard hangs, has not come
// to the new one: it fences the key there, too.
func TestFenceOfAWriteThatDidNotGetThere(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, f *fleet.Fleet[string, string], key string) error{
		"Delete": func(ctx context.Context, f *fleet.Fleet[string, string], key string) error { return f.Delete(ctx, key) },
		"DeleteMany": func(ctx context.Context, f *fleet.Fleet[string, string], key string) error {
			return f.DeleteMany(ctx, []string{key})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, farm, key, change := moving(t)
			wantGet(t, f, key, "old", name)
			farm.servers[0].do(hangs)
			for _, at := range farm.servers[1:] {
				at.do(func(ctx context.Context, _ string) error { return context.Cause(ctx) }) // as a client over a wire
			}
			ctx, end := context.WithTimeout(t.Context(), time.Second)
			defer end()
			wantIs(t, write(ctx, f, key), context.DeadlineExceeded)
			wantGet(t, f, key, "", name)
			farm.servers[0].do(nil)
			time.Sleep(2 * time.Hour)
			<-change.Done()
			must(t, f.Close(t.Context()))
		})
	}
}

// A write of a key that moves leaves the second shard its part of the time, while the first
// one hangs.
func TestFenceOfAWriteWhoseFirstShardHangs(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, f *fleet.Fleet[string, string], key string) error{
		"Set": func(ctx context.Context, f *fleet.Fleet[string, string], key string) error {
			return f.Set(ctx, key, fresh("new"))
		},
		"Delete": func(ctx context.Context, f *fleet.Fleet[string, string], key string) error { return f.Delete(ctx, key) },
		"DeleteMany": func(ctx context.Context, f *fleet.Fleet[string, string], key string) error {
			return f.DeleteMany(ctx, []string{key})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, farm, key, change := moving(t)
			gate, came := make(chan struct{}), 0
			farm.servers[0].do(func(context.Context, string) error { <-gate; return nil })
			for _, at := range farm.servers[1:] {
				at.do(func(ctx context.Context, _ string) error {
					if ctx.Err() == nil {
						came++
					}
					return context.Cause(ctx)
				})
			}
			ctx, end := context.WithTimeout(t.Context(), time.Second)
			defer end()
			start := time.Now()
			wantIs(t, write(ctx, f, key), context.DeadlineExceeded)
			if took := time.Since(start); took != 500*time.Millisecond || came != 1 {
				t.Errorf("%s: it took %v, and came to the new shard %d times", name, took, came)
			}
			close(gate)
			synctest.Wait()
			must(t, f.Delete(t.Context(), key))
			wantGet(t, f, key, "", name)
			time.Sleep(2 * time.Hour)
			<-change.Done()
			must(t, f.Close(t.Context()))
		})
	}
}
