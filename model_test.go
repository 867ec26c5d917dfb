package corral_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
	"pgregory.net/rapid"
)

// lags are how long the calls of a cache take before and after they do what they
// do.
type lags struct {
	beforeRead, afterRead, beforeWrite, afterWrite time.Duration
}

// lagging is a cache that takes its time. A call that its caller has given up
// does nothing any more.
type lagging struct {
	corral.Cache[string, int]
	far bool
	lags
}

func (c *lagging) Far() bool { return c.far }

func (c *lagging) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	if err := lag(ctx, c.beforeRead); err != nil {
		return nil, err
	}
	e, err := c.Cache.Get(ctx, key)
	return e, errors.Join(err, lag(ctx, c.afterRead))
}

func (c *lagging) Set(ctx context.Context, key string, e *corral.Entry[int]) error {
	if err := lag(ctx, c.beforeWrite); err != nil {
		return err
	}
	return errors.Join(c.Cache.Set(ctx, key, e), lag(ctx, c.afterWrite))
}

func (c *lagging) Delete(ctx context.Context, key string) error {
	if err := lag(ctx, c.beforeWrite); err != nil {
		return err
	}
	return errors.Join(c.Cache.Delete(ctx, key), lag(ctx, c.afterWrite))
}

// laggingMany is one that takes many keys.
type laggingMany struct{ lagging }

func (c *laggingMany) GetMany(ctx context.Context, keys []string) ([]*corral.Entry[int], error) {
	entries := make([]*corral.Entry[int], len(keys))
	if err := lag(ctx, c.beforeRead); err != nil {
		return nil, err
	}
	err := eachKey(keys, func(i int) (err error) { entries[i], err = c.Cache.Get(ctx, keys[i]); return err })
	return entries, errors.Join(err, lag(ctx, c.afterRead))
}

func (c *laggingMany) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[int]) error {
	return c.write(ctx, keys, func(i int) error { return c.Cache.Set(ctx, keys[i], entries[i]) })
}

func (c *laggingMany) DeleteMany(ctx context.Context, keys []string) error {
	return c.write(ctx, keys, func(i int) error { return c.Cache.Delete(ctx, keys[i]) })
}

func (c *laggingMany) write(ctx context.Context, keys []string, do func(i int) error) error {
	if err := lag(ctx, c.beforeWrite); err != nil {
		return err
	}
	return errors.Join(eachKey(keys, do), lag(ctx, c.afterWrite))
}

func lag(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// modelCaches are the caches that schedules run on; the lags are drawn.
var modelCaches = []struct {
	name string
	open func(t *testing.T, d lags) corral.Cache[string, int]
}{
	{"memadapter", func(*testing.T, lags) corral.Cache[string, int] {
		return memadapter.New[string, int]()
	}},
	{"memadapter plain", func(*testing.T, lags) corral.Cache[string, int] {
		return memadapter.Plain[string, int]()
	}},
	{"near and lagging", func(_ *testing.T, d lags) corral.Cache[string, int] {
		return &lagging{Cache: memadapter.New[string, int](), lags: d}
	}},
	{"far and lagging", func(_ *testing.T, d lags) corral.Cache[string, int] {
		return &lagging{Cache: memadapter.New[string, int](), far: true, lags: d}
	}},
	{"many, far and lagging", func(_ *testing.T, d lags) corral.Cache[string, int] {
		return &laggingMany{lagging{Cache: memadapter.New[string, int](), far: true, lags: d}}
	}},
	{"many, near and lagging", func(_ *testing.T, d lags) corral.Cache[string, int] {
		return &laggingMany{lagging{Cache: memadapter.New[string, int](), lags: d}}
	}},
	{"ristretto", func(t *testing.T, _ lags) corral.Cache[string, int] {
		return ristrettoadapter.New(spacious[string, ristrettoadapter.Item[int]](t, 2000), ristrettoadapter.Options[int]{})
	}},
	{"ristretto plain", func(t *testing.T, _ lags) corral.Cache[string, int] {
		return ristrettoadapter.Plain(spacious[string, int](t, 2000), ristrettoadapter.Options[int]{})
	}},
}

func drawOptions(rt *rapid.T) corral.Options {
	o := corral.Options{
		TTL:             rapid.SampledFrom([]time.Duration{10 * time.Millisecond, time.Second}).Draw(rt, "TTL"),
		StaleFor:        rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, time.Second}).Draw(rt, "StaleFor"),
		StaleIfError:    rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(rt, "StaleIfError"),
		AbsentTTL:       rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(rt, "AbsentTTL"),
		EarlyExpiry:     rapid.SampledFrom([]float64{0, 2}).Draw(rt, "EarlyExpiry"),
		LoadTimeout:     rapid.SampledFrom([]time.Duration{15 * time.Millisecond, time.Second}).Draw(rt, "LoadTimeout"),
		MaxLoads:        rapid.SampledFrom([]int{0, 1, 2}).Draw(rt, "MaxLoads"),
		CancelAbandoned: rapid.Bool().Draw(rt, "CancelAbandoned"),
		RetryMin:        time.Millisecond,
	}
	if o.StaleIfError > 0 {
		o.SoftTimeout = rapid.SampledFrom([]time.Duration{0, 3 * time.Millisecond}).Draw(rt, "SoftTimeout")
	}
	return o
}

func drawMillis(rt *rapid.T, name string, most int) time.Duration {
	return time.Duration(rapid.IntRange(0, most).Draw(rt, name)) * time.Millisecond
}

func drawLags(rt *rapid.T) lags {
	return lags{
		drawMillis(rt, "before read", 8), drawMillis(rt, "after read", 8),
		drawMillis(rt, "before write", 8), drawMillis(rt, "after write", 8),
	}
}

func drawStep(rt *rapid.T) step {
	return step{
		at: drawMillis(rt, "at", 60),
		op: rapid.SampledFrom([]string{
			"GetOrLoad", "GetOrLoad", "GetOrLoadMany", "GetOrLoadMany", "Refresh", "Set", "Delete", "Delete", "DeleteMany",
		}).Draw(rt, "op"),
		key:      rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key"),
		patience: drawMillis(rt, "patience", 20) * time.Duration(rapid.IntRange(0, 1).Draw(rt, "hurry")),
		takes:    drawMillis(rt, "takes", 20),
		comesTo:  rapid.SampledFrom([]error{nil, nil, corral.ErrNotModified, corral.ErrNotModified, corral.ErrNotFound, errTooBad}).Draw(rt, "comes to"),
	}
}

// Random schedules of calls, with loads and caches that take their time: whatever
// overlaps, no answer is older than a write that had returned before its call.
func TestContract_W1_W2_RandomSchedules(t *testing.T) {
	for _, c := range modelCaches {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				opts := drawOptions(rt)
				d := drawLags(rt)
				steps := rapid.SliceOfN(rapid.Custom(drawStep), 40, 80).Draw(rt, "steps")
				g := newLedger()
				synctest.Test(t, func(t *testing.T) {
					l := newLoader(t, c.open(t, d), opts)
					crowd(len(steps), func(i int) {
						time.Sleep(steps[i].at)
						g.run(t.Context(), l, steps[i], time.Sleep)
					})
					time.Sleep(2 * time.Second) // loads past their timeout end too
				})
				if len(g.faults) > 0 {
					rt.Fatalf("%q", g.faults)
				}
			})
		})
	}
}

// The same without a clock to order things: as many calls as the processors can
// make, for the race detector and for what nobody thought of.
func TestContract_W1_W2_L2_Stress(t *testing.T) {
	const callers, calls = 16, 1000
	ops := []string{"GetOrLoad", "GetOrLoad", "GetOrLoad", "GetOrLoad", "GetOrLoadMany", "Refresh", "Set", "Delete", "DeleteMany"}
	ends := []error{nil, nil, nil, nil, corral.ErrNotModified, corral.ErrNotFound, errTooBad}
	busy := func(time.Duration) {
		for range rand.IntN(20) {
			runtime.Gosched()
		}
	}
	for _, c := range modelCaches {
		t.Run(c.name, func(t *testing.T) {
			g := newLedger()
			l := newLoader(t, c.open(t, lags{}), corral.Options{
				TTL: time.Millisecond, StaleFor: time.Millisecond, StaleIfError: time.Hour, AbsentTTL: time.Millisecond,
				EarlyExpiry: 1, CacheTimeout: time.Minute, RetryMin: 1, RetryMax: 1,
			})
			crowd(callers, func(int) {
				for range calls {
					g.run(t.Context(), l, step{
						op:      ops[rand.IntN(len(ops))],
						key:     string(rune('a' + rand.IntN(4))),
						comesTo: ends[rand.IntN(len(ends))],
					}, busy)
				}
			})
			for _, fault := range g.faults {
				t.Error(fault)
			}
		})
	}
}
