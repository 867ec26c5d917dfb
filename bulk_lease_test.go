package corral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// overFleets runs a test over processes that take one key at a time, and many.
func overFleets(t *testing.T, name string, n int, opts corral.Options, test func(t *testing.T, f *fleet)) {
	t.Helper()
	bubble(t, name+"/single", func(t *testing.T) {
		f := newFleet(t, n, opts)
		for i, p := range f.process {
			f.loader[i] = newLoader(t, oneByOne(p), opts)
		}
		test(t, f)
	})
	bubble(t, name+"/batch", func(t *testing.T) {
		f := newFleet(t, n, opts)
		for i, p := range f.process {
			f.loader[i] = newLoader[string, int](t, &batchProcess{process: p}, opts)
		}
		test(t, f)
	})
}

func TestBulk_LeasesOneLoadAcrossProcesses(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	overFleets(t, "overlapping batches", 3, opts, func(t *testing.T, f *fleet) {
		s := &bulkSource{took: 5 * time.Second} // longer than a lease: they are renewed
		batches := [][]string{{"a", "b", "c", "d"}, {"c", "d", "e"}, {"e", "a", "f"}}
		start := time.Now()
		crowd(3, func(i int) {
			time.Sleep(time.Duration(i) * time.Second)
			got, err := f.loader[i].GetOrLoadMany(t.Context(), batches[i], s.load)
			if err != nil || len(got) != len(batches[i]) {
				t.Errorf("process %d got %v, %v", i, got, err)
			}
		})
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %v, want little more than 7s: what a process owns it loads at once", took)
		}
		s.wantCalls(t, []string{"a", "b", "c", "d"}, []string{"e"}, []string{"f"})
		for i, l := range f.loader {
			if stats := l.Stats(); stats.Takeovers+stats.Discarded+stats.CacheErrors != 0 || stats.Leases != uint64([]int{4, 1, 1}[i]) {
				t.Errorf("process %d: %+v", i, stats)
			}
		}
	})
	overFleets(t, "the holder fails, the others try", 2, opts, func(t *testing.T, f *fleet) {
		bad := &bulkSource{took: time.Second, err: errSource, fails: map[string]error{"a": errSource, "b": errSource}}
		go f.loader[0].GetOrLoadMany(t.Context(), letters(2), bad.load)
		time.Sleep(time.Second / 2)
		s := &bulkSource{took: time.Second}
		start := time.Now()
		got, err := f.loader[1].GetOrLoadMany(t.Context(), letters(2), s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %v: the leases were not given up", took)
		}
	})
	overFleets(t, "the holder panics", 2, opts, func(t *testing.T, f *fleet) {
		_, err := f.loader[0].GetOrLoadMany(t.Context(), letters(2), func(context.Context, []string) (map[string]int, error) { panic("x") })
		wantFailed(t, err, "a", "b")
		synctest.Wait()
		start := time.Now()
		got, err := f.loader[1].GetOrLoadMany(t.Context(), letters(2), (&bulkSource{}).load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		wantTook(t, "it", start, 0)
	})
	overFleets(t, "the wait is bounded", 2, corral.Options{TTL: time.Minute, LoadTimeout: 3 * time.Second}, func(t *testing.T, f *fleet) {
		for _, key := range letters(2) { // somebody holds them for ever
			token := "someone's " + key
			if _, err := f.process[0].Process.Acquire(t.Context(), key, corral.LeaseRequest[int]{Token: token}); err != nil {
				t.Fatal(err)
			}
			go func() {
				for t.Context().Err() == nil {
					time.Sleep(leaseLife / 2)
					if f.process[0].Process.Renew(t.Context(), key, token) != nil {
						return
					}
				}
			}()
		}
		start := time.Now()
		got, err := f.loader[1].GetOrLoadMany(t.Context(), letters(3), (&bulkSource{}).load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1})
		wantTook(t, "it", start, 3*time.Second)
		if err := f.process[0].Process.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		_ = f.process[0].Process.Delete(t.Context(), "b")
		time.Sleep(leaseLife)
	})
}

// P10, P11: a load whose key another process deletes stores nothing under it,
// although the same process has asked for the lease again since.
func TestPeers_P11_BulkTokensPerAttempt(t *testing.T) {
	overFleets(t, "P11", 2, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		s := &bulkSource{took: time.Second}
		first := make(chan map[string]int, 1)
		go func() {
			got, _ := f.loader[0].GetOrLoadMany(t.Context(), letters(3), s.load)
			first <- got
		}()
		time.Sleep(time.Second / 4)
		if err := f.loader[1].Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second / 4)
		f.loader[0].Delete(t.Context(), "b") // detaches the flight: the next call leads one
		go f.loader[0].GetOrLoadMany(t.Context(), []string{"b"}, s.load)
		if got := <-first; len(got) != 3 || got["b"] != 1 {
			t.Errorf("the first batch got %v", got)
		}
		time.Sleep(2 * time.Second)
		got, err := f.loader[1].GetOrLoadMany(t.Context(), letters(3), s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 2, "c": 1})
		if n := f.loader[0].Stats().Discarded; n != 1 {
			t.Errorf("Discarded is %d, want 1", n)
		}
	})
}

// P13: a key of a batch that a Delete elsewhere took the lease of locks none of the
// others.
func TestPeers_P13_OneInvalidatedKeyLocksNoOther(t *testing.T) {
	overFleets(t, "P13", 2, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		s := &bulkSource{took: time.Second}
		go f.loader[0].GetOrLoadMany(t.Context(), letters(3), s.load)
		time.Sleep(time.Second / 2)
		if err := f.loader[1].Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		start := time.Now()
		got, err := f.loader[1].GetOrLoadMany(t.Context(), letters(3), s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 2, "c": 1})
		wantTook(t, "it", start, time.Second)
		s.wantCalls(t, letters(3), []string{"b"})
		if n := f.loader[0].Stats().Discarded; n != 1 {
			t.Errorf("Discarded is %d, want 1", n)
		}
	})
}

func TestBulk_LeasesThatCannotBeHad(t *testing.T) {
	overFleets(t, "served and not stored", 1, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		f.process[0].break_(errSource, nil, nil)
		for i := range 3 {
			got, err := f.loader[0].GetOrLoadMany(t.Context(), letters(2), (&bulkSource{}).load)
			wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
			if i == 0 && f.process[0].fills.Load() != 0 {
				t.Error("it was stored without a lease")
			}
		}
	})
	overFleets(t, "a fill that fails gives its lease up", 2, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		got, err := f.loader[0].GetOrLoadMany(t.Context(), letters(2), func(context.Context, []string) (map[string]int, error) {
			f.process[0].break_(errSource, nil, nil)
			time.AfterFunc(time.Nanosecond, func() { f.process[0].break_(nil, nil, nil) })
			return map[string]int{"a": 1, "b": 1}, nil
		})
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		synctest.Wait()
		if n := f.process[0].releases.Load(); n != 2 {
			t.Errorf("%d leases were given up, want 2", n)
		}
	})
	overFleets(t, "unreadable entries are loaded over", 1, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		for _, key := range letters(2) {
			if err := f.loader[0].Set(t.Context(), key, 7); err != nil {
				t.Fatal(err)
			}
		}
		f.process[0].unreadable = true
		got, err := f.loader[0].GetOrLoadMany(t.Context(), letters(3), (&bulkSource{}).load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1})
		f.process[0].unreadable = false
		got, err = f.loader[0].GetOrLoadMany(t.Context(), letters(3), (&bulkSource{}).load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1, "c": 1})
	})
	overFleets(t, "callers leave the wait", 2, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		s := &bulkSource{took: 10 * time.Second}
		go f.loader[0].GetOrLoadMany(t.Context(), letters(2), s.load)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.loader[1].GetOrLoadMany(ctx, letters(2), s.load)
		for _, err := range wantFailed(t, err, "a", "b") {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if n := flying(); n != 1 {
			t.Errorf("%d goroutines fly, want that of the load", n)
		}
		if n := len(firstFlight(f.loader[1])); n != 0 {
			t.Errorf("%d flights are left", n)
		}
		time.Sleep(10 * time.Second)
		s.wantCalls(t, letters(2))
	})
	overFleets(t, "a stale entry is refreshed by one process", 3, corral.Options{TTL: time.Minute, StaleFor: time.Hour}, func(t *testing.T, f *fleet) {
		s := &bulkSource{}
		f.loader[0].GetOrLoadMany(t.Context(), letters(4), s.load)
		time.Sleep(2 * time.Minute)
		s.change(time.Second, nil)
		crowd(3, func(i int) {
			got, err := f.loader[i].GetOrLoadMany(t.Context(), letters(4), s.load)
			if err != nil || fmt.Sprint(got) != "map[a:1 b:1 c:1 d:1]" {
				t.Errorf("process %d got %v, %v", i, got, err)
			}
		})
		time.Sleep(5 * time.Second)
		for i := range 3 {
			got, err := f.loader[i].GetOrLoadMany(t.Context(), letters(4), s.load)
			wantMany(t, got, err, map[string]int{"a": 2, "b": 2, "c": 2, "d": 2})
		}
	})
}
