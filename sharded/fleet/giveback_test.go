package fleet_test

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// wired is a way to a shard over which nothing goes once the context has ended.
type wired struct{ *probe }

func (w wired) Release(ctx context.Context, key, token string) error {
	if err := w.call(ctx, "Release"); err != nil || ctx.Err() != nil {
		return cmp.Or(err, context.Cause(ctx))
	}
	return w.Process.Release(ctx, key, token)
}

func (w wired) ReleaseMany(ctx context.Context, keys, tokens []string) error {
	if err := w.call(ctx, "Release"); err != nil || ctx.Err() != nil {
		return cmp.Or(err, context.Cause(ctx))
	}
	return w.Process.ReleaseMany(ctx, keys, tokens)
}

func (w wired) AcquireMany(ctx context.Context, keys []string, requests []corral.LeaseRequest[string]) ([]corral.Lease[string], error) {
	defer w.called("AcquireMany")
	return w.probe.AcquireMany(ctx, keys, requests)
}

func (w wired) Fill(ctx context.Context, key, token string, e *corral.Entry[string]) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return w.probe.Fill(ctx, key, token, e)
}

// Leases that a call has got when its context ends are given back, and not left for their
// life: also where the entry was found meanwhile. Who waits does so for no longer than its
// context lasts, and the fleet closes though the shard hangs.
func TestZones_LeasesOfACallThatEnded(t *testing.T) {
	for name, c := range map[string]struct {
		last  string // the shard with whose answer the context ends
		keys  int
		found bool // at the holder
		hangs bool // the shard, when it is given them back
	}{
		"between two steps":       {last: "g0 west", keys: 1},
		"of many keys":            {last: "g0 west", keys: 2},
		"when the entry is found": {last: "g0 east", keys: 1, found: true},
		"at a shard that hangs":   {last: "g0 west", keys: 1, hangs: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, ways := newRegion(time.Hour), map[string]*probe{}
				for _, id := range []string{"g0 east", "g0 west"} {
					ways[id] = &probe{Process: r.store(id).Process()}
				}
				f, err := fleet.New(t.Context(), replicated(1, 1, "east", "west"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
					return wired{ways[s.ID]}, nil
				}, fleet.Options[string]{Zone: "west"})
				must(t, err)
				keys := heldBy(t, f, "g0 east", c.keys)
				if c.found {
					must(t, f.Set(t.Context(), keys[0], fresh("value")))
				}
				ctx, end := context.WithCancel(t.Context())
				ways[c.last].then(func(call string) {
					if call == "Acquire" || call == "AcquireMany" {
						end()
					}
				})
				gate := make(chan struct{})
				if c.hangs {
					gate = ways["g0 west"].stuck("Release")
				}
				start := time.Now()
				_, _ = f.AcquireMany(ctx, keys, slices.Repeat([]corral.LeaseRequest[string]{{Token: "token"}}, c.keys))
				if took := time.Since(start); took > 0 {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				if !c.hangs {
					for _, key := range keys {
						l, err := ways["g0 west"].Process.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "another"})
						if must(t, err); l.State != corral.LeaseHeld {
							t.Errorf("%s: the lease in the zone is left behind: %+v", key, l)
						}
					}
				}
				must(t, f.Close(t.Context()))
				close(gate)
				synctest.Wait()
			})
		})
	}
}
