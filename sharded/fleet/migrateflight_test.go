package fleet_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// A load that began before the change, and lasts for longer than the migration, has the
// lease of a shard where its key is no more: what it loads is served, and not stored. Over
// shards without leases it is stored where the key is then.
func TestMigrate_ALoadThatOutlastsIt(t *testing.T) {
	for _, kind := range reshardKinds[:3] {
		t.Run(kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				from, to := named(1, "a", "b"), named(2, "a", "b", "c")
				f, err := fleet.New(t.Context(), from, func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
					return kind.make(), nil
				}, fleet.Options[string]{MaxLife: time.Hour})
				must(t, err)
				defer func() { must(t, f.Close(context.Background())) }()
				l, err := corral.New(f, corral.Options{TTL: time.Minute})
				must(t, err)
				key := moves(t, from, to, "a", "c")
				loads := 0
				load := func(context.Context, string) (string, error) {
					loads++
					time.Sleep(20 * time.Second)
					return "value", nil
				}
				var all sync.WaitGroup
				all.Go(func() {
					_, err := l.GetOrLoad(t.Context(), key, load)
					must(t, err)
				})
				time.Sleep(time.Second)
				_, err = f.Apply(t.Context(), to)
				must(t, err)
				report, err := fleet.Migrate(t.Context(), f, migrate{})
				must(t, err)
				all.Wait()
				for range 2 {
					_, err = l.GetOrLoad(t.Context(), key, load)
					must(t, err)
				}
				if want := map[bool]int{false: 1, true: 2}[kind.name == "leases"]; loads != want || !report.Ended {
					t.Errorf("%d loads of one key, want %d after the end of the change: %v", loads, want, report.Ended)
				}
				must(t, l.Close(t.Context()))
			})
		})
	}
}
