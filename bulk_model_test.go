package corral_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"pgregory.net/rapid"
)

// census knows of every load of every key and says which was one too many, and
// which answer was too old.
type census struct {
	ttl, slack time.Duration

	mu      sync.Mutex
	running map[string]int       // loads that nobody has detached; guarded by mu, as all below
	fresh   map[string]time.Time // until when what was loaded last is
	reasons map[string]int       // for a load all the same
	wanted  map[string][]*bool   // of each Refresh under way: whether a load was made for it
	writes  map[string]int       // Deletes that began or ended
	ended   map[int]time.Time    // of a value: when its load ended
	begun   map[int]int          // of a value: the tick at which its load began
	deleted map[string]int       // the tick at which the latest Delete began that has returned
	tick    int                  // orders what happens at one instant
	loads   int
	faults  []string
}

func newCensus(ttl, slack time.Duration) *census {
	return &census{ttl: ttl, slack: slack, running: map[string]int{}, fresh: map[string]time.Time{},
		reasons: map[string]int{}, wanted: map[string][]*bool{}, writes: map[string]int{},
		ended: map[int]time.Time{}, begun: map[int]int{}, deleted: map[string]int{}}
}

func (c *census) begin(keys []string) (tick int, writes []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick++
	for _, key := range keys {
		writes = append(writes, c.writes[key])
		if c.running[key] > 0 || time.Now().Before(c.fresh[key]) {
			if !c.forRefreshLocked(key) {
				c.reasons[key]--
			}
			if c.reasons[key] < 0 {
				c.faults = append(c.faults, fmt.Sprintf("%s was loaded without a reason, %d loads running, fresh for %v", key, c.running[key], time.Until(c.fresh[key])))
			}
		}
		c.running[key]++
	}
	return c.tick, writes
}

// end notes that a load ended. What a Delete has detached is not stored.
func (c *census) end(keys []string, begun int, writes []int) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	values := map[string]int{}
	for i, key := range keys {
		c.loads++
		c.ended[c.loads], c.begun[c.loads] = time.Now(), begun
		values[key] = c.loads
		if writes[i] == c.writes[key] {
			c.running[key]--
			c.fresh[key] = time.Now().Add(c.ttl)
		}
	}
	return values
}

func (c *census) bulk(takes time.Duration) corral.BulkLoadFunc[string, int] {
	return func(_ context.Context, keys []string) (map[string]int, error) {
		begun, writes := c.begin(keys)
		time.Sleep(takes)
		return c.end(keys, begun, writes), nil
	}
}

func (c *census) one(takes time.Duration) corral.LoadFunc[string, int] {
	return func(ctx context.Context, key string) (int, error) {
		values, err := c.bulk(takes)(ctx, []string{key})
		return values[key], err
	}
}

// refresh notes that a Refresh begins, which may load, and not after it returned.
func (c *census) refresh(key string) (returned func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	mine := new(bool)
	c.wanted[key] = append(c.wanted[key], mine)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.wanted[key] = slices.DeleteFunc(c.wanted[key], func(b *bool) bool { return b == mine })
	}
}

// forRefreshLocked reports whether a Refresh under way may be why a load begins.
func (c *census) forRefreshLocked(key string) bool {
	for _, made := range c.wanted[key] {
		if !*made {
			*made = true
			return true
		}
	}
	return false
}

// wrote notes that a Delete begins or ends. Each time it may have detached flights
// that had yet to load: one, and another as it got its turn to write.
func (c *census) wrote(keys []string) (tick int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick++
	for _, key := range keys {
		c.writes[key]++
		c.reasons[key] += 2
		c.running[key] = 0
		delete(c.fresh, key)
	}
	return c.tick
}

// deletedSince notes that a Delete has returned which began at tick.
func (c *census) deletedSince(tick int, keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.deleted[key] = max(c.deleted[key], tick)
	}
}

// deletes returns the Deletes that have returned.
func (c *census) deletes() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.deleted)
}

// got checks what a call returned that began at a time, after those Deletes.
func (c *census) got(began time.Time, deleted, values map[string]int, err error, keys []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		ended, known := c.ended[values[key]]
		switch {
		case err != nil || !known:
			c.faults = append(c.faults, fmt.Sprintf("%s got %d, %v", key, values[key], err))
		case began.Sub(ended) >= c.ttl+c.slack:
			c.faults = append(c.faults, fmt.Sprintf("%s got a value that was stale since %v", key, began.Sub(ended)-c.ttl))
		case c.begun[values[key]] < deleted[key]:
			c.faults = append(c.faults, fmt.Sprintf("%s got a value from before its Delete", key))
		}
	}
}

type bulkStep struct {
	at, takes time.Duration
	op        string
	keys      []string
}

func drawBulkStep(rt *rapid.T) bulkStep {
	return drawStepOf(rt, "many", "many", "many", "one", "refresh")
}

func drawDeletingStep(rt *rapid.T) bulkStep {
	return drawStepOf(rt, "many", "many", "many", "one", "refresh", "delete")
}

func drawStepOf(rt *rapid.T, ops ...string) bulkStep {
	return bulkStep{
		at:    drawMillis(rt, "at", 3000),
		takes: drawMillis(rt, "takes", 400),
		op:    rapid.SampledFrom(ops).Draw(rt, "op"),
		keys:  rapid.SliceOfN(rapid.SampledFrom(letters(6)), 1, 8).Draw(rt, "keys"),
	}
}

func (c *census) run(ctx context.Context, l *corral.Loader[string, int], s bulkStep) {
	began, deleted := time.Now(), c.deletes()
	switch s.op {
	case "many":
		values, err := l.GetOrLoadMany(ctx, s.keys, c.bulk(s.takes))
		c.got(began, deleted, values, err, s.keys)
	case "one":
		v, err := l.GetOrLoad(ctx, s.keys[0], c.one(s.takes))
		c.got(began, deleted, map[string]int{s.keys[0]: v}, err, s.keys[:1])
	case "refresh":
		returned := c.refresh(s.keys[0])
		v, err := l.Refresh(ctx, s.keys[0], c.one(s.takes))
		returned()
		c.got(began, deleted, map[string]int{s.keys[0]: v}, err, s.keys[:1])
	case "delete":
		tick := c.wrote(s.keys)
		if err := l.Delete(ctx, s.keys...); err != nil {
			c.got(began, deleted, nil, err, s.keys)
		}
		c.deletedSince(tick, s.keys)
		c.wrote(s.keys)
	}
}

// Random overlapping batches, single calls and refreshes, over caches of each kind:
// a key is loaded exactly once per expiry, and once more for a Refresh; with
// Deletes, once more for each at the most. No answer is older than its freshness, or
// than a Delete that had returned.
func TestContract_B1_C1_RandomBatches(t *testing.T) {
	caches := map[string]func() corral.Cache[string, int]{
		"near": func() corral.Cache[string, int] {
			return struct{ corral.Cache[string, int] }{memadapter.New[string, int]()}
		},
		"batch":     func() corral.Cache[string, int] { return memadapter.New[string, int]() },
		"far":       func() corral.Cache[string, int] { return newFar() },
		"far batch": func() corral.Cache[string, int] { return newBatch(false) },
		"leases":    func() corral.Cache[string, int] { return memadapter.NewShared[string, int](leaseLife).Process() },
	}
	for name, open := range caches {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				opts := corral.Options{
					TTL:      time.Second,
					StaleFor: rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(rt, "StaleFor"),
					MaxBatch: rapid.SampledFrom([]int{0, 1, 2}).Draw(rt, "MaxBatch"),
					MaxLoads: rapid.SampledFrom([]int{0, 1, 3}).Draw(rt, "MaxLoads"),
				}
				draw := drawBulkStep
				if rapid.Bool().Draw(rt, "with Deletes") {
					draw = drawDeletingStep
				}
				steps := rapid.SliceOfN(rapid.Custom(draw), 20, 60).Draw(rt, "steps")
				c := newCensus(opts.TTL, opts.StaleFor)
				synctest.Test(t, func(t *testing.T) {
					l := newLoader(t, open(), opts)
					crowd(len(steps), func(i int) {
						time.Sleep(steps[i].at)
						c.run(t.Context(), l, steps[i])
					})
					time.Sleep(time.Minute)
					if n := len(firstFlight(l)); n > 0 {
						c.faults = append(c.faults, fmt.Sprintf("%d flights are left", n))
					}
				})
				if len(c.faults) > 0 {
					rt.Fatalf("%q", c.faults)
				}
			})
		})
	}
}
