package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// heldUp is a leaser of which one answer is on its way for as long as a test wants.
type heldUp struct {
	leaser
	hold *chan struct{} // the next answer waits for it
}

func (h heldUp) answered() {
	if held := *h.hold; held != nil {
		*h.hold = nil
		<-held
	}
}

func (h heldUp) Get(ctx context.Context, key string) (anEntry, error) {
	defer h.answered()
	return h.leaser.Get(ctx, key)
}

func (h heldUp) GetMany(ctx context.Context, keys []string) ([]anEntry, error) {
	defer h.answered()
	return h.leaser.GetMany(ctx, keys)
}

func (h heldUp) Acquire(ctx context.Context, key string, r aRequest) (aLease, error) {
	defer h.answered()
	return h.leaser.Acquire(ctx, key, r)
}

func (h heldUp) AcquireMany(ctx context.Context, keys []string, r []aRequest) ([]aLease, error) {
	defer h.answered()
	return h.leaser.AcquireMany(ctx, keys, r)
}

func (h heldUp) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]anItem, string, error) {
	defer h.answered()
	return h.leaser.ScanPage(ctx, cursor, count, keysOnly)
}

// I4: who has read what is fenced, and is held up until the fence was cleaned, does not
// take it for what is there now.
func TestFenceThatIsCleanedWhileARead(t *testing.T) {
	type reading func(ctx context.Context, f *fleet.Fleet[string, string], key string) (anEntry, error)
	for name, read := range map[string]reading{
		"Get": func(ctx context.Context, f *fleet.Fleet[string, string], key string) (anEntry, error) {
			return f.Get(ctx, key)
		},
		"GetMany": func(ctx context.Context, f *fleet.Fleet[string, string], key string) (anEntry, error) {
			entries, err := f.GetMany(ctx, []string{key})
			return entries[0], err
		},
		"Acquire": func(ctx context.Context, f *fleet.Fleet[string, string], key string) (anEntry, error) {
			l, err := f.Acquire(ctx, key, aRequest{Token: "one"})
			return l.Entry, err
		},
		"AcquireMany": func(ctx context.Context, f *fleet.Fleet[string, string], key string) (anEntry, error) {
			leases, err := f.AcquireMany(ctx, []string{key}, []aRequest{{Token: "one"}})
			return leases[0].Entry, err
		},
		"ScanPage": func(ctx context.Context, f *fleet.Fleet[string, string], key string) (anEntry, error) {
			items, _, err := f.ScanPage(ctx, "", 100, false)
			for _, it := range items {
				if it.Key == key {
					return it.Entry, err
				}
			}
			return nil, err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			farm := newFarm(t, 1)
			var hold chan struct{}
			f := farm.process(fleet.Options[string]{}, func(c client) corral.Cache[string, string] { return heldUp{leaser{c}, &hold} })
			key := farm.keys[0][0]
			must(t, f.Set(t.Context(), key, fresh("old")))
			farm.servers[0].fails(errDown)
			wantIs(t, f.Delete(t.Context(), key), errDown)
			farm.servers[0].do(nil)
			held := make(chan struct{})
			hold = held
			got := make(chan anEntry)
			go func() {
				e, err := read(t.Context(), f, key)
				must(t, err)
				got <- e
			}()
			synctest.Wait()
			wantGet(t, f, key, "", "fenced") // has it cleaned
			synctest.Wait()
			if n := f.Health()[0].Fenced; n != 0 {
				t.Fatalf("%s: %d keys are fenced", name, n)
			}
			close(held)
			if e := <-got; e != nil {
				t.Errorf("%s: what was fenced when it was read is served: %q", name, e.Value)
			}
		})
	}
}

// bareHeldUp is heldUp for bare values.
type bareHeldUp struct {
	*bareServer
	hold chan struct{}
}

func (b *bareHeldUp) GetValue(ctx context.Context, key string) (value string, life time.Duration, ok bool, err error) {
	value, life, ok, err = b.bareServer.GetValue(ctx, key)
	if held := b.hold; held != nil {
		b.hold = nil
		<-held
	}
	return value, life, ok, err
}

// So it is of a bare value while all that a shard holds is deleted, which has come back
// old.
func TestFenceThatIsCleanedWhileABareValueIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := &bareHeldUp{bareServer: &bareServer{memadapter.Plain[string, string](), "run 1", false}}
		f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return old })
		bare := f.AsCache().(corral.PlainCache[string, string])
		must(t, bare.SetValue(t.Context(), "key", "old", time.Hour))
		_, _, _, err := bare.GetValue(t.Context(), "other")
		must(t, err)
		old.run = "run 2"
		time.Sleep(2 * time.Second)
		held := make(chan struct{})
		old.hold = held
		got := make(chan bool)
		go func() {
			_, _, ok, err := bare.GetValue(t.Context(), "key")
			must(t, err)
			got <- ok
		}()
		synctest.Wait()
		if _, _, ok, err := bare.GetValue(t.Context(), "key"); ok || err != nil { // has it swept
			t.Errorf("the value is there, %v", err)
		}
		synctest.Wait()
		if f.Health()[0].FencedAll {
			t.Fatal("it is fenced")
		}
		close(held)
		if <-got {
			t.Error("what was fenced when it was read is served")
		}
	})
}
