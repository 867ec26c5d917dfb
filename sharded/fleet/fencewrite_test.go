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
