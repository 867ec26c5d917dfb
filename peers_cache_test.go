package corral_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// The bugs of others that have to do with what is stored, and where.

// P10: a load that began before a Delete or Set writes back over it.
//
// Red when detachLocked, in internal/flight/table.go, does nothing.
func TestPeers_P10_NoLateLoadWritesBack(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Minute, StaleIfError: time.Hour}
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		l := newLoader(t, cache, opts)
		loadOver := func(age time.Duration, write func() error) *corral.Entry[int] {
			src := &source{took: 2 * time.Second}
			if age > 0 {
				get(t, l, "k", src.load)
				time.Sleep(age) // the load is a refresh, or finds a stale value to stand in
			}
			var all sync.WaitGroup
			all.Go(func() { _, _ = l.GetOrLoad(t.Context(), "k", src.load) })
			time.Sleep(time.Second)
			if err := write(); err != nil {
				t.Fatal(err)
			}
			all.Wait()
			time.Sleep(2 * time.Second) // a refresh has landed too
			e, err := cache.Get(t.Context(), "k")
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		for _, age := range []time.Duration{0, 90 * time.Second, 3 * time.Minute} {
			if e := loadOver(age, func() error { return l.Delete(t.Context(), "k") }); e != nil {
				t.Errorf("entry of age %v: after a Delete the cache holds %d", age, e.Value)
			}
			if e := loadOver(age, func() error { return l.Set(t.Context(), "k", 77) }); e == nil || e.Value != 77 {
				t.Errorf("entry of age %v: after a Set the cache holds %+v", age, e)
			}
			_ = l.Delete(t.Context(), "k")
		}
	})
}

// P12: after a panic, a cancellation or a lost reply something stays locked for
// its whole life. In a process that is the place among MaxLoads; in Redis any key
// but the entry's.
//
// Red when returned, in load.go, gives back no slot of an abandoned load.
func TestPeers_P12_NoBadEndKeepsALock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := redistest.Mini(t)
		client := redistest.Client(t, redistest.NewWire(server).Dial)
		l := newLoader(t, redisadapter.New(client, redisadapter.Options[string, int]{}), corral.Options{
			TTL: time.Minute, MaxLoads: 1, CancelAbandoned: true, LoadTimeout: 5 * time.Second,
		})
		h := make(chan struct{})
		defer close(h)
		for _, bad := range []corral.LoadFunc[string, int]{
			func(context.Context, string) (int, error) { return 0, ends[0].end() },
			func(context.Context, string) (int, error) { return 0, ends[1].end() },
			func(context.Context, string) (int, error) { return 0, ends[3].end() },
			obedient, // cancelled when its caller leaves
			func(context.Context, string) (int, error) { <-h; return 0, nil }, // cancelled too, and does not look
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			if _, err := l.GetOrLoad(ctx, "k", bad); err == nil {
				t.Error("the load did not end badly")
			}
			cancel()
			time.Sleep(5 * time.Second) // LoadTimeout, for the one that hangs
			if names := server.Keys(); len(names) != 0 {
				t.Errorf("Redis holds %q", names)
			}
			src := &source{}
			wantAll(t, askAll(t.Context(), 10, l, "k", src.load), answer{1, nil, 0})
			if names := server.Keys(); len(names) != 1 {
				t.Errorf("Redis holds %q, want the entry", names)
			}
			if err := l.Delete(t.Context(), "k"); err != nil {
				t.Error(err)
			}
		}
	})
}

// P20: a value is shown after its Delete returned, and a Set is dropped silently,
// by stores that buffer their writes. Time is real here: it is Ristretto that
// buffers.
//
// Red when erase, in ristrettoadapter/calls.go, does not flush; and when missed
// does not ask the overlay and settle, in access.go, does not settle.
func TestPeers_P20_BufferedWritesAreNotSeenLate(t *testing.T) {
	for _, r := range rooms {
		t.Run(r.name, func(t *testing.T) {
			const keys = 1000
			l := newLoader(t, r.open(t, keys), corral.Options{TTL: time.Hour, CacheTimeout: time.Minute})
			crowd(4, func(w int) {
				for key := w; key < keys; key += 4 {
					if err := setAndDelete(t.Context(), l, key); err != nil {
						t.Error(err)
						return
					}
				}
			})
		})
	}
}

// setAndDelete loads, deletes, loads, sets and deletes a key and says what went
// wrong.
func setAndDelete(ctx context.Context, l *corral.Loader[int, int], key int) error {
	expect := func(value int, source corral.Source) error {
		r, err := l.Lookup(ctx, key, func(context.Context, int) (int, error) { return value, nil })
		if err != nil || r.Value != value || r.Source != source {
			return fmt.Errorf("key %d: %+v, %v; want %d, %v", key, r, err, value, source)
		}
		return nil
	}
	for value := 10; value < 50; value += 10 {
		if err := errors.Join(
			expect(value, corral.SourceLoaded),
			l.Delete(ctx, key), // what was stored may be buffered still
			expect(value+1, corral.SourceLoaded),
			expect(value+1, corral.SourceHit),
			l.Set(ctx, key, value+2),
			expect(value+2, corral.SourceHit),
			l.Delete(ctx, key),
		); err != nil {
			return err
		}
	}
	return nil
}
