package redisfleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

// A pin that was taken away, or is for good now, does not end any more: when it would have,
// nothing has changed, and no fleet reads all pins again.
func TestPinsThatDoNotEnd(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context, mortal, forGood fleet.Pins[int]) (bool, error){
		"taken away": func(ctx context.Context, mortal, _ fleet.Pins[int]) (bool, error) { return mortal.Unpin(ctx, 1, "a") },
		"kept for good": func(ctx context.Context, _, forGood fleet.Pins[int]) (bool, error) {
			_, ok, err := forGood.TryPin(ctx, 1, "a", "a")
			return ok, err
		},
		"moved for good": func(ctx context.Context, _, forGood fleet.Pins[int]) (bool, error) {
			_, ok, err := forGood.TryPin(ctx, 1, "a", "b")
			return ok, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, client := mini(t)
				mortal := pins(t, client, redisfleet.PinOptions[int]{Life: time.Minute})
				forGood := pins(t, client, redisfleet.PinOptions[int]{})
				_, _, err := mortal.GetOrPin(t.Context(), 1, "a")
				must(t, err)
				ok, err := change(t.Context(), mortal, forGood)
				if must(t, err); !ok {
					t.Fatal("the pin was not changed")
				}
				if m.Exists("corral-fleet:{fleet}:ends") {
					t.Error("the server keeps when a pin ends that does not")
				}
				version, err := mortal.Version(t.Context())
				must(t, err)
				shard, pinned, err := mortal.Get(t.Context(), 1)
				must(t, err)
				time.Sleep(time.Hour)
				after, err := mortal.Version(t.Context())
				must(t, err)
				if now, still, err := mortal.Get(t.Context(), 1); after != version || now != shard || still != pinned || err != nil {
					t.Errorf("after an hour the version is %d, was %d, and the pin %q, was %q, %v", after, version, now, shard, err)
				}
			})
		})
	}
}
