package fleet_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// The last change that a hook is told of is how the shard is, also if the hook takes its time,
// or makes the next change itself.
func TestHealthChangesAreToldInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var f *fleet.Fleet[string, string]
		hooks := fleet.Hooks{HealthChange: func(ctx context.Context, e fleet.HealthChange) {
			switch e.To {
			case fleet.StateUnhealthy:
				time.Sleep(time.Second)
			case fleet.StateHealthy:
				if len(told) < 3 {
					must(t, f.SetState(ctx, "s00", fleet.StateUnhealthy))
				}
			}
			told = append(told, fmt.Sprintf("%v>%v", e.From, e.To))
		}}
		f, _ = open(t, equal(2), fleet.Options[string]{Hooks: hooks}, func(int) corral.Cache[string, string] { return newFaulty() })
		go func() { _ = f.SetState(t.Context(), "s00", fleet.StateUnhealthy) }()
		synctest.Wait()
		must(t, f.SetState(t.Context(), "s00", fleet.StateHealthy))
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"unknown>unhealthy", "unhealthy>healthy", "healthy>unhealthy"}; !slices.Equal(told, want) {
			t.Errorf("the hook was told of %v, want %v", told, want)
		}
		if s := f.Health()[0]; s.State != fleet.StateUnhealthy || f.Stats().Changes != 3 {
			t.Errorf("it is %v after %d changes", s.State, f.Stats().Changes)
		}
	})
}
