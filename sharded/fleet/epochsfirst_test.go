package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// contradicting are Epochs where nothing is published and nothing can be.
type contradicting struct {
	fleet.MemoryEpochs
	loads int
}

func (c *contradicting) Load(context.Context) (fleet.Published, error) {
	c.loads++
	return fleet.Published{}, nil
}

func (c *contradicting) Publish(context.Context, uint64, fleet.Published) (bool, error) {
	return false, nil
}

// Epochs that contradict themselves for ever are an error, and soon.
func TestEpochsThatContradictThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epochs, start := &contradicting{}, time.Now()
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		_, err := fleet.New(ctx, two, newStage(t).open, fleet.Options[string]{MaxLife: time.Hour, Epochs: epochs})
		want := "fleet: Options.Epochs: nothing is there to Load, and something to Publish, 10 times in a row"
		if err == nil || err.Error() != want || epochs.loads != 10 || time.Since(start) > time.Second {
			t.Errorf("after %d tries in %v: %v", epochs.loads, time.Since(start), err)
		}
	})
}
