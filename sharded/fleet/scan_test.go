package fleet_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral/sharded/fleet"
)

type (
	scanOptions = fleet.ScanOptions[string, string]
	item        = fleet.Item[string, string]
)

// ends are the events of calls over all shards.
type ends struct {
	mu    sync.Mutex
	ends  []fleet.End
	calls []fleet.ShardCall
	sizes []fleet.PageSizing
}

func (e *ends) hooks() fleet.Hooks {
	return fleet.Hooks{
		End: func(_ context.Context, end fleet.End) { e.mu.Lock(); defer e.mu.Unlock(); e.ends = append(e.ends, end) },
		ShardCall: func(_ context.Context, c fleet.ShardCall) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.calls = append(e.calls, c)
		},
		PageSizing: func(_ context.Context, c fleet.PageSizing) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.sizes = append(e.sizes, c)
		},
	}
}

// want fails unless there was exactly one end.
func (e *ends) want(t testing.TB, outcome fleet.Outcome) (end fleet.End) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ends) != 1 || e.ends[0].Outcome != outcome {
		t.Fatalf("the ends are %+v, want one: %v", e.ends, outcome)
	}
	end, e.ends = e.ends[0], nil
	return end
}

// filled is a fleet of n shards with per keys on each.
func filled(t testing.TB, n, per int) (f *fleet.Fleet[string, string], caches []*faulty, told *ends, keys [][]string) {
	t.Helper()
	told = &ends{}
	f, caches = faultyFleet(t, n, fleet.Options[string]{Hooks: told.hooks()})
	keys = make([][]string, n)
	for i, cache := range caches {
		for k := range per {
			key := fmt.Sprintf("s%02d/%d", i, k)
			keys[i] = append(keys[i], key)
			must(t, cache.Cache.Set(t.Context(), key, fresh("of "+key)))
		}
	}
	return f, caches, told, keys
}

// gather ranges over a Scan to its end.
func gather(ctx context.Context, f *fleet.Fleet[string, string], opts scanOptions) (items []item, err error) {
	for it, failed := range f.Scan(ctx, opts) {
		if failed != nil {
			err = failed
			continue
		}
		items = append(items, it)
	}
	return items, err
}

func keysOf(items []item) []string {
	var keys []string
	for _, it := range items {
		keys = append(keys, it.Key)
	}
	slices.Sort(keys)
	return keys
}

func sorted(keys ...[]string) []string {
	all := slices.Concat(keys...)
	slices.Sort(all)
	return all
}

// fixed is a page size that does not change.
func fixed(n int) fleet.PageSize { return fleet.PageSize{Min: n, Max: n} }

func wantNone(t testing.TB, items []item) {
	t.Helper()
	if len(items) > 0 {
		t.Errorf("the loop saw %d items, want none", len(items))
	}
}

func TestScanVisitsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, caches, told, keys := filled(t, 5, 300)
		for _, c := range caches {
			c.do(func(context.Context) error { time.Sleep(time.Millisecond); return nil })
		}
		for name, opts := range map[string]scanOptions{
			"all":         {},
			"one by one":  {Policy: fleet.Policy{Parallel: 1}},
			"small pages": {PageSize: fixed(1)},
			"unique":      {Unique: true},
			"a quorum":    {Policy: fleet.Policy{Quorum: 5, Parallel: 2}},
			"keys":        {KeysOnly: true},
		} {
			items, err := gather(t.Context(), f, opts)
			must(t, err)
			if !slices.Equal(keysOf(items), sorted(keys...)) {
				t.Errorf("%s: %d keys", name, len(items))
			}
			for _, it := range items {
				if it.Shard != it.Key[:3] || (it.Entry == nil) != opts.KeysOnly || it.Entry != nil && it.Entry.Value != "of "+it.Key {
					t.Fatalf("%s: the item is %+v", name, it)
				}
			}
			if end := told.want(t, fleet.EndedOK); end.Items != 1500 || end.Shards != 5 || end.Failed != 0 || end.Err != nil || end.Op != fleet.OpScan {
				t.Errorf("%s: the end is %+v", name, end)
			}
		}
		if s := f.Stats(); s.Scans != (fleet.Ends{OK: 6}) || s.Shards["s03"].OverAll.Items != 6*300 || s.Shards["s03"].OverAll.Errors != 0 ||
			s.Shards["s03"].OverAll.Took != time.Duration(caches[3].calls.Load())*time.Millisecond {
			t.Errorf("the stats are %+v", s)
		}
	})
}

// Leaving the loop stops every producer, wherever it is: at its shard, in the filter,
// at the buffer.
func TestScanLeftEarly(t *testing.T) {
	for name, leave := range map[string]func(n int) bool{
		"at the first item":   func(int) bool { return true },
		"after some":          func(n int) bool { return n == 200 },
		"panic of the loop":   func(int) bool { panic("mine") },
		"Goexit of the loop":  func(int) bool { runtime.Goexit(); return true },
		"nested, by a return": func(n int) bool { return n == 3 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, caches, told, _ := filled(t, 4, 1000)
				caches[3].do(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
				before := goleak.IgnoreCurrent()
				done := make(chan any)
				go func() {
					defer close(done)
					defer func() {
						if p := recover(); p != nil && p != "mine" {
							t.Errorf("the panic is %v", p)
						}
					}()
					n := 0
					for _, err := range f.Scan(context.Background(), scanOptions{PageSize: fixed(10)}) {
						must(t, err)
						if n++; leave(n) {
							break
						}
					}
				}()
				<-done
				if err := goleak.Find(before, goleak.IgnoreTopFunction("testing/synctest.Run")); err != nil {
					t.Error(err)
				}
				if end := told.want(t, fleet.Cancelled); end.Err != nil || end.Items == 0 || end.Failed != 0 {
					t.Errorf("the end is %+v", end)
				}
				calls := caches[0].calls.Load()
				time.Sleep(time.Hour)
				if now := caches[0].calls.Load(); now != calls {
					t.Errorf("%d more pages after the loop was left", now-calls)
				}
				if s := f.Stats(); s.Scans != (fleet.Ends{Cancelled: 1}) || s.Shards["s03"].OverAll.Errors != 0 {
					t.Errorf("the stats are %+v", s)
				}
			})
		})
	}
}

// A loop that stands still holds 128 items in the buffer, one in its hand, and has
// each shard stand with a page.
func TestScanBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const page = 10
		f, caches, told, _ := filled(t, 1, 1000)
		for range f.Scan(t.Context(), scanOptions{PageSize: fixed(page)}) {
			synctest.Wait()
			if got, want := caches[0].calls.Load(), int64((1+fleet.Buffer+page)/page); fleet.Buffer != 128 || got != want {
				t.Errorf("the shard was asked for %d pages, want %d", got, want)
			}
			break
		}
		// once, or, if the buffer was full before the loop began, twice
		if end := told.want(t, fleet.Cancelled); end.Waits < 1 || end.Waits > 2 || f.Stats().Waits != uint64(end.Waits) {
			t.Errorf("%d waits, and %d in the stats, want 1 or 2", end.Waits, f.Stats().Waits)
		}
		many, caches, _, _ := filled(t, 8, 1000)
		for range many.Scan(t.Context(), scanOptions{PageSize: fixed(page)}) {
			synctest.Wait()
			asked := int64(0)
			for _, c := range caches {
				asked += c.calls.Load()
			}
			if least, most := int64(1+fleet.Buffer)/page, int64(1+fleet.Buffer)/page+8; asked < least || asked > most {
				t.Errorf("the shards were asked for %d pages, want %d to %d", asked, least, most)
			}
			break
		}
	})
}

// A shard that hangs, and does not look at its context, costs the others nothing
// and the scan its Timeout.
func TestScanOfAHungShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, caches, told, keys := filled(t, 3, 500)
		release := make(chan struct{})
		caches[1].do(func(context.Context) error { <-release; return nil })
		start := time.Now()
		items, err := gather(t.Context(), f, scanOptions{Policy: fleet.Policy{BestEffort: true, Timeout: time.Second}})
		if took := time.Since(start); took != time.Second {
			t.Errorf("the scan took %v, want 1s", took)
		}
		wantShards(t, err, true, "s01")
		wantIs(t, err, context.DeadlineExceeded)
		if !slices.Equal(keysOf(items), sorted(keys[0], keys[2])) {
			t.Errorf("%d items of the other shards", len(items))
		}
		if end := told.want(t, fleet.Failed); end.Failed != 1 || end.Items != 1000 || end.Err != err {
			t.Errorf("the end is %+v", end)
		}
		if s := f.Stats().Shards["s01"].OverAll; s.Errors != 1 || s.Took != time.Second {
			t.Errorf("the stats are %+v", s)
		}
		close(release)
	})
}
