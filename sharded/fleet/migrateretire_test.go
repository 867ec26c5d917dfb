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

// overtaken is a shard in which something else is stored just before somebody asks for
// the lease of what has not changed.
type overtaken struct {
	corral.Cache[string, string]
	corral.Leaser[string, string]
	corral.Scanner[string, string]
	store func()
}

func (o overtaken) Acquire(ctx context.Context, key string, r corral.LeaseRequest[string]) (corral.Lease[string], error) {
	if r.Seen != nil {
		o.store()
	}
	return o.Leaser.Acquire(ctx, key, r)
}

// A migration deletes at the old shard what it has copied, and nothing else.
func TestMigrate_RetiresWhatItHasCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := map[string]*memadapter.Process[string, string]{}
		for _, id := range []string{"a", "b"} {
			stores[id] = memadapter.NewShared[string, string](time.Minute).Process()
		}
		f, err := fleet.New(t.Context(), oneShard(1, "a"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			p, store := stores[s.ID], func() {}
			if s.ID == "a" {
				store = func() { must(t, p.Set(t.Context(), "k", kept("newer", time.Minute))) }
			}
			return overtaken{p, p, p, store}, nil
		}, fleet.Options[string]{MaxLife: time.Hour})
		must(t, err)
		defer func() { must(t, f.Close(context.Background())) }()
		must(t, f.Set(t.Context(), "k", kept("value", time.Minute)))
		_, err = f.Apply(t.Context(), oneShard(2, "b"))
		must(t, err)
		report, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{KeepWindow: true})
		must(t, err)
		if report.Copied != 1 || report.Retired != 0 {
			t.Errorf("%d copied and %d retired, want 1 and 0", report.Copied, report.Retired)
		}
		if e, err := stores["a"].Get(t.Context(), "k"); err != nil || e == nil || e.Value != "newer" {
			t.Errorf("the old shard holds %+v, error %v; want what was stored there meanwhile", e, err)
		}
	})
}
