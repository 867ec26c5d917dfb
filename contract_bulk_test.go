package corral_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_B1_OneLoadOfWhatItOwns(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	overBulk(t, "B1/hits, joined and owned", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		synctest.Wait()
		go l.GetOrLoad(t.Context(), "c", s.one)
		time.Sleep(time.Second / 2)
		start := time.Now()
		got, err = l.GetOrLoadMany(t.Context(), []string{"d", "a", "c", "e", "b"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "e": 1})
		wantTook(t, "the batch", start, time.Second)
		s.wantCalls(t, []string{"a", "b"}, []string{"c"}, []string{"d", "e"})
		if stats := l.Stats(); stats.Hits != 2 || stats.Misses != 6 || stats.Shared != 1 || stats.Loads != 3 {
			t.Errorf("%+v", stats)
		}
	})

	overBulk(t, "B1/single calls and refreshes join its keys", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		go l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
		time.Sleep(time.Second / 2)
		start := time.Now()
		done := make(chan int, 2)
		go func() { v, _ := l.Refresh(t.Context(), "a", s.one); done <- v }()
		go func() { v, _ := l.GetOrLoad(t.Context(), "b", s.one); done <- v }()
		if a, b := <-done, <-done; a != 1 || b != 1 {
			t.Errorf("the single calls got %d and %d, want 1 and 1", a, b)
		}
		wantTook(t, "they", start, time.Second/2)
		s.wantCalls(t, []string{"a", "b"})
	})

	bubble(t, "B1/one read and one write", func(t *testing.T) {
		for _, near := range []bool{true, false} {
			c := newBatch(near)
			l := newLoader[string, int](t, c, opts)
			s := &bulkSource{}
			l.GetOrLoadMany(t.Context(), letters(20), s.load)
			synctest.Wait()
			reads := map[bool]int64{true: 2, false: 1}[near] // a near cache is looked at again
			if g, w := c.gets.Load(), c.sets.Load(); g != reads || w != 1 || c.reads.Load()+c.writes.Load() != 0 {
				t.Errorf("near %v: %d reads, %d writes, want %d, 1 and no single ones", near, g, w, reads)
			}
			got, _ := l.GetOrLoadMany(t.Context(), letters(30), s.load)
			synctest.Wait()
			if g, w := c.gets.Load(), c.sets.Load(); g != 2*reads || w != 2 || len(got) != 30 {
				t.Errorf("near %v: %d reads, %d writes after a half-filled batch", near, g, w)
			}
			if err := l.Delete(t.Context(), append(letters(30), "a", "b")...); err != nil || c.dels.Load() != 1 || c.deletes.Load() != 0 {
				t.Errorf("near %v: %d deletes, %v, want 1", near, c.dels.Load(), err)
			}
		}
	})

	bubble(t, "B1/one round trip for the leases, one for the fills", func(t *testing.T) {
		f := newFleet(t, 1, opts)
		p := &batchProcess{process: f.process[0]}
		l := newLoader[string, int](t, p, opts)
		s := &bulkSource{}
		got, err := l.GetOrLoadMany(t.Context(), letters(20), s.load)
		if err != nil || len(got) != 20 {
			t.Errorf("GetOrLoadMany = %d values, %v", len(got), err)
		}
		synctest.Wait()
		if r, a, w := p.reads.Load(), p.asks.Load(), p.stores.Load(); r != 1 || a != 1 || w != 1 || p.ends.Load() != 0 {
			t.Errorf("%d reads, %d acquires, %d fills, %d releases, want 1, 1, 1, 0", r, a, w, p.ends.Load())
		}
	})

	for _, most := range []int{1, 3, 7, 100} {
		overBulk(t, fmt.Sprintf("B1/MaxBatch %d", most), corral.Options{TTL: time.Minute, MaxBatch: most},
			func(t *testing.T, l *corral.Loader[string, int]) {
				s := &bulkSource{took: time.Second}
				start := time.Now()
				got, err := l.GetOrLoadMany(t.Context(), letters(7), s.load)
				if err != nil || len(got) != 7 {
					t.Errorf("GetOrLoadMany = %v, %v", got, err)
				}
				wantTook(t, "the parts", start, time.Second)
				if parts := (7 + most - 1) / most; len(s.asked()) != parts || l.Stats().Loads != uint64(parts) {
					t.Errorf("%v: %d loads, want %d", s.asked(), l.Stats().Loads, parts)
				}
			})
	}
	overBulk(t, "B1/at most 16 parts at once", corral.Options{TTL: time.Minute, MaxBatch: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		start := time.Now()
		got, err := l.GetOrLoadMany(t.Context(), letters(40), s.load)
		if err != nil || len(got) != 40 {
			t.Errorf("GetOrLoadMany = %d values, %v", len(got), err)
		}
		wantTook(t, "40 parts", start, 3*time.Second)
	})
	overBulk(t, "B1/a split part's failure is its own", corral.Options{TTL: time.Minute, MaxBatch: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		got, err := l.GetOrLoadMany(t.Context(), letters(4), func(_ context.Context, keys []string) (map[string]int, error) {
			if keys[0] == "b" {
				panic("b")
			}
			return map[string]int{keys[0]: 1}, nil
		})
		failed := wantFailed(t, err, "b")
		var p *corral.PanicError
		if len(got) != 3 || !errors.As(failed["b"], &p) {
			t.Errorf("GetOrLoadMany = %v, %v", got, err)
		}
	})
}

// letters returns n keys.
func letters(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = string(rune('a' + i))
	}
	return keys
}

// wantFailed checks which keys failed and returns their errors.
func wantFailed(t *testing.T, err error, keys ...string) map[string]error {
	t.Helper()
	var failed *corral.KeyErrors[string]
	if !errors.As(err, &failed) || len(failed.Errors) != len(keys) {
		t.Fatalf("err = %v, want KeyErrors of %q", err, keys)
	}
	for _, key := range keys {
		if failed.Errors[key] == nil {
			t.Fatalf("err = %v, want KeyErrors of %q", err, keys)
		}
	}
	return failed.Errors
}

func TestContract_B2_EachKeyItsOwn(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, AbsentTTL: time.Minute}
	overBulk(t, "B2/some fail", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{fails: map[string]error{"bad": errSource, "gone": fmt.Errorf("row: %w", corral.ErrNotFound)}}
		l.GetOrLoadMany(t.Context(), []string{"hit"}, s.load)
		synctest.Wait()
		got, err := l.GetOrLoadMany(t.Context(), []string{"bad", "good", "gone", "hit"}, s.load)
		if failed := wantFailed(t, err, "bad"); failed["bad"] != errSource || !errors.Is(err, errSource) {
			t.Errorf("err = %v, want the source's own", err)
		}
		wantMany(t, got, nil, map[string]int{"good": 1, "hit": 1})
		if stats := l.Stats(); stats.LoadErrors != 1 || stats.Absent != 1 || stats.Loads != 2 {
			t.Errorf("%+v", stats)
		}
	})

	overBulk(t, "B2/the whole load fails, its values are good", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		load := func(context.Context, []string) (map[string]int, error) { return map[string]int{"a": 5}, errSource }
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, load)
		wantFailed(t, err, "b", "c")
		wantMany(t, got, nil, map[string]int{"a": 5})
		synctest.Wait()
		s := &bulkSource{}
		got, err = l.GetOrLoadMany(t.Context(), []string{"a", "b", "c"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 5, "b": 1, "c": 1})
	})

	overBulk(t, "B2/an error around KeyErrors is that of the keys they do not name", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		got, err := l.GetOrLoadMany(t.Context(), letters(3), func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"c": 1}, fmt.Errorf("half of it: %w", &corral.KeyErrors[string]{Errors: map[string]error{"b": errSource}})
		})
		failed := wantFailed(t, err, "a", "b")
		if failed["b"] != errSource || !strings.Contains(failed["a"].Error(), "half of it") {
			t.Errorf("err = %v", failed)
		}
		wantMany(t, got, nil, map[string]int{"c": 1})
	})

	overBulk(t, "B2/left out is absent", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		loads := 0
		load := func(context.Context, []string) (map[string]int, error) { loads++; return nil, nil }
		for range 2 {
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, load)
			wantMany(t, got, err, map[string]int{})
			synctest.Wait()
		}
		if !plainKind(t) && loads != 1 {
			t.Errorf("%d loads, want 1: absence is remembered", loads)
		}
		_, err := l.GetOrLoad(t.Context(), "a", (&source{}).load)
		if !plainKind(t) && !errors.Is(err, corral.ErrNotFound) {
			t.Errorf("GetOrLoad: %v, want ErrNotFound", err)
		}
	})

	overBulk(t, "B2/a failed part is not read as absent", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		load := func(context.Context, []string) (map[string]int, error) { return map[string]int{}, errSource }
		_, err := l.GetOrLoadMany(t.Context(), []string{"a"}, load)
		wantFailed(t, err, "a")
		if v := get(t, l, "a", (&source{}).load); v != 1 {
			t.Errorf("GetOrLoad = %d", v)
		}
	})

	overBulk(t, "B2/not modified keeps a key's previous value", corral.Options{TTL: time.Second, StaleIfError: time.Hour},
		func(t *testing.T, l *corral.Loader[string, int]) {
			s := &bulkSource{}
			l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			time.Sleep(time.Minute)
			s.change(0, map[string]error{"a": corral.ErrNotModified})
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			wantMany(t, got, err, map[string]int{"a": 1, "b": 2})
			synctest.Wait()
			got, err = l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
			wantMany(t, got, err, map[string]int{"a": 1, "b": 2})
			if len(s.asked()) != 2 {
				t.Errorf("%d loads, want 2", len(s.asked()))
			}
		})

	overBulk(t, "B2/every way to fail whole", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		for _, e := range ends {
			_, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(context.Context, []string) (map[string]int, error) {
				time.Sleep(time.Second)
				return nil, e.end()
			})
			failed := wantFailed(t, err, "a", "b")
			if failed["a"] != failed["b"] {
				t.Errorf("%s: %v, want one error for both", e.name, failed)
			}
			if s := (&bulkSource{}); true {
				got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
				wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
			}
			if err := l.Delete(t.Context(), "a", "b"); err != nil {
				t.Fatal(err)
			}
		}
		if stats := l.Stats(); stats.LoadErrors != 4 || stats.Panics != 3 {
			t.Errorf("%d failed loads, %d panics, want 4 and 3", stats.LoadErrors, stats.Panics)
		}
	})
}

// plainKind reports whether the sub-test runs over plain values.
func plainKind(t *testing.T) bool { return strings.HasSuffix(t.Name(), "plain") }

func TestContract_B2_UnaskedKeysFillGapsOnly(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleFor: time.Hour}
	more := func(l *corral.Loader[string, int], during func()) corral.BulkLoadFunc[string, int] {
		return func(context.Context, []string) (map[string]int, error) {
			time.Sleep(time.Second)
			if during != nil {
				during()
			}
			return map[string]int{"asked": 1, "stored": 99, "free": 99, "loading": 99, "old": 99}, nil
		}
	}
	run := func(name string, want int, during func(t *testing.T, l *corral.Loader[string, int])) {
		overBulk(t, "B2/"+name, opts, func(t *testing.T, l *corral.Loader[string, int]) {
			l.Set(t.Context(), "old", 6)
			time.Sleep(time.Minute) // stale, and a newer one than what the load returns all the same
			l.Set(t.Context(), "stored", 7)
			slow := &source{took: 10 * time.Second}
			go l.GetOrLoad(t.Context(), "loading", slow.load)
			got, err := l.GetOrLoadMany(t.Context(), []string{"asked"}, more(l, func() { during(t, l) }))
			wantMany(t, got, err, map[string]int{"asked": 1})
			time.Sleep(time.Minute)
			for key, value := range map[string]int{"stored": 7, "loading": 1, "old": 6} {
				if v := get(t, l, key, (&source{}).load); v != value {
					t.Errorf("%s is %d, want %d", key, v, value)
				}
			}
			want := want
			if want == 99 && leasesKind(t) {
				want = 1
			}
			if v := get(t, l, "free", (&source{}).load); v != want {
				t.Errorf("the gap holds %d, want %d", v, want)
			}
		})
	}
	run("a gap is filled", 99, func(*testing.T, *corral.Loader[string, int]) {})
	run("not after a Delete of the key", 1, func(t *testing.T, l *corral.Loader[string, int]) { l.Delete(t.Context(), "free") })
	run("not after any Delete of several", 1, func(t *testing.T, l *corral.Loader[string, int]) { l.Delete(t.Context(), "x", "free") })
	run("not after a Set", 5, func(t *testing.T, l *corral.Loader[string, int]) { l.Set(t.Context(), "free", 5) })
	overBulk(t, "B2/only foreign keys", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		got, err := l.GetOrLoadMany(t.Context(), []string{"a"}, func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"x": 1, "y": 2}, nil
		})
		wantMany(t, got, err, map[string]int{})
	})
}

func batchKind(t *testing.T) bool { return strings.HasSuffix(t.Name(), "batch") }

func leasesKind(t *testing.T) bool {
	return strings.HasSuffix(t.Name(), "/leases") || strings.HasSuffix(t.Name(), "/leases_batch")
}

func TestContract_B3_DuplicatesCostNothing(t *testing.T) {
	overBulk(t, "B3", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{}
		for range 2 {
			got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b", "a", "a", "b"}, s.load)
			wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
			synctest.Wait()
		}
		s.wantCalls(t, []string{"a", "b"})
		if stats := l.Stats(); stats.Hits != 2 || stats.Misses != 2 {
			t.Errorf("%d hits, %d misses, want 2 and 2: a key counts once", stats.Hits, stats.Misses)
		}
	})
}

// What callers pass and loads return that makes no sense.
func TestContract_B_BadInput(t *testing.T) {
	overBulk(t, "B/no keys", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		for _, keys := range [][]string{nil, {}} {
			got, err := l.GetOrLoadMany(t.Context(), keys, func(context.Context, []string) (map[string]int, error) {
				t.Error("the load was called")
				return nil, nil
			})
			wantMany(t, got, err, map[string]int{})
		}
	})
	bubble(t, "B/invalid keys", func(t *testing.T) {
		l := newLoader[any, int](t, anyCache{}, corral.Options{TTL: time.Minute})
		load := func(_ context.Context, keys []any) (map[any]int, error) {
			values := map[any]int{}
			for _, key := range keys {
				values[key] = 1
			}
			return values, nil
		}
		zero := 0.0
		got, err := l.GetOrLoadMany(t.Context(), []any{"a", zero / zero}, load)
		var failed *corral.KeyErrors[any]
		if !errors.As(err, &failed) || len(failed.Errors) != 1 || !errors.Is(err, corral.ErrInvalidKey) || got["a"] != 1 {
			t.Errorf("NaN: %v, %v", got, err)
		}
		got, err = l.GetOrLoadMany(t.Context(), []any{[]int{1}, "a"}, load)
		if !errors.Is(err, corral.ErrInvalidKey) || got["a"] != 1 || len(got) != 1 {
			t.Errorf("unhashable: %v, %v", got, err)
		}
	})
	overBulk(t, "B/the load keeps its keys and its map", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, func(_ context.Context, keys []string) (map[string]int, error) {
			values := map[string]int{"a": 1, "b": 2}
			keys[0], keys[1] = "x", "y"
			time.AfterFunc(time.Nanosecond, func() { clear(values) })
			return values, nil
		})
		wantMany(t, got, err, map[string]int{"a": 1, "b": 2})
	})
	overBulk(t, "B/closed", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		l.Close(t.Context())
		_, err := l.GetOrLoadMany(t.Context(), []string{"a"}, (&bulkSource{}).load)
		if err != corral.ErrClosed {
			t.Errorf("err = %v, want ErrClosed", err)
		}
	})
}

// C10, D9: a huge batch works, in few goroutines, and leaves nothing behind.
func TestContract_C10_AHugeBatch(t *testing.T) {
	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	overBulk(t, "C10", corral.Options{TTL: time.Minute, MaxBatch: 30_000}, func(t *testing.T, l *corral.Loader[string, int]) {
		keys := keys
		if !batchKind(t) { // slow under the race detector
			keys = keys[:40_000]
		}
		s := &bulkSource{took: time.Second, err: errSource}
		go func() {
			time.Sleep(time.Second / 2)
			if n := runtime.NumGoroutine(); n > 200 {
				t.Errorf("%d goroutines", n)
			}
		}()
		got, err := l.GetOrLoadMany(t.Context(), keys, s.load)
		if err != nil || len(got) != len(keys) || len(s.asked()) != (len(keys)+29_999)/30_000 {
			t.Fatalf("%d values in %d loads, %v", len(got), len(s.asked()), err)
		}
		synctest.Wait()
		if n := len(firstFlight(l)); n != 0 {
			t.Errorf("%d flights are left", n)
		}
	})
}
