package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// severed is a zone that the rest cannot reach any more, and that goes on by itself: a
// process there has its shards and has lost the Epochs, one elsewhere has not its shards.
type severed struct {
	*region
	east, west     *fleet.Fleet[string, string]
	toEast, toWest map[string]*probe // the ways of each process
	loader         *corral.Loader[string, string]
	lost           atomic.Bool // the Epochs, to the west
	loads          int
	keys           []string
}

const severedLife = time.Second // EpochLife

func newSevered(t *testing.T) *severed {
	z, epochs := &severed{region: newRegion(time.Second)}, &fleet.MemoryEpochs{}
	opts := fleet.Options[string]{MaxLife: time.Minute, Epochs: epochs, EpochLife: severedLife}
	z.east, z.toEast = z.process(t, "east", replicated(1, 2, "east", "west"), opts)
	opts.Epochs = cut{epochs, &z.lost}
	z.west, z.toWest = z.process(t, "west", replicated(1, 2, "east", "west"), opts)
	z.loader = loader(t, z.west)
	t.Cleanup(func() { must(t, z.loader.Close(context.Background())) })
	for i := range 20 {
		z.keys = append(z.keys, fmt.Sprint("key:", i))
		z.read(t, z.keys[i])
	}
	return z
}

// read returns what the process in the west serves, which has a number if it is loaded.
func (z *severed) read(t *testing.T, key string) string {
	t.Helper()
	v, err := z.loader.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) {
		z.loads++
		return fmt.Sprint("load ", z.loads), nil
	})
	must(t, err)
	synctest.Wait()
	return v
}

// sever has the process in the east reach no shard in the west.
func (z *severed) sever() {
	for id, p := range z.toEast {
		if id[3:] == "west" {
			p.do(func(context.Context, string) error { return errCut })
		}
	}
}

// calls are those that the process in the west has made.
func (z *severed) calls() (n int64) {
	for _, p := range z.toWest {
		n += p.calls.Load()
	}
	return n
}

// W1, W3: a Delete is done without a zone that a published epoch has ejected, and not a
// moment before no process reads there: the one that hears of the last publication late
// goes by the one before it, as long as its lease of that lasts.
func TestZones_ADeleteIsDoneWithoutAnEjectedZone(t *testing.T) {
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint("many=", many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				z := newSevered(t)
				z.sever()
				key := z.keys[0]
				remove := func() error { return z.east.Delete(t.Context(), key) }
				if many {
					remove = func() error { return z.east.DeleteMany(t.Context(), z.keys[:2]) }
				}
				wantIs(t, remove(), errCut)
				applied := make(chan error)
				go func() {
					_, err := z.east.Apply(t.Context(), replicated(2, 2, "east"))
					applied <- err
				}()
				refused, done := 0, 0
			loop:
				for at := time.Duration(0); at < 4*severedLife; at += severedLife / 100 {
					if at == severedLife+severedLife*8/100 { // it has heard that the change is prepared, and no more
						z.lost.Store(true)
					}
					served := z.read(t, key)
					switch err := remove(); {
					case err == nil:
						if done++; z.read(t, key) == served {
							t.Errorf("after %v %q is served in the zone, which was deleted", at, served)
							break loop
						}
					case !errors.Is(err, errCut):
						t.Errorf("after %v: %v", at, err)
						break loop
					default:
						if refused++; done > 0 {
							t.Errorf("after %v a Delete waits for the zone again: %v", at, err)
							break loop
						}
					}
					time.Sleep(severedLife / 100)
				}
				if must(t, <-applied); done < 100 || refused < 100 {
					t.Errorf("%d deletes were done and %d errors, want many of each", done, refused)
				}
			})
		})
	}
}

// A zone that cannot renew its lease of the epoch does without its caches: it asks no
// shard, serves what it loads, stores nothing, and says so of writes.
func TestZones_AZoneWithoutAnEpochBypassesItsCaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newSevered(t)
		z.lost.Store(true)
		before := z.loads
		time.Sleep(severedLife / 2)
		if z.read(t, z.keys[0]); z.loads != before {
			t.Error("its caches are bypassed while it has the lease")
		}
		time.Sleep(severedLife)
		calls := z.calls()
		for i := range 3 {
			for _, key := range z.keys {
				z.read(t, key)
			}
			if want := before + (i+1)*len(z.keys); z.loads != want {
				t.Errorf("%d loads, want %d: one for each call", z.loads, want)
			}
		}
		wantIs(t, z.loader.Delete(t.Context(), z.keys[0]), fleet.ErrEpochUnknown)
		wantIs(t, z.loader.Set(t.Context(), z.keys[0], "set"), fleet.ErrEpochUnknown)
		if n := z.calls() - calls; n != 0 {
			t.Errorf("%d calls of shards", n)
		}
		z.lost.Store(false)
		time.Sleep(severedLife)
		loads := z.loads
		for i, key := range z.keys { // nothing was deleted meanwhile, and nothing stored
			if v := z.read(t, key); v != fmt.Sprint("load ", i+1) {
				t.Errorf("%s is %q once it has the lease again", key, v)
			}
		}
		if z.loads != loads {
			t.Errorf("%d more loads", z.loads-loads)
		}
	})
}

// A zone that was ejected is taken back empty, also of what nobody has deleted: who was to
// delete it would not have been told that this was not done there.
func TestZones_AnEjectedZoneIsTakenBackEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := newSevered(t)
		z.sever()
		z.lost.Store(true)
		change, err := z.east.Apply(t.Context(), replicated(2, 2, "east"))
		must(t, err)
		_, err = z.east.Apply(t.Context(), replicated(3, 2, "east", "west"))
		wantIs(t, err, fleet.ErrChanging)
		if err := change.Abort(t.Context()); err == nil {
			t.Error("the zone was taken back with what it holds")
		}
		report, err := fleet.Migrate(t.Context(), z.east, migrate{})
		if must(t, err); report.Ended {
			t.Error("a migration has ended the change, while the zone holds something")
		}
		<-change.Done()
		z.lost.Store(false)
		for id, p := range z.toEast {
			p.do(nil)
			for _, key := range z.keys {
				if v := z.has(id, key); v != "" {
					t.Errorf("%s holds %q of %s", id, v, key)
				}
			}
		}
		_, err = z.east.Apply(t.Context(), replicated(3, 2, "east", "west"))
		must(t, err)
		loads := z.loads
		for _, key := range z.keys {
			z.read(t, key)
			z.read(t, key)
		}
		if n := z.loads - loads; n != len(z.keys) {
			t.Errorf("%d loads of %d keys", n, len(z.keys))
		}
	})
}
