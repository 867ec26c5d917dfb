package fleet_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// slowToSwitch are Epochs that take their time to hear of a switch.
type slowToSwitch struct {
	fleet.Epochs
	takes time.Duration
}

func (e slowToSwitch) Publish(ctx context.Context, revision uint64, next fleet.Published) (bool, error) {
	if next.Phase == fleet.PhaseSwitch {
		time.Sleep(e.takes)
	}
	return e.Epochs.Publish(ctx, revision, next)
}

// A change that was given up before it was switched to is no change, though its Epochs
// answered; and one that is over when Apply returns is a Change that has ended.
func TestApplyThatComesTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		opts := s.together()
		opts.Epochs = slowToSwitch{s.epochs, 5 * stageGrace}
		f := s.process(two, opts)
		change, err := f.Apply(t.Context(), three)
		wantIs(t, err, fleet.ErrAborted)
		if now, _ := f.Topology(); change != nil || now.Epoch != two.Epoch {
			t.Errorf("epoch %d is in force, and the change is %v", now.Epoch, change)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		opts := s.together()
		opts.Epochs = slowToSwitch{s.epochs, 3 * stageGrace / 2}
		f, other := s.process(two, opts), s.process(two, s.together())
		var change *fleet.Change
		done := make(chan error)
		go func() {
			var err error
			change, err = f.Apply(t.Context(), three)
			done <- err
		}()
		time.Sleep(time.Second)
		_, err := other.Apply(t.Context(), three) // which is faster
		must(t, err)
		_, err = fleet.Migrate(t.Context(), other, migrate{})
		must(t, err)
		if must(t, <-done); change == nil {
			t.Fatal("Apply returned no change")
		}
		<-change.Done()
		must(t, change.Err())
	})
}

// Close ends what an Apply is opening, and does not wait for who asked for it.
func TestCloseWhileApplyOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := fleet.New(t.Context(), two, func(ctx context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if s.ID == "c" {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return memadapter.New[string, string](), nil
		}, fleet.Options[string]{MaxLife: time.Minute})
		must(t, err)
		applied := make(chan error, 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		go func() {
			_, err := f.Apply(ctx, three)
			applied <- err
		}()
		synctest.Wait()
		start := time.Now()
		must(t, f.Close(t.Context()))
		if took := time.Since(start); took > 0 {
			t.Errorf("Close took %v", took)
		}
		wantIs(t, <-applied, fleet.ErrClosed)
	})
}

// However long a life is, no sum of it overflows: a change lasts as long.
func TestALifeWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
			return memadapter.New[string, string](), nil
		}
		f, err := fleet.New(t.Context(), two, open, fleet.Options[string]{MaxLife: math.MaxInt64, Epochs: &fleet.MemoryEpochs{}})
		must(t, err)
		change, err := f.Apply(t.Context(), three)
		must(t, err)
		time.Sleep(24 * time.Hour)
		select {
		case <-change.Done():
			t.Error("the change is over after a day")
		default:
		}
		must(t, f.Close(t.Context()))
		_, err = fleet.New(t.Context(), two, open, fleet.Options[string]{EpochLife: time.Hour + 1})
		wantOption(t, err, "Options.EpochLife", time.Hour+1)
	})
}
