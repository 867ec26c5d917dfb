package fleet_test

import (
	"context"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// A shard is added, and everything that moves to it is brought over at once: then the
// change is over.
func ExampleMigrate() {
	ctx := context.Background()
	open := func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}
	f, err := fleet.New(ctx, named(1, "a", "b"), open, fleet.Options[string]{MaxLife: time.Hour})
	if err != nil {
		panic(err)
	}
	for i := range 1000 {
		e := &corral.Entry[string]{Value: "value", LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute}
		_ = f.Set(ctx, fmt.Sprint("key:", i), e)
	}

	change, err := f.Apply(ctx, named(2, "a", "b", "c"))
	if err != nil {
		panic(err)
	}
	report, err := fleet.Migrate(ctx, f, fleet.MigrateOptions{
		Checkpoints: &fleet.MemoryCheckpoints{}, // from redisfleet, where another process may have to go on
		Workers:     8,
	})
	<-change.Done()
	fmt.Println(report.Copied, "copied,", report.Mismatched+report.Failed+report.Skipped, "not;", report.Ended, err)
	fmt.Println(f.Close(ctx))
	// Output:
	// 329 copied, 0 not; true <nil>
	// <nil>
}

func ExampleMemoryCheckpoints_Load() {
	at, err := (&fleet.MemoryCheckpoints{}).Load(context.Background())
	fmt.Println(at.From == "", err)
	// Output: true <nil>
}

// The zero Checkpoint forgets a migration that nobody will go on with.
func ExampleMemoryCheckpoints_Save() {
	ctx := context.Background()
	var checkpoints fleet.MemoryCheckpoints
	fmt.Println(checkpoints.Save(ctx, fleet.Checkpoint{}))
	// Output: <nil>
}
