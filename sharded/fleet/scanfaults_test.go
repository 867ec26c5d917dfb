package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

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
				if end := told.want(t, fleet.Cancelled); end.Failed != 0 {
					t.Errorf("%d shards failed", end.Failed)
				}
				calls := uint64(1)
				if when == 0 { // and not by chance
					for range 20 {
						_, _ = gather(ctx, f, scanOptions{})
					}
					calls = 0
				}
				if s := f.Stats().Shards["s00"].OverAll; s.Errors != 0 || s.Calls != calls || len(told.calls) != 2*int(calls) {
					t.Errorf("the shard has %d errors of %d calls, and the hook was told of %d", s.Errors, s.Calls, len(told.calls))
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
