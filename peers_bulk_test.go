package corral_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// P1, D5: a batch that panics leaves no key hanging.
func TestPeers_P1_D5_APanicReleasesEveryKey(t *testing.T) {
	overBulk(t, "P1", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		_, err := l.GetOrLoadMany(t.Context(), letters(3), func(context.Context, []string) (map[string]int, error) { panic("x") })
		wantFailed(t, err, "a", "b", "c")
		synctest.Wait()
		start := time.Now()
		for _, key := range letters(3) {
			if v := get(t, l, key, (&source{}).load); v != 1 {
				t.Errorf("%s is %d", key, v)
			}
		}
		wantTook(t, "the keys", start, 0)
	})
}

// P16: keys are not joined to one.
func TestPeers_P16_KeysAreNotJoined(t *testing.T) {
	overBulk(t, "P16", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		load := func(_ context.Context, keys []string) (map[string]int, error) {
			time.Sleep(time.Second)
			values := map[string]int{}
			for _, key := range keys {
				values[key] = len(key)
			}
			return values, nil
		}
		go l.GetOrLoadMany(t.Context(), []string{"a b"}, load)
		synctest.Wait()
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
	})
}

// P24: hits are given though the load of others failed; stale ones too.
func TestPeers_P24_HitsSurviveAFailedLoad(t *testing.T) {
	overBulk(t, "P24", corral.Options{TTL: time.Minute, StaleFor: time.Hour}, func(t *testing.T, l *corral.Loader[string, int]) {
		l.Set(t.Context(), "stale", 1)
		time.Sleep(time.Minute)
		l.Set(t.Context(), "fresh", 2)
		got, err := l.GetOrLoadMany(t.Context(), []string{"fresh", "missing", "stale"}, func(context.Context, []string) (map[string]int, error) {
			return nil, errSource
		})
		wantFailed(t, err, "missing")
		wantMany(t, got, nil, map[string]int{"fresh": 2, "stale": 1})
	})
}

// D3: the error of each key is kept, and reached by errors.Is and errors.As.
func TestBulk_D3_NoErrorIsLost(t *testing.T) {
	overBulk(t, "D3", corral.Options{TTL: time.Minute, MaxBatch: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		other := errors.New("another one")
		_, err := l.GetOrLoadMany(t.Context(), letters(3), func(_ context.Context, keys []string) (map[string]int, error) {
			switch keys[0] {
			case "a":
				return nil, errSource
			case "b":
				return nil, other
			}
			panic("boom")
		})
		var p *corral.PanicError
		if !errors.Is(err, errSource) || !errors.Is(err, other) || !errors.As(err, &p) {
			t.Errorf("err = %v", err)
		}
	})
}

// D4: batches that cross do not wait for each other, in whatever order.
func TestBulk_D4_CrossingBatches(t *testing.T) {
	overBulk(t, "D4", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		start := time.Now()
		crowd(100, func(i int) {
			keys := make([]string, 10)
			for j := range keys {
				keys[j] = fmt.Sprint((i + j*(1+i%3*2)) % 10) // forwards in steps of 1, 3 and 5
			}
			if _, err := l.GetOrLoadMany(t.Context(), keys, s.load); err != nil {
				t.Error(err)
			}
		})
		wantTook(t, "they", start, time.Second)
		s.mu.Lock()
		defer s.mu.Unlock()
		for key, n := range s.loads {
			if n != 1 {
				t.Errorf("%s was loaded %d times", key, n)
			}
		}
	})
}

// D7: a batch of any size costs a few goroutines: those that fly together share
// one, also while they load, time out, and wait for another process.
func TestBulk_D7_FewGoroutines(t *testing.T) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	overBulk(t, "D7", corral.Options{TTL: time.Minute, LoadTimeout: time.Minute, MaxBatch: 250}, func(t *testing.T, l *corral.Loader[string, int]) {
		before := runtime.NumGoroutine()
		few := func(when string) {
			if n := runtime.NumGoroutine() - before; n > 100 {
				t.Errorf("%s: %d goroutines", when, n)
			}
		}
		release := make(chan struct{})
		go func() {
			for range 40 { // also as the alarms ring
				time.Sleep(3 * time.Second)
				few("meanwhile")
			}
		}()
		_, err := l.GetOrLoadMany(t.Context(), keys, func(context.Context, []string) (map[string]int, error) {
			few("loading")
			<-release
			return nil, nil
		})
		var failed *corral.KeyErrors[string]
		if !errors.As(err, &failed) || len(failed.Errors) != len(keys) || !errors.Is(err, corral.ErrLoadTimeout) {
			t.Errorf("err = %v", err)
		}
		close(release)
		time.Sleep(2 * time.Minute)
		if n := flying(); n != 0 {
			t.Errorf("%d goroutines are left", n)
		}
	})
	overFleets(t, "D7/waiting for another process", 2, corral.Options{TTL: time.Minute, LoadTimeout: time.Minute}, func(t *testing.T, f *fleet) {
		s := &bulkSource{took: 10 * time.Second}
		go f.loader[0].GetOrLoadMany(t.Context(), keys, s.load)
		time.Sleep(time.Second)
		before := runtime.NumGoroutine()
		go f.loader[1].GetOrLoadMany(t.Context(), keys, s.load)
		for range 10 {
			time.Sleep(500 * time.Millisecond)
			if n := runtime.NumGoroutine() - before; n > 100 {
				t.Errorf("%d goroutines wait", n)
			}
		}
		time.Sleep(time.Minute)
		if len(s.asked()) != 1 {
			t.Errorf("%d loads, want 1", len(s.asked()))
		}
	})
}

// A batch of hits allocates its map and its lists, and nothing per key.
func TestBulk_HitsAllocateNothingPerKey(t *testing.T) {
	for name, cache := range map[string]corral.Cache[string, int]{
		"one at a time": struct{ corral.Cache[string, int] }{memadapter.New[string, int]()},
		"many":          memadapter.New[string, int](),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoader(t, cache, corral.Options{TTL: time.Hour, StaleFor: time.Hour, EarlyExpiry: 1})
			s := &bulkSource{}
			ctx, load := context.Background(), s.load
			for _, n := range []int{10, 500} {
				keys := make([]string, n)
				for i := range keys {
					keys[i] = fmt.Sprint(i)
				}
				if _, err := l.GetOrLoadMany(ctx, keys, load); err != nil {
					t.Fatal(err)
				}
				for len(firstFlight(l)) > 0 {
					runtime.Gosched()
				}
				allocs := testing.AllocsPerRun(100, func() {
					if got, err := l.GetOrLoadMany(ctx, keys, load); err != nil || len(got) != n {
						t.Error(len(got), err)
					}
				})
				t.Logf("%d hits: %v allocations", n, allocs)
				if allocs > 20 { // the map of 500 is of several tables, as its seed has it
					t.Errorf("a batch of %d hits allocates %v times, want at most 20", n, allocs)
				}
			}
		})
	}
}
