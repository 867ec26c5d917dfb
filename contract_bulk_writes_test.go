package corral_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// L1: no write of the cache after Close has returned.
func TestContract_Bulk_L1_UnaskedKeysAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFar()
		l, _ := corral.New[string, int](c, corral.Options{TTL: time.Minute})
		go l.GetOrLoadMany(t.Context(), []string{"a"}, func(context.Context, []string) (map[string]int, error) {
			time.Sleep(10 * time.Second) // ignores its context
			return map[string]int{"a": 1, "extra": 2}, nil
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		writes, reads := c.writes.Load(), c.reads.Load()
		time.Sleep(time.Minute)
		if w, r := c.writes.Load()-writes, c.reads.Load()-reads; w+r != 0 {
			t.Errorf("%d reads and %d writes of the cache after Close had returned", r, w)
		}
	})
}

// badError panics when somebody looks into it.
type badError struct{ cause error }

func (*badError) Error() string   { return "bad" }
func (e *badError) Unwrap() error { return e.cause } // panics if e is nil

// G5: the lease is given back whatever the load returned.
func TestBulk_G5_AnErrorThatPanicsKeepsNoLease(t *testing.T) {
	for name, load := range map[string]func(l *corral.Loader[string, int]) error{
		"single": func(l *corral.Loader[string, int]) error {
			_, err := l.GetOrLoad(context.Background(), "a", func(context.Context, string) (int, error) {
				var none *badError
				return 0, none
			})
			return err
		},
		"bulk": func(l *corral.Loader[string, int]) error {
			_, err := l.GetOrLoadMany(context.Background(), []string{"a"}, func(context.Context, []string) (map[string]int, error) {
				var none *badError
				return nil, none
			})
			return err
		},
	} {
		bubble(t, name, func(t *testing.T) {
			store := memadapter.NewShared[string, int](time.Second)
			p := &batchProcess{process: &process{Process: store.Process()}}
			one := newLoader[string, int](t, p, corral.Options{TTL: time.Minute})
			other := newLoader[string, int](t, store.Process(), corral.Options{TTL: time.Minute})
			var crashed *corral.PanicError
			if err := load(one); !errors.As(err, &crashed) {
				t.Fatalf("err = %v, want a PanicError", err)
			}
			start := time.Now()
			get(t, other, "a", (&source{}).load)
			if took := time.Since(start); took > time.Second {
				t.Errorf("another process had to wait %v for the lease", took)
			}
			before := p.renews.Load()
			time.Sleep(time.Hour)
			if n := p.renews.Load() - before; n > 2 {
				t.Errorf("the lease of a load that ended was renewed %d times in an hour", n)
			}
		})
	}
}

// B2: a key that the load names as failed has failed.
func TestContract_B2_ANamedErrorWinsOverAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute})
		load := func(ctx context.Context, keys []string) (map[string]int, error) {
			values, failed := map[string]int{}, map[string]error{}
			for _, key := range keys {
				v, err := 0, errSource
				values[key] = v
				if err != nil {
					failed[key] = err
				}
			}
			return values, &corral.KeyErrors[string]{Errors: failed}
		}
		got, err := l.GetOrLoadMany(t.Context(), []string{"a"}, load)
		if err == nil {
			t.Errorf("GetOrLoadMany = %v, %v: a zero value and no error for a key that the load says failed", got, err)
		}
		if n := l.Stats().LoadErrors; n != 1 {
			t.Errorf("LoadErrors is %d, want 1", n)
		}
	})
}

// Stats.CacheErrors: "calls of the cache that failed".
func TestBulk_CacheErrorsCountsCalls(t *testing.T) {
	for name, near := range map[string]bool{"near": true, "far": false} {
		bubble(t, name, func(t *testing.T) {
			c := newFar()
			c.near = near
			l := newLoader[string, int](t, &failSets{farCache: c}, corral.Options{TTL: time.Minute})
			l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, (&bulkSource{}).load)
			synctest.Wait()
			if n := l.Stats().CacheErrors; n != 3 {
				t.Errorf("CacheErrors is %d after 3 failed calls of Set", n)
			}
		})
	}
}

type failSets struct{ *farCache }

func (failSets) Set(context.Context, string, *corral.Entry[int]) error { return errSource }

func (c *slowSets) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	time.Sleep(c.took)
	return c.farCache.Set(ctx, key, e)
}

func (c *slowSetMany) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	time.Sleep(c.took)
	return c.batchCache.Set(ctx, key, e)
}

func (c *hangingSet) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	if key == c.key {
		<-c.hang
	}
	return c.Cache.Set(ctx, key, e)
}

// W3, Delete's own words: keys that could not be deleted are in the KeyErrors; the others are deleted.
func TestContract_Bulk_W3_DeleteWithAnInvalidKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memadapter.New[float64, int]()
		l := newLoader[float64, int](t, c, corral.Options{TTL: time.Minute})
		l.Set(t.Context(), 1, 1)
		err := l.Delete(t.Context(), 1, math.NaN())
		var failed *corral.KeyErrors[float64]
		if !errors.As(err, &failed) {
			t.Errorf("err = %v, want KeyErrors", err)
		}
		if e, _ := c.Get(t.Context(), 1); e != nil {
			t.Error("the valid key was not deleted and no KeyErrors names it")
		}
	})
}

// W3: an error of a cache that is more than a KeyErrors is that of every key.
type joinedDeletes struct{ *batchCache }

func (c joinedDeletes) DeleteMany(ctx context.Context, keys []string) error {
	return errors.Join(&corral.KeyErrors[string]{Errors: map[string]error{keys[0]: errSource}}, errors.New("the connection broke before the others"))
}

func TestContract_Bulk_W3_AnErrorJoinedToKeyErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader[string, int](t, joinedDeletes{newBatch(false)}, corral.Options{TTL: time.Minute})
		l.Set(t.Context(), "b", 7)
		err := l.Delete(t.Context(), "a", "b")
		var failed *corral.KeyErrors[string]
		if errors.As(err, &failed); failed == nil || failed.Errors["b"] == nil {
			t.Errorf("Delete: %v; b was not deleted and is not named", err)
		}
	})
}

// slowSets is a far cache whose Sets take a while.
type slowSets struct {
	*farCache
	took time.Duration
}

// C2: callers are woken at most CacheTimeout after the load.
func TestContract_Bulk_C2_CallersWaitForCacheTimeoutAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader[string, int](t, &slowSets{newFar(), 400 * time.Millisecond}, corral.Options{TTL: time.Hour})
		start := time.Now()
		l.GetOrLoadMany(t.Context(), letters(1600), (&bulkSource{}).load)
		if took := time.Since(start); took > 500*time.Millisecond {
			t.Errorf("woken %v after the load, want at most CacheTimeout, 500ms", took)
		}
	})
}

// slowSetMany has a SetMany that outlives CacheTimeout.
type slowSetMany struct {
	*batchCache
	took time.Duration
}

func (c *slowSetMany) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[int]) error {
	time.Sleep(c.took)
	return c.batchCache.SetMany(ctx, keys, entries)
}

// C2: a flight whose write outlives CacheTimeout serves newcomers until it is over.
func TestContract_Bulk_C2_AWriteThatOutlivesCacheTimeout(t *testing.T) {
	for name, first := range map[string]func(l *corral.Loader[string, int], s *bulkSource){
		"single": func(l *corral.Loader[string, int], s *bulkSource) { l.GetOrLoad(context.Background(), "a", s.one) },
		"bulk": func(l *corral.Loader[string, int], s *bulkSource) {
			l.GetOrLoadMany(context.Background(), []string{"a"}, s.load)
		},
	} {
		bubble(t, name, func(t *testing.T) {
			s := &bulkSource{}
			l := newLoader[string, int](t, &slowSetMany{newBatch(false), 2 * time.Second}, corral.Options{TTL: time.Hour})
			first(l, s)
			v, err := l.GetOrLoad(t.Context(), "a", s.one)
			time.Sleep(time.Minute)
			if n := len(s.asked()); n != 1 || err != nil {
				t.Errorf("%d loads of a value that was loaded and stored (%d, %v), want 1; Discarded %d", n, v, err, l.Stats().Discarded)
			}
		})
	}
}

// hangingSet never returns from Set of one key until it is let go.
type hangingSet struct {
	corral.Cache[string, int]
	key  string
	hang chan struct{}
}

// C8, W1: the turn of a key whose write is over is free, whatever another key's write does.
func TestContract_Bulk_W1_AnotherKeysWriteHoldsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &hangingSet{memadapter.New[string, int](), "z", make(chan struct{})}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		l.GetOrLoadMany(t.Context(), []string{"a", "z"}, (&bulkSource{}).load)
		time.Sleep(10 * time.Second)
		if e, _ := c.Get(t.Context(), "a"); e == nil {
			t.Fatal("a is not stored")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.Delete(ctx, "a"); err != nil {
			t.Errorf("Delete of a, whose write is over: %v", err)
		}
		close(c.hang)
	})
}

// B1, A1: a layered cache whose far one takes one key at a time stores a large batch, as that far cache does without it.
func TestContract_B1_LayeredOverSingleCalls(t *testing.T) {
	for name, wrap := range map[string]func(*farCache) corral.Cache[string, int]{
		"far alone": func(c *farCache) corral.Cache[string, int] { return c },
		"layered": func(c *farCache) corral.Cache[string, int] {
			return layered.New[string, int](memadapter.New[string, int](), c, layered.Options{})
		},
	} {
		bubble(t, name, func(t *testing.T) {
			c := newFar()
			c.took.Store(int64(5 * time.Millisecond))
			l := newLoader[string, int](t, wrap(c), corral.Options{TTL: time.Hour})
			keys := letters(3000)
			l.GetOrLoadMany(t.Context(), keys, (&bulkSource{}).load)
			time.Sleep(time.Minute)
			s := &bulkSource{}
			l.GetOrLoadMany(t.Context(), keys, s.load)
			again := 0
			for _, call := range s.asked() {
				again += len(call)
			}
			time.Sleep(time.Minute)
			err := l.Delete(t.Context(), keys...)
			if n := l.Stats().CacheErrors; n != 0 || again != 0 || err != nil {
				t.Errorf("a far cache that answers in 5ms: %d errors, %d of 3000 keys loaded again, Delete: %v", n, again, err)
			}
		})
	}
}
