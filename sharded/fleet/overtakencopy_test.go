package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// W1: a copy that its shard keeps for longer than the change lasts leaves nothing there.
func TestContract_W1_ACopyThatTheTopologyOvertakes(t *testing.T) {
	for name, copies := range map[string]func(ctx context.Context, f *fleet.Fleet[string, string]) error{
		"Get": func(ctx context.Context, f *fleet.Fleet[string, string]) error {
			_, err := f.Get(context.WithoutCancel(ctx), "k")
			return err
		},
		"Migrate": func(ctx context.Context, f *fleet.Fleet[string, string]) error {
			_, _ = fleet.Migrate(ctx, f, fleet.MigrateOptions{})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { overtakeCopy(t, copies) })
		})
	}
}

func overtakeCopy(t *testing.T, copies func(ctx context.Context, f *fleet.Fleet[string, string]) error) {
	d := new(door)
	shards := map[string]corral.Cache[string, string]{
		"a": memadapter.New[string, string](),
		"b": doorMemory{memadapter.New[string, string](), d},
	}
	f, err := fleet.New(t.Context(), oneShard(1, "a"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		return shards[s.ID], nil
	}, fleet.Options[string]{MaxLife: time.Hour})
	must(t, err)
	defer func() { must(t, f.Close(context.Background())) }()
	must(t, f.Set(t.Context(), "k", kept("old", time.Hour)))
	_, err = f.Apply(t.Context(), oneShard(2, "b"))
	must(t, err)
	open := make(chan struct{})
	d.shut.Store(&open)
	copied := make(chan error, 1)
	go func() {
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		copied <- copies(ctx, f)
	}()
	time.Sleep(2 * time.Second)
	early := func() {
		r, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
		if must(t, err); !r.Ended {
			t.Fatalf("the change has not ended: %+v", r)
		}
	}
	early()
	_, err = f.Apply(t.Context(), oneShard(3, "a"))
	must(t, err)
	early()
	close(open)
	must(t, <-copied)
	synctest.Wait()
	must(t, f.Delete(t.Context(), "k"))
	_, err = f.Apply(t.Context(), oneShard(4, "b"))
	must(t, err)
	wantGet(t, f, "k", "", "what was deleted since")
}
