package fleet_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// Every range over a Merge that is observed ends with one event, however it ends.
func TestMerge_IsObserved(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		want  fleet.End
		merge func(ctx context.Context)
	}{
		"to its end": {fleet.End{Outcome: fleet.EndedOK, Shards: 3, Items: 5, Heap: 2}, func(ctx context.Context) {
			for range fleet.Merge(ctx, byN, 0, source(0, 1, 4), source(1), source(2, 2, 3, 5)) {
			}
		}},
		"left": {fleet.End{Outcome: fleet.Cancelled, Shards: 2, Items: 1, Heap: 2}, func(ctx context.Context) {
			for range fleet.Merge(ctx, byN, 0, source(0, 1), source(1, 1)) {
				break
			}
		}},
		"the loop panics": {fleet.End{Outcome: fleet.Cancelled, Shards: 1, Items: 1, Heap: 1}, func(ctx context.Context) {
			defer func() { _ = recover() }()
			for range fleet.Merge(ctx, byN, 0, source(0, 1)) {
				panic("of the loop")
			}
		}},
		"a source fails": {fleet.End{Outcome: fleet.Failed, Err: broken, Shards: 1, Items: 1, Heap: 1}, func(ctx context.Context) {
			for range fleet.Merge(ctx, byN, 0, failing(0, broken, 1)) {
			}
		}},
		"its context ends": {fleet.End{Outcome: fleet.Cancelled, Err: context.Canceled, Shards: 1}, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			for range fleet.Merge(ctx, byN, 0, source(0, 1)) {
			}
		}},
		"it cannot work": {fleet.End{Outcome: fleet.Failed, Shards: 1}, func(ctx context.Context) {
			for range fleet.Merge(ctx, byN, -1, source(0, 1)) {
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			told := &ends{}
			f, _ := faultyFleet(t, 1, fleet.Options[string]{Hooks: told.hooks()})
			c.merge(t.Context()) // is not observed
			c.merge(f.Observe(t.Context()))
			end := told.want(t, c.want.Outcome)
			if c.want.Err != nil {
				wantIs(t, end.Err, c.want.Err)
			}
			if (end.Err == nil) != (c.want.Outcome == fleet.EndedOK || c.want.Err == nil && c.want.Outcome == fleet.Cancelled) {
				t.Errorf("the error is %v", end.Err)
			}
			end.Err, end.Took, end.Waits = c.want.Err, 0, 0
			if c.want.Op = fleet.OpMerge; fmt.Sprintf("%+v", end) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("the end is %+v, want %+v", end, c.want)
			}
			s, want := f.Stats(), fleet.Ends{}
			switch c.want.Outcome {
			case fleet.EndedOK:
				want.OK = 1
			case fleet.Failed:
				want.Failed = 1
			default:
				want.Cancelled = 1
			}
			if s.Merges != want || s.Waits != 0 || s.HookPanics != 0 {
				t.Errorf("the stats are %+v, want %+v merges", s, want)
			}
		})
	}
}

// A Merge counts how often its loop waited for a source, and how long it took.
func TestMerge_Waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := &ends{}
		f, _ := faultyFleet(t, 1, fleet.Options[string]{Hooks: told.hooks()})
		slow := func(yield func(int, error) bool) {
			for i := range 4 {
				time.Sleep(time.Second)
				if !yield(i, nil) {
					return
				}
			}
		}
		for range fleet.Merge(f.Observe(t.Context()), cmp.Compare[int], 0, slow) {
		}
		end := told.want(t, fleet.EndedOK)
		if end.Took != 4*time.Second || end.Items != 4 || end.Waits < 4 || end.Waits > 5 { // the fifth may find the end there
			t.Errorf("the end is %+v", end)
		}
	})
}
