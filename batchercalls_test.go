package corral_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// C1: one load of a key at a time.
func TestBatcher_C1_AKeyIsLoadedOnceAtATime(t *testing.T) {
	bubble(t, "its caller left", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Hour, CancelAbandoned: true})
		b := &bulk{took: time.Second}
		var running, peak atomic.Int64
		load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
			if slices.Contains(keys, "a") {
				peak.Store(max(peak.Load(), running.Add(1)))
				defer running.Add(-1)
			}
			return b.load(ctx, keys)
		}, corral.BatchOptions{})
		go l.GetOrLoad(t.Context(), "b", load)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := l.GetOrLoad(ctx, "a", load) // b's call still waits
		want(t, "the one that leaves", 0, err, 0, context.DeadlineExceeded)
		wantTook(t, "leaving", start, 100*time.Millisecond)
		get(t, l, "a", load)
		if peak.Load() != 1 {
			t.Errorf("%d loads of a at once, want 1", peak.Load())
		}
		b.wantCalls(t, "a b", "a")
	})

	bubble(t, "its load had not begun", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Hour, CancelAbandoned: true})
		b := &bulk{}
		load := corral.NewBatcher(b.load, corral.BatchOptions{Window: time.Second})
		var all sync.WaitGroup
		for _, key := range []string{"b", "c"} {
			all.Go(func() { get(t, l, key, load) })
		}
		for _, key := range []string{"a", "a", "d"} {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err := l.GetOrLoad(ctx, key, load)
				want(t, "the one that leaves", 0, err, 0, context.DeadlineExceeded)
			})
		}
		time.Sleep(500 * time.Millisecond)
		if keys := slices.Sorted(maps.Keys(maps.Collect(l.InFlight()))); !slices.Equal(keys, []string{"b", "c"}) {
			t.Errorf("in flight: %q, want b and c", keys)
		}
		all.Wait()
		b.wantCalls(t, "b c")
	})
}

// C3: a bulk load whose callers have all gone is told so, and why.
func TestBatcher_C3_TheContextEndsWithTheLastCaller(t *testing.T) {
	for name, leave := range map[string]struct {
		opts corral.Options
		want error // the cause
		took time.Duration
	}{
		"left":      {corral.Options{TTL: time.Hour, CancelAbandoned: true}, context.Canceled, 2 * time.Second},
		"timed out": {corral.Options{TTL: time.Hour, LoadTimeout: time.Minute}, context.DeadlineExceeded, time.Minute},
	} {
		bubble(t, name, func(t *testing.T) {
			l := memLoader(t, leave.opts)
			start := time.Now()
			ended := make(chan error, 1)
			load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
				<-ctx.Done()
				wantTook(t, "the load's context", start, leave.took)
				ended <- context.Cause(ctx)
				return nil, ctx.Err()
			}, corral.BatchOptions{})
			for i, key := range []string{"a", "b"} {
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
					defer cancel()
					l.GetOrLoad(ctx, key, load)
				}()
			}
			if cause := <-ended; !errors.Is(cause, leave.want) {
				t.Errorf("the cause is %v, want %v", cause, leave.want)
			}
		})
	}

	bubble(t, "a load that does not heed it", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Hour, LoadTimeout: time.Minute})
		b := &bulk{took: time.Hour}
		load := corral.NewBatcher(b.load, corral.BatchOptions{})
		start := time.Now()
		_, err := l.GetOrLoad(t.Context(), "a", load)
		want(t, "GetOrLoad", 0, err, 0, corral.ErrLoadTimeout)
		wantTook(t, "it", start, time.Minute)
		if n := l.Stats().Stuck; n != 1 {
			t.Errorf("Stuck is %d, want 1", n)
		}
	})
}

func TestBatcher_KeysLeaveTheWindowInAnyOrder(t *testing.T) {
	for _, order := range []string{"a e b", "d a c", "b e d a", "c b a e"} { // they come in that of the alphabet
		bubble(t, order, func(t *testing.T) {
			b := &bulk{}
			load := corral.NewBatcher(b.load, corral.BatchOptions{Window: time.Second})
			leave := map[string]context.CancelFunc{}
			for _, key := range []string{"a", "b", "c", "d", "d", "e"} {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				leave[key] = cancel
				go load(ctx, key)
				synctest.Wait()
			}
			left := []string{"a", "b", "c", "d", "e"}
			for key := range strings.FieldsSeq(order) {
				leave[key]()
				synctest.Wait()
				if key != "d" { // for which another call waits
					left = slices.DeleteFunc(left, func(k string) bool { return k == key })
				}
			}
			time.Sleep(time.Second)
			synctest.Wait()
			b.wantCalls(t, strings.Join(left, " "))
		})
	}
}

// The load's context is that of a call that still waits: what else it holds, as a
// place among MaxLoads, may be gone.
func TestBatcher_ValuesAreOfACallerThatWaits(t *testing.T) {
	type name struct{}
	for _, key := range []string{"a", "b"} { // of the one that leaves
		bubble(t, "the first one left, of "+key, func(t *testing.T) {
			load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
				if got := ctx.Value(name{}); got != "b" {
					t.Errorf("the values are those of %v, want b", got)
				}
				return map[string]int{"b": 1}, nil
			}, corral.BatchOptions{Window: time.Second})
			go func() {
				ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), name{}, "a"), time.Millisecond)
				defer cancel()
				load(ctx, key)
			}()
			synctest.Wait()
			v, err := load(context.WithValue(t.Context(), name{}, "b"), "b")
			want(t, "load", v, err, 1, nil)
		})
	}
}

// Keys wait for their batch where loads run: MaxLoads is how many wait at once.
func TestBatcher_KeysCountInMaxLoads(t *testing.T) {
	bubble(t, "MaxLoads", func(t *testing.T) {
		l := memLoader(t, corral.Options{TTL: time.Minute, MaxLoads: 2})
		s := &bulkSource{took: time.Second}
		load := corral.NewBatcher(s.load, corral.BatchOptions{})
		start := time.Now()
		crowd(5, func(i int) { get(t, l, letters(5)[i], load) })
		wantTook(t, "five keys", start, 3*(time.Millisecond+time.Second))
		for _, keys := range s.asked() {
			if len(keys) > 2 {
				t.Errorf("a batch got %v", keys)
			}
		}
	})
}

// L1: Close returns nil only when no load runs any more.
func TestBatcher_L1_CloseWaitsForTheBulkLoad(t *testing.T) {
	ways := map[string]func(corral.LoadFunc[string, int]) corral.LoadFunc[string, int]{
		"as it is": func(load corral.LoadFunc[string, int]) corral.LoadFunc[string, int] { return load },
		"under another key": func(load corral.LoadFunc[string, int]) corral.LoadFunc[string, int] {
			return func(ctx context.Context, key string) (int, error) { return load(ctx, "user "+key) }
		},
		"with a timeout around it": func(load corral.LoadFunc[string, int]) corral.LoadFunc[string, int] {
			return func(ctx context.Context, key string) (int, error) {
				ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
				defer cancel()
				return load(ctx, key)
			}
		},
	}
	for name, way := range ways {
		bubble(t, name, func(t *testing.T) {
			l := memLoader(t, corral.Options{TTL: time.Second, StaleFor: time.Hour})
			get(t, l, "a", (&source{}).load)
			time.Sleep(2 * time.Second)
			var running atomic.Int64
			b := &bulk{took: 10 * time.Second} // ignores its context
			get(t, l, "a", way(corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
				running.Add(1)
				defer running.Add(-1)
				return b.load(ctx, keys)
			}, corral.BatchOptions{})))
			time.Sleep(time.Second)
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := running.Load(); n != 0 {
				t.Errorf("Close returned nil while %d loads ran", n)
			}
		})
	}
}
