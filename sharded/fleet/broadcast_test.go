package fleet_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

type call = func(context.Context, fleet.Shard, corral.Cache[string, string]) error

// told is a fleet of n shards in memory with what its hooks are told.
func toldFleet(t testing.TB, n int) (*fleet.Fleet[string, string], *ends) {
	told := &ends{}
	f, _ := faultyFleet(t, n, fleet.Options[string]{Hooks: told.hooks()})
	return f, told
}

func TestBroadcastCallsAllShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := toldFleet(t, 40)
		var running, most atomic.Int64
		start := time.Now()
		results, err := f.Broadcast(t.Context(), fleet.Policy{Parallel: 8}, func(ctx context.Context, s fleet.Shard, c corral.Cache[string, string]) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			return c.Set(ctx, "mark", fresh(s.ID))
		})
		must(t, err)
		if took := time.Since(start); took != 5*time.Second || most.Load() != 8 || len(results) != 40 || results["s17"] != nil {
			t.Errorf("after %v, %d at a time, %d results", took, most.Load(), len(results))
		}
		items, err := gather(t.Context(), f, scanOptions{})
		must(t, err)
		for _, it := range items {
			if it.Entry.Value != it.Shard {
				t.Errorf("on %s is %s", it.Shard, it.Entry.Value)
			}
		}
		if len(items) != 40 || told.ends[0].Op != fleet.OpBroadcast || told.ends[0].Outcome != fleet.EndedOK || told.ends[0].Took != 5*time.Second {
			t.Errorf("%d marks, the end is %+v", len(items), told.ends[0])
		}
	})
}

func TestBroadcastFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := toldFleet(t, 4)
		fault := errors.New("fault")
		var called atomic.Int64
		results, err := f.Broadcast(t.Context(), fleet.Policy{Parallel: 3}, func(ctx context.Context, s fleet.Shard, _ corral.Cache[string, string]) error {
			called.Add(1)
			switch s.ID {
			case "s00":
				return nil
			case "s01":
				time.Sleep(time.Second)
				return fault
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
		wantShards(t, err, true, "s01")
		if results["s00"] != nil || results["s01"] != fault || results["s02"] == nil || results["s03"] == nil || len(results) != 4 {
			t.Errorf("the results are %v", results)
		}
		if end := told.want(t, fleet.Failed); end.Failed != 1 || end.Shards != 4 {
			t.Errorf("the end is %+v", end)
		}
		called.Store(0)
		_, err = f.Broadcast(t.Context(), fleet.Policy{Parallel: 1}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error {
			called.Add(1)
			return fault
		})
		wantShards(t, err, false, "s00")
		if called.Load() != 1 {
			t.Errorf("%d shards were called after the first had failed", called.Load())
		}
	})
}

// Shards that hang, panic, end their goroutine or return errors, beside one that is well.
func TestBroadcastByBestEffort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := toldFleet(t, 5)
		fleet.SetOut(f, "s03", true)
		release := make(chan struct{})
		results, err := f.Broadcast(t.Context(), fleet.Policy{BestEffort: true, Timeout: time.Second}, func(_ context.Context, s fleet.Shard, _ corral.Cache[string, string]) error {
			switch s.ID {
			case "s00":
				<-release
			case "s01":
				panic("no")
			case "s02":
				runtime.Goexit()
			}
			return nil
		})
		wantShards(t, err, true, "s00", "s01", "s02", "s03")
		wantIs(t, results["s00"], context.DeadlineExceeded)
		wantPanic(t, results["s01"])
		wantIs(t, results["s03"], fleet.ErrUnhealthy)
		if results["s02"] == nil || results["s04"] != nil || len(results) != 5 {
			t.Errorf("the results are %v", results)
		}
		if end := told.want(t, fleet.Failed); end.Failed != 4 || end.Took != time.Second {
			t.Errorf("the end is %+v", end)
		}
		if s := f.Stats(); s.Broadcasts != (fleet.Ends{Failed: 1}) || s.Shards["s00"].OverAll.Errors != 1 || s.Shards["s03"].OverAll.Calls != 0 || s.Shards["s04"].OverAll.Calls != 1 {
			t.Errorf("the stats are %+v", s)
		}
		close(release)
	})
}

func TestBroadcastQuorum(t *testing.T) {
	fault := errors.New("fault")
	failing := func(ids ...string) call {
		return func(_ context.Context, s fleet.Shard, _ corral.Cache[string, string]) error {
			if slices.Contains(ids, s.ID) {
				return fault
			}
			return nil
		}
	}
	f, told := toldFleet(t, 3)
	results, err := f.Broadcast(t.Context(), fleet.Policy{Quorum: 2}, failing("s01"))
	wantShards(t, err, true, "s01")
	if told.want(t, fleet.Failed); results["s00"] != nil || results["s01"] != fault || results["s02"] != nil {
		t.Errorf("the results are %v", results)
	}
	results, err = f.Broadcast(t.Context(), fleet.Policy{QuorumPct: 50}, failing("s01", "s02"))
	var few *fleet.InsufficientShardsError
	if !errors.As(err, &few) || few.Need != 2 || few.Well != 1 || few.Of != 3 || !errors.Is(err, fault) {
		t.Errorf("the error is %v", err)
	}
	if told.want(t, fleet.Failed); len(results) != 3 || results["s01"] != fault {
		t.Errorf("the results are %v", results)
	}
	fleet.SetOut(f, "s00", true)
	fleet.SetOut(f, "s02", true)
	called := false
	results, err = f.Broadcast(t.Context(), fleet.Policy{Quorum: 2}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error {
		called = true
		return nil
	})
	const text = `fleet: 1 of 3 shards are well, and 2 are needed: "s00": fleet: the shard is out; "s02": fleet: the shard is out`
	if !errors.As(err, &few) || err.Error() != text || called {
		t.Errorf("the error is %v, a shard was called: %v", err, called)
	}
	if len(results) != 3 || results["s01"] == nil {
		t.Errorf("the results are %v", results)
	}
}

func TestBroadcastEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := toldFleet(t, 3)
		cause := errors.New("the caller went home")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		results, err := f.Broadcast(ctx, fleet.Policy{BestEffort: true}, func(ctx context.Context, s fleet.Shard, _ corral.Cache[string, string]) error {
			if s.ID != "s00" {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		})
		if err != cause || results["s00"] != nil || results["s01"] != cause {
			t.Errorf("the error is %v, the results are %v", err, results)
		}
		told.want(t, fleet.Cancelled)
		results, err = f.Broadcast(ctx, fleet.Policy{}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error {
			t.Error("a shard was called")
			return nil
		})
		if err != cause || len(results) != 3 {
			t.Errorf("the error is %v, the results are %v", err, results)
		}
	})
}

func TestBroadcastsThatCannotWork(t *testing.T) {
	f, _ := toldFleet(t, 2)
	results, err := f.Broadcast(t.Context(), fleet.Policy{}, nil)
	wantOption(t, err, "Broadcast: fn", "nil")
	if results != nil {
		t.Errorf("the results are %v", results)
	}
	must(t, f.Close(t.Context()))
	_, err = f.Broadcast(t.Context(), fleet.Policy{}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error { return nil })
	wantIs(t, err, fleet.ErrClosed)
}

func TestNamesOfOutcomes(t *testing.T) {
	got := []string{fleet.OpBroadcast.String(), fleet.OpScan.String(), fleet.Op(99).String(), fleet.EndedOK.String(), fleet.Failed.String(), fleet.Cancelled.String(), fleet.Outcome(99).String()}
	if want := []string{"broadcast", "scan", "unknown", "ok", "failed", "cancelled", "unknown"}; !slices.Equal(got, want) {
		t.Errorf("the names are %v", got)
	}
}
