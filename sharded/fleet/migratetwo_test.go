package fleet_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// startsLate are checkpoints that take their time to be loaded.
type startsLate struct {
	fleet.MemoryCheckpoints
	takes time.Duration
}

func (s *startsLate) Load(ctx context.Context) (fleet.Checkpoint, error) {
	time.Sleep(s.takes)
	return s.MemoryCheckpoints.Load(ctx)
}

// Of two migrations the one that comes too late finds all done, whatever it was about.
func TestMigrate_AnotherEndsTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		one, other := s.process(two, s.together()), s.process(two, s.together())
		stocked(t, one, 50)
		_, err := one.Apply(t.Context(), three)
		must(t, err)
		var all sync.WaitGroup
		all.Go(func() {
			report, err := fleet.Migrate(t.Context(), one, migrate{})
			if must(t, err); !report.Ended {
				t.Errorf("the first: %+v", report)
			}
		})
		s.untilPhase(t, fleet.PhaseClose)
		all.Go(func() {
			report, err := fleet.Migrate(t.Context(), other, migrate{Checkpoints: &startsLate{takes: time.Minute}})
			if must(t, err); !report.Ended {
				t.Errorf("the other: %+v", report)
			}
		})
		time.Sleep(30 * time.Second)
		_, _ = other.Get(t.Context(), "any") // so it hears of the end
		all.Wait()
	})
}

// One that is still at it when the next change has begun leaves that alone.
func TestMigrate_TheNextChangeHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		one, other := s.process(two, s.together()), s.process(two, s.together())
		stocked(t, one, 50)
		first, err := one.Apply(t.Context(), three)
		must(t, err)
		var all sync.WaitGroup
		all.Go(func() { _, err := fleet.Migrate(t.Context(), one, migrate{}); must(t, err) })
		s.untilPhase(t, fleet.PhaseClose)
		time.Sleep(4 * time.Second)
		all.Go(func() { _, err := fleet.Migrate(t.Context(), other, migrate{}); must(t, err) })
		<-first.Done()
		all.Go(func() {
			next, err := one.Apply(t.Context(), named(3, "a", "b", "c", "d"))
			if must(t, err); next == nil || next.Plan().To.Epoch != 3 {
				t.Errorf("the next change is %v", next)
			}
		})
		time.Sleep(time.Second)
		_, _ = other.Get(t.Context(), "any") // so it hears of that
		time.Sleep(stageGrace - 1500*time.Millisecond)
		if p, _ := s.epochs.Load(t.Context()); p.Phase != fleet.PhasePrepare || p.Topology.Epoch != 3 {
			t.Errorf("%v of epoch %d is published before every process has prepared", p.Phase, p.Topology.Epoch)
		}
		all.Wait()
		if p, _ := s.epochs.Load(t.Context()); p.Phase != fleet.PhaseSwitch || p.Topology.Epoch != 3 {
			t.Errorf("%v of epoch %d is published, want the switch", p.Phase, p.Topology.Epoch)
		}
	})
}

// untilPhase waits until it is published.
func (s *stage) untilPhase(t *testing.T, phase fleet.Phase) {
	t.Helper()
	for range 1000 {
		if p, _ := s.epochs.Load(t.Context()); p.Phase == phase {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%v is never published", phase)
}

// Without Epochs too.
func TestMigrate_ASweepThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		stocked(t, f, 50)
		first, err := f.Apply(t.Context(), three)
		must(t, err)
		var stalls atomic.Bool
		s.during(func(call, _ string) {
			if call == "scan" && stalls.CompareAndSwap(true, false) {
				time.Sleep(time.Minute)
			}
		})
		var all sync.WaitGroup
		for _, takes := range []time.Duration{time.Second, 0} {
			all.Go(func() {
				report, err := fleet.Migrate(t.Context(), f, migrate{Checkpoints: &startsLate{takes: takes}})
				if must(t, err); !report.Ended {
					t.Errorf("%+v", report)
				}
			})
			time.Sleep(2 * time.Second) // it closes, and waits for the leases
		}
		stalls.Store(true)
		<-first.Done()
		next, err := f.Apply(t.Context(), named(3, "a", "b", "c", "d"))
		must(t, err)
		all.Wait()
		if now, before := f.Topology(); before == nil || now.Epoch != 3 || next.Err() != nil {
			t.Errorf("epoch %d, before %v: the next change is over", now.Epoch, before)
		}
	})
}

// Progress that ends its goroutine takes nobody with it.
func TestMigrate_ProgressThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		stocked(t, f, 500)
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		s.during(func(string, string) { time.Sleep(time.Second) })
		told := 0
		report, err := fleet.Migrate(t.Context(), f, migrate{Batch: 32, Progress: func(fleet.Report) { told++; runtime.Goexit() }})
		if must(t, err); !report.Ended || told < 2 {
			t.Errorf("told %d times, the report is %+v", told, report)
		}
	})
}
