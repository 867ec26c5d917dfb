package fleet_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// A write of a user that panics, or ends its goroutine, in a shard's cache is one that failed:
// its key is a miss until it has been deleted there.
func TestFenceOfAWriteThatPanics(t *testing.T) {
	for name, ends := range map[string]func(){
		"panic":  func() { panic("the cache is broken") },
		"Goexit": runtime.Goexit,
	} {
		synctest.Test(t, func(t *testing.T) {
			broken := false
			f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
				return &exploding{Cache: memadapter.New[string, string](), broken: &broken, ends: ends}
			})
			must(t, f.Set(t.Context(), "key", fresh("old")))
			for _, write := range []func(){
				func() { _ = f.Delete(t.Context(), "key") },
				func() { _ = f.Set(t.Context(), "key", fresh("new")) },
			} {
				broken = true
				done := make(chan struct{})
				go func() {
					defer close(done)
					defer func() { _ = recover() }()
					write()
				}()
				<-done
				if n := f.Health()[0].Fenced; n != 1 {
					t.Errorf("%s: %d keys are fenced", name, n)
				}
				broken = false
				wantGet(t, f, "key", "", "after a "+name)
				synctest.Wait()
				must(t, f.Set(t.Context(), "key", fresh("old")))
				wantGet(t, f, "key", "old", "stored since")
			}
		})
	}
}

// exploding is a cache whose writes do not return while it is broken.
type exploding struct {
	corral.Cache[string, string]
	broken *bool
	ends   func()
}

func (e *exploding) Set(ctx context.Context, key string, entry *corral.Entry[string]) error {
	if *e.broken {
		e.ends()
	}
	return e.Cache.Set(ctx, key, entry)
}

func (e *exploding) Delete(ctx context.Context, key string) error {
	if *e.broken {
		e.ends()
	}
	return e.Cache.Delete(ctx, key)
}
