package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/corralcache/corral"
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
		if s := f.Stats(); s.Scans != (fleet.Ends{OK: 6}) || s.Shards["s03"].Items != 6*300 || s.Shards["s03"].Errors != 0 ||
			s.Shards["s03"].Took != time.Duration(caches[3].calls.Load())*time.Millisecond {
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
				if end := told.want(t, fleet.Cancelled); end.Err != nil || end.Items == 0 {
					t.Errorf("the end is %+v", end)
				}
				calls := caches[0].calls.Load()
				time.Sleep(time.Hour)
				if now := caches[0].calls.Load(); now != calls {
					t.Errorf("%d more pages after the loop was left", now-calls)
				}
				if s := f.Stats(); s.Scans != (fleet.Ends{Cancelled: 1}) || s.Shards["s03"].Errors != 0 {
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
		if end := told.want(t, fleet.Cancelled); end.Waits != 1 || f.Stats().Waits != 1 {
			t.Errorf("%d waits, and %d in the stats, want 1", end.Waits, f.Stats().Waits)
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
		if s := f.Stats().Shards["s01"]; s.Errors != 1 || s.Took != time.Second {
			t.Errorf("the stats are %+v", s)
		}
		close(release)
	})
}

// wantShards fails unless err is of just these shards.
func wantShards(t testing.TB, err error, partial bool, ids ...string) {
	t.Helper()
	var failed *fleet.ShardErrors
	if !errors.As(err, &failed) || failed.Partial != partial || !slices.Equal(slices.Sorted(maps.Keys(failed.Errors)), ids) {
		t.Fatalf("the error is %v, want that of %v, partial: %v", err, ids, partial)
	}
}

// Without a quorum nothing is seen, whatever is there.
func TestScanQuorumBeforeAnythingIsRead(t *testing.T) {
	fault := errors.New("fault")
	for _, c := range []struct {
		name        string
		policy      fleet.Policy
		fail, out   int // so many of 5 shards fail their first page, or are out
		need, well  int
		sees, asked bool
	}{
		{"enough", fleet.Policy{Quorum: 3}, 2, 0, 3, 3, true, true},
		{"too few", fleet.Policy{Quorum: 4}, 2, 0, 4, 3, false, true},
		{"all needed", fleet.Policy{QuorumPct: 100}, 1, 0, 5, 4, false, true},
		{"rounded up", fleet.Policy{QuorumPct: 61}, 2, 0, 4, 3, false, true},
		{"not rounded", fleet.Policy{QuorumPct: 60}, 2, 0, 3, 3, true, true},
		{"too many out", fleet.Policy{Quorum: 4}, 0, 2, 4, 3, false, false},
		{"out and failing", fleet.Policy{Quorum: 4}, 1, 1, 4, 3, false, true},
		{"more than there are", fleet.Policy{Quorum: 6}, 0, 0, 6, 5, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, caches, told, _ := filled(t, 5, 200)
				for i, cache := range caches {
					switch {
					case i < c.fail:
						cache.do(func(context.Context) error { time.Sleep(time.Minute); return fault })
					case i < c.fail+c.out:
						fleet.SetOut(f, fmt.Sprintf("s%02d", i), true)
					}
				}
				start := time.Now()
				var first time.Duration
				var items []item
				var err error
				for it, failed := range f.Scan(t.Context(), scanOptions{Policy: c.policy, PageSize: fixed(50)}) {
					if items == nil && failed == nil {
						first = time.Since(start)
					}
					if err = failed; err == nil {
						items = append(items, it)
					}
				}
				if c.sees {
					wantShards(t, err, true, "s00", "s01")
					if len(items) != 600 || first != 0 {
						t.Errorf("%d items, the first after %v; want 600 at once", len(items), first)
					}
					return
				}
				wantNone(t, items)
				var few *fleet.InsufficientShardsError
				if !errors.As(err, &few) || few.Need != c.need || few.Well != c.well || few.Of != 5 || len(few.Errors) != c.fail+c.out {
					t.Fatalf("the error is %#v", err)
				}
				if told.want(t, fleet.Failed); (caches[4].calls.Load() > 0) != c.asked {
					t.Errorf("a shard was asked %d times", caches[4].calls.Load())
				}
				if c.out > 0 {
					wantIs(t, err, fleet.ErrUnhealthy)
				}
			})
		})
	}
}

// What fails after the quorum stood is told at the end.
func TestScanFailsAfterItsQuorum(t *testing.T) {
	f, caches, _, keys := filled(t, 3, 100)
	fault := errors.New("fault")
	for _, c := range caches[:2] {
		c.do(func(context.Context) error {
			if c.calls.Load() > 1 {
				return fault
			}
			return nil
		})
	}
	items, err := gather(t.Context(), f, scanOptions{Policy: fleet.Policy{Quorum: 3}, PageSize: fixed(10)})
	wantShards(t, err, true, "s00", "s01")
	if len(items) != 100+10+10 || !slices.Contains(keysOf(items), keys[2][99]) {
		t.Errorf("%d items", len(items))
	}
}

func TestScanFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, caches, told, _ := filled(t, 3, 100)
		fault := errors.New("fault")
		caches[0].do(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		caches[1].do(func(context.Context) error { time.Sleep(time.Second); return fault })
		start := time.Now()
		items, err := gather(t.Context(), f, scanOptions{})
		wantShards(t, err, true, "s01")
		wantIs(t, err, fault)
		if took := time.Since(start); took != time.Second || len(items) != 100 {
			t.Errorf("after %v, %d items", took, len(items))
		}
		told.want(t, fleet.Failed)
		for _, c := range caches {
			c.do(func(context.Context) error { return fault })
		}
		_, err = gather(t.Context(), f, scanOptions{Policy: fleet.Policy{BestEffort: true}})
		wantShards(t, err, false, "s00", "s01", "s02")
		told.want(t, fleet.Failed)
	})
}

func TestScanEndsWithItsContext(t *testing.T) {
	cause := errors.New("the caller went home")
	for name, when := range map[string]time.Duration{"before": 0, "while it waits": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, caches, told, _ := filled(t, 2, 10)
				release := make(chan struct{})
				defer close(release)
				for _, c := range caches {
					c.do(func(context.Context) error { <-release; return nil })
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				if when == 0 {
					cancel(cause)
				}
				time.AfterFunc(when, func() { cancel(cause) })
				items, err := gather(ctx, f, scanOptions{Policy: fleet.Policy{BestEffort: true}})
				wantNone(t, items)
				if err != cause {
					t.Errorf("the error is %v, want the cause", err)
				}
				told.want(t, fleet.Cancelled)
				if s := f.Stats().Shards["s00"]; s.Errors != 0 {
					t.Errorf("the shard has %d errors", s.Errors)
				}
			})
		})
	}
	t.Run("in the loop", func(t *testing.T) {
		f, _, told, _ := filled(t, 2, 500)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		n := 0
		var err error
		for _, err = range f.Scan(ctx, scanOptions{}) {
			if n++; n == 7 {
				cancel(cause)
			}
		}
		if err != cause || n != 8 {
			t.Errorf("after %d turns the error is %v", n, err)
		}
		told.want(t, fleet.Cancelled)
	})
}

// Panics and Goexit, of shards and of callbacks, are errors of the shard.
func TestScanSurvivesItsCallbacks(t *testing.T) {
	broken := map[string]func(c *faulty, opts *scanOptions){
		"panic of a shard":  func(c *faulty, _ *scanOptions) { c.do(func(context.Context) error { panic("no") }) },
		"Goexit of a shard": func(c *faulty, _ *scanOptions) { c.do(func(context.Context) error { runtime.Goexit(); return nil }) },
		"panic of a filter": func(_ *faulty, opts *scanOptions) {
			opts.Filter = func(it item) bool { return it.Shard != "s01" || it.Key[len(it.Key)-1] != '7' || sometimes() }
		},
		"Goexit of a filter": func(_ *faulty, opts *scanOptions) {
			opts.Filter = func(it item) bool {
				if it.Shard == "s01" {
					runtime.Goexit()
				}
				return true
			}
		},
	}
	for name, breaks := range broken {
		t.Run(name, func(t *testing.T) {
			f, caches, told, keys := filled(t, 3, 20)
			opts := scanOptions{Policy: fleet.Policy{BestEffort: true}}
			breaks(caches[1], &opts)
			items, err := gather(t.Context(), f, opts)
			wantShards(t, err, true, "s01")
			if !slices.Equal(keysOf(items), sorted(keys[0], keys[2])) {
				t.Errorf("%d items of the others", len(items))
			}
			told.want(t, fleet.Failed)
		})
	}
}

func sometimes() bool { panic("now") }

func TestHooksOfScansThatBreak(t *testing.T) {
	for name, breaks := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		f, _ := faultyFleet(t, 2, fleet.Options[string]{Hooks: fleet.Hooks{
			End:        func(context.Context, fleet.End) { breaks() },
			ShardCall:  func(context.Context, fleet.ShardCall) { breaks() },
			PageSizing: func(context.Context, fleet.PageSizing) { breaks() },
		}})
		_, err := gather(t.Context(), f, scanOptions{})
		must(t, err)
		if n := f.Stats().HookPanics; n != 3 {
			t.Errorf("%s: %d broken hooks, want 3", name, n)
		}
	}
}

func TestScanFilterAndUnique(t *testing.T) {
	f, caches, told, _ := filled(t, 3, 50)
	must(t, caches[2].Cache.Set(t.Context(), "s00/1", fresh("left behind")))
	items, err := gather(t.Context(), f, scanOptions{Filter: func(it item) bool { return it.Key == "s00/1" }})
	must(t, err)
	if len(items) != 2 {
		t.Errorf("%d items, want one of each shard that has the key", len(items))
	}
	told.want(t, fleet.EndedOK)
	items, err = gather(t.Context(), f, scanOptions{Unique: true})
	must(t, err)
	if end := told.want(t, fleet.EndedOK); len(items) != 150 || end.Duplicates != 1 || end.Items != 150 {
		t.Errorf("%d items, the end is %+v", len(items), end)
	}
}

func TestScanOfSomeShards(t *testing.T) {
	f, caches, told, keys := filled(t, 4, 10)
	items, err := gather(t.Context(), f, scanOptions{Policy: fleet.Policy{Shards: []string{"s02", "s00", "s02"}}})
	must(t, err)
	if !slices.Equal(keysOf(items), sorted(keys[0], keys[2])) || caches[1].calls.Load()+caches[3].calls.Load() > 0 {
		t.Errorf("the items are %v", keysOf(items))
	}
	told.want(t, fleet.EndedOK)
	_, err = gather(t.Context(), f, scanOptions{Policy: fleet.Policy{Shards: []string{"s00", "nobody"}}})
	wantOption(t, err, "Policy.Shards[1]", `"nobody"`)
	told.want(t, fleet.Failed)
	items, err = gather(t.Context(), f, scanOptions{Policy: fleet.Policy{Shards: []string{"nobody", "s01", "nobody else"}, Lenient: true}})
	must(t, err)
	if end := told.want(t, fleet.EndedOK); len(items) != 10 || end.Unknown != 2 || end.Shards != 1 || f.Stats().Unknown != 2 {
		t.Errorf("%d items, the end is %+v", len(items), end)
	}
	items, err = gather(t.Context(), f, scanOptions{Policy: fleet.Policy{Shards: []string{"nobody"}, Lenient: true}})
	must(t, err)
	wantNone(t, items)
	told.want(t, fleet.EndedOK)
}

func TestScanOfShardsThatCannot(t *testing.T) {
	f, _ := open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] {
		if i == 0 {
			return newFaulty()
		}
		return single{newFaulty()}
	})
	items, err := gather(t.Context(), f, scanOptions{})
	wantNone(t, items)
	wantAbility(t, err, "s01", "Scanner")
	_, err = gather(t.Context(), f, scanOptions{Policy: fleet.Policy{BestEffort: true}})
	wantShards(t, err, true, "s01")
	wantAbility(t, f.CheckScan(), "s01", "Scanner")
	_, _, err = f.ScanPage(t.Context(), "", 1, false)
	wantAbility(t, err, "s01", "Scanner")
	must(t, f.Close(t.Context()))
	_, err = gather(t.Context(), f, scanOptions{})
	wantIs(t, err, fleet.ErrClosed)
	_, _, err = f.ScanPage(t.Context(), "", 1, false)
	wantIs(t, err, fleet.ErrClosed)
}

// stuck returns the same cursor for ever.
type stuck struct{ *faulty }

func (stuck) ScanPage(context.Context, string, int, bool) ([]corral.ScanItem[string, string], string, error) {
	return nil, "again", nil
}

func TestScanOfAShardWithoutAnEnd(t *testing.T) {
	f, _ := open(t, equal(1), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return stuck{newFaulty()} })
	_, err := gather(t.Context(), f, scanOptions{})
	wantShards(t, err, false, "s00")
}

func TestPoliciesThatCannotWork(t *testing.T) {
	f, caches, told, _ := filled(t, 2, 10)
	for _, c := range []struct {
		opts  scanOptions
		field string
		value any
	}{
		{scanOptions{Policy: fleet.Policy{Shards: []string{}}}, "Policy.Shards", "empty"},
		{scanOptions{Policy: fleet.Policy{Quorum: -1}}, "Policy.Quorum", -1},
		{scanOptions{Policy: fleet.Policy{Quorum: 4097}}, "Policy.Quorum", 4097},
		{scanOptions{Policy: fleet.Policy{QuorumPct: 101}}, "Policy.QuorumPct", 101},
		{scanOptions{Policy: fleet.Policy{QuorumPct: math.NaN()}}, "Policy.QuorumPct", math.NaN()},
		{scanOptions{Policy: fleet.Policy{Quorum: 1, QuorumPct: 1}}, "Policy.QuorumPct", 1},
		{scanOptions{Policy: fleet.Policy{Timeout: -1}}, "Policy.Timeout", "-1ns"},
		{scanOptions{Policy: fleet.Policy{Parallel: -1}}, "Policy.Parallel", -1},
		{scanOptions{PageSize: fleet.PageSize{Min: -1}}, "PageSize.Min", -1},
		{scanOptions{PageSize: fleet.PageSize{Max: 100_001}}, "PageSize.Max", 100_001},
		{scanOptions{PageSize: fleet.PageSize{Min: 3, Max: 2}}, "PageSize.Min", 3},
		{scanOptions{PageSize: fleet.PageSize{Latency: -1}}, "PageSize.Latency", "-1ns"},
		{scanOptions{PageSize: fleet.PageSize{Latency: time.Hour}}, "PageSize.Latency", time.Hour},
	} {
		items, err := gather(t.Context(), f, c.opts)
		wantNone(t, items)
		wantOption(t, err, c.field, c.value)
		told.want(t, fleet.Failed)
		if c.opts.PageSize == (fleet.PageSize{}) {
			results, err := f.Broadcast(t.Context(), c.opts.Policy, func(context.Context, fleet.Shard, corral.Cache[string, string]) error { return nil })
			wantOption(t, err, c.field, c.value)
			if told.want(t, fleet.Failed); results != nil {
				t.Errorf("%v: the results are %v", c.field, results)
			}
		}
	}
	if n := caches[0].calls.Load(); n > 0 {
		t.Errorf("a shard was asked %d times", n)
	}
}

func TestScanPageCursors(t *testing.T) {
	f, _, _, _ := filled(t, 2, 3)
	for _, cursor := range []string{"s00", "3", "3:", "3:s0", "0:", "-1:x", "3:s09", "9:s00"} {
		_, _, err := f.ScanPage(t.Context(), cursor, 10, false)
		wantOption(t, err, "ScanPage: cursor", fmt.Sprintf("%q", cursor))
	}
}
