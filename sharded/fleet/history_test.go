package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// delays are how long calls of shards take: mostly nothing, at times longer than any
// timer of a fleet.
type delays struct {
	mu  sync.Mutex
	rnd *rand.Rand // guarded by mu
}

func (d *delays) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n)
}

func (d *delays) sleep() {
	switch n := d.n(200); {
	case n < 2:
		time.Sleep(time.Duration(d.n(100)) * time.Second)
	case n < 60:
		time.Sleep(time.Duration(d.n(300)) * time.Millisecond)
	}
}

// lazy is a cache in memory whose calls take time, before and after.
type lazy struct {
	*memadapter.Cache[string, string]
	*delays
	cable
}

// cable is what a process has to a shard. One that is cut fails every call.
type cable struct{ cut *atomic.Bool }

func (c cable) err() error {
	if c.cut.Load() {
		return errDown
	}
	return nil
}

func (c lazy) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	c.sleep()
	if err := c.err(); err != nil {
		return nil, err
	}
	defer c.sleep()
	return c.Cache.Get(ctx, key)
}

func (c lazy) Glance(ctx context.Context, key string) (corral.Glance[string], error) {
	return c.Cache.Glance(ctx, key)
}

func (c lazy) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	c.sleep()
	if err := errors.Join(ctx.Err(), c.err()); err != nil { // a write that was given up does not come later
		return err
	}
	defer c.sleep()
	return c.Cache.Set(ctx, key, e)
}

func (c lazy) Delete(ctx context.Context, key string) error {
	c.sleep()
	if err := errors.Join(ctx.Err(), c.err()); err != nil { // a write that was given up does not come later
		return err
	}
	defer c.sleep()
	return c.Cache.Delete(ctx, key)
}

// lazyProcess is the same for a store that processes share.
type lazyProcess struct {
	*memadapter.Process[string, string]
	*delays
	cable
}

func (c lazyProcess) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	c.sleep()
	if err := c.err(); err != nil {
		return nil, err
	}
	defer c.sleep()
	return c.Process.Get(ctx, key)
}

func (c lazyProcess) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	c.sleep()
	if err := errors.Join(ctx.Err(), c.err()); err != nil { // a write that was given up does not come later
		return err
	}
	defer c.sleep()
	return c.Process.Set(ctx, key, e)
}

func (c lazyProcess) Delete(ctx context.Context, key string) error {
	c.sleep()
	if err := errors.Join(ctx.Err(), c.err()); err != nil { // a write that was given up does not come later
		return err
	}
	defer c.sleep()
	return c.Process.Delete(ctx, key)
}

func (c lazyProcess) Acquire(ctx context.Context, key string, r corral.LeaseRequest[string]) (corral.Lease[string], error) {
	c.sleep()
	if err := c.err(); err != nil {
		return corral.Lease[string]{}, err
	}
	defer c.sleep()
	return c.Process.Acquire(ctx, key, r)
}

func (c lazyProcess) Fill(ctx context.Context, key, token string, e *corral.Entry[string]) error {
	c.sleep()
	if err := c.err(); err != nil {
		return err
	}
	defer c.sleep()
	return c.Process.Fill(ctx, key, token, e)
}

// history is what processes did that use a fleet together, and what no call may see
// since. A value is the number of the event at which its load began, or its Set. Of a
// Set and a write that began before it returned either may be the later.
type history struct {
	t      *testing.T
	events atomic.Int64

	mu      sync.Mutex
	written map[string]int64 // by key; when the last write began that went well; guarded by mu
	sets    map[int64]int64  // when Sets returned, or a time that never comes; guarded by mu
	writes  int              // guarded by mu
}

func newHistory(t *testing.T) *history {
	return &history{t: t, written: map[string]int64{}, sets: map[int64]int64{}}
}

// began notes that a Set began.
func (h *history) began() int64 {
	n := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets[n] = math.MaxInt64
	return n
}

// returned notes that a Set returned, and went well.
func (h *history) returned(set int64) {
	n := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets[set] = n
}

// older reports whether a value is certainly older than a write.
func (h *history) older(value string, write int64) bool {
	n, _ := strconv.ParseInt(value, 10, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	if end, set := h.sets[n]; set {
		n = end
	}
	return n < write
}

func (h *history) now() int64 { return h.events.Add(1) }

// wrote notes a write that went well, and began at a time.
func (h *history) wrote(key string, began int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes++
	h.written[key] = max(h.written[key], began)
}

// oldest returns the oldest value of key that may be stored.
func (h *history) oldest(key string) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.written[key]
}

// reads makes a call and holds it against what the process itself has written.
func (h *history) reads(ctx context.Context, own *history, l *corral.Loader[string, string], key string, delays *delays) {
	oldest := own.oldest(key)
	v, err := l.GetOrLoad(ctx, key, func(context.Context, string) (string, error) {
		value := fmt.Sprint(h.now())
		time.Sleep(time.Duration(delays.n(400)) * time.Millisecond)
		delays.sleep()
		return value, nil
	})
	if err != nil {
		return
	}
	if h.older(v, oldest) {
		h.t.Errorf("%s is %s, after a write of %d had returned", key, v, oldest)
	}
}

// finds looks into the fleets until ends does, and returns how often there was something.
func (h *history) finds(ends context.Context, fleets []*fleet.Fleet[string, string], keys []string, d *delays) (found int) {
	for ends.Err() == nil {
		time.Sleep(time.Duration(d.n(100)) * time.Millisecond)
		i, key := d.n(len(fleets)), keys[d.n(len(keys))]
		oldest := h.oldest(key)
		e, err := fleets[i].Get(h.t.Context(), key)
		if err != nil || e == nil {
			continue
		}
		found++
		if h.older(e.Value, oldest) {
			h.t.Errorf("process %d finds %s under %s: a write of %d had returned", i, e.Value, key, oldest)
		}
	}
	return found
}

// cut is Epochs that a process cannot reach at times.
type cut struct {
	*fleet.MemoryEpochs
	broken *atomic.Bool
}

var errCut = errors.New("cut off")

func (c cut) Load(ctx context.Context) (fleet.Published, error) {
	if c.broken.Load() {
		return fleet.Published{}, errCut
	}
	return c.MemoryEpochs.Load(ctx)
}

func (c cut) Publish(ctx context.Context, revision uint64, next fleet.Published) (bool, error) {
	if c.broken.Load() {
		return false, errCut
	}
	return c.MemoryEpochs.Publish(ctx, revision, next)
}

// W1, W2, I5 through every change: no value comes back that a Delete, or a Set, of any
// process has ended, whatever calls stall, for longer than any timer of a fleet.
func TestReshard_NothingDeletedComesBack(t *testing.T) {
	for kind, seeds := range map[string]uint64{"memory": 40, "leases": 8, "memory, gutter": 20, "leases, gutter": 8} {
		var all happened
		for seed := range seeds {
			t.Run(fmt.Sprint(kind, "/", seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { liveThrough(t, kind, seed, &all) })
			})
		}
		if t.Logf("%s: %+v", kind, all); all.changes == 0 || all.writes == 0 || all.found == 0 || strings.HasSuffix(kind, "gutter") && (all.outs == 0 || all.lent == 0) {
			t.Error("nothing was tested")
		}
	}
}

// happened is how much there was for a test to see.
type happened struct{ changes, writes, found, copied, ended, outs, lent int }

func liveThrough(t *testing.T, kind string, seed uint64, happened *happened) {
	const maxLife = 30 * time.Second
	var (
		d          = &delays{rnd: rand.New(rand.NewPCG(seed, 7))}
		h          = newHistory(t)
		epochs     = &fleet.MemoryEpochs{}
		ends, stop = context.WithTimeout(t.Context(), 4*time.Minute)
		all        sync.WaitGroup
		shared     sync.Map
		leases     = strings.HasPrefix(kind, "leases")
		gutter     = strings.HasSuffix(kind, "gutter")
	)
	defer stop()
	keys := []string{"key:1", "key:2", "key:3", "key:4"}
	var fleets []*fleet.Fleet[string, string]
	var loaders []*corral.Loader[string, string]
	var outs atomic.Int64
	for range map[bool]int{true: 3, false: 1}[leases] {
		broken := new(atomic.Bool)
		opts := fleet.Options[string]{MaxLife: maxLife}
		if leases {
			opts.Epochs, opts.EpochLife = cut{epochs, broken}, time.Second
		}
		cables := map[string]cable{"a": {new(atomic.Bool)}, "b": {new(atomic.Bool)}, "c": {new(atomic.Bool)}, "d": {new(atomic.Bool)}}
		if gutter {
			opts.Health = fleet.HealthOptions{Failures: 1, Successes: 1, MinPause: time.Second, MaxPause: 4 * time.Second,
				Gutter: fleet.GutterOptions{Life: 10 * time.Second}}
		}
		f, err := fleet.New(t.Context(), named(1, "a", "b"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if !leases {
				return lazy{memadapter.New[string, string](), d, cables[s.ID]}, nil
			}
			store, _ := shared.LoadOrStore(s.ID, memadapter.NewShared[string, string](2*time.Second))
			return lazyProcess{store.(*memadapter.Shared[string, string]).Process(), d, cables[s.ID]}, nil
		}, opts)
		must(t, err)
		l, err := corral.New(f, corral.Options{TTL: 10 * time.Second, StaleFor: 10 * time.Second})
		must(t, err)
		fleets, loaders = append(fleets, f), append(loaders, l)
		own := newHistory(t)
		for range 4 {
			all.Go(func() {
				for ends.Err() == nil {
					time.Sleep(time.Duration(d.n(1000)) * time.Millisecond)
					key := keys[d.n(len(keys))]
					switch d.n(8) {
					case 0:
						began := h.now()
						if l.Delete(t.Context(), key) == nil {
							h.wrote(key, began)
							own.wrote(key, began)
						}
					case 1:
						began := h.began()
						if l.Set(t.Context(), key, fmt.Sprint(began)) == nil {
							h.returned(began)
							h.wrote(key, began)
							own.wrote(key, began)
						}
					default:
						h.reads(t.Context(), own, l, key, d)
					}
				}
			})
		}
		all.Go(func() {
			for ends.Err() == nil {
				time.Sleep(time.Duration(d.n(20_000)) * time.Millisecond)
				broken.Store(true)
				time.Sleep(time.Duration(d.n(4000)) * time.Millisecond)
				broken.Store(false)
			}
		})
		for id, cable := range cables {
			if gutter {
				all.Go(func() { outs.Add(loseAtTimes(ends, d, f, id, cable)) })
			}
		}
	}
	changes, copied, ended := 0, 0, 0
	all.Go(func() {
		sets := [][]string{{"a", "b"}, {"a", "b", "c"}, {"b", "c"}, {"a"}, {"c", "d"}}
		for epoch := uint64(2); ends.Err() == nil; epoch++ {
			time.Sleep(time.Duration(d.n(5000)) * time.Millisecond)
			c, err := fleets[d.n(len(fleets))].Apply(t.Context(), named(epoch, sets[d.n(len(sets))]...))
			if err != nil || c == nil {
				continue
			}
			changes++
			switch d.n(4) {
			case 0:
				time.Sleep(time.Duration(d.n(10_000)) * time.Millisecond)
				_ = c.Abort(t.Context())
			case 1, 2: // by several, some of whom die
				for range 1 + d.n(2) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(d.n(120))*time.Second)
					r, _ := fleet.Migrate(ctx, fleets[d.n(len(fleets))], fleet.MigrateOptions{Workers: 2, Batch: 2})
					cancel()
					if copied += r.Copied; r.Ended {
						ended++
						break
					}
				}
			}
		}
	})
	found := 0
	all.Go(func() { found = h.finds(ends, fleets, keys, d) })
	all.Wait()
	for i, f := range fleets {
		happened.lent += int(f.Stats().Gutter.Hits)
		must(t, loaders[i].Close(t.Context()))
		must(t, f.Close(t.Context()))
	}
	happened.changes += changes
	happened.writes += h.writes
	happened.found += found
	happened.copied += copied
	happened.ended += ended
	happened.outs += int(outs.Load())
	time.Sleep(3 * time.Minute) // calls that were left behind
}

// loseAtTimes has a process take a shard for out, which others may not: it is told so, and
// the shard works, or its calls fail.
func loseAtTimes(ctx context.Context, d *delays, f *fleet.Fleet[string, string], id string, c cable) (outs int64) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(d.n(15_000)) * time.Millisecond)
		if d.n(2) == 0 {
			if f.SetState(ctx, id, fleet.StateUnhealthy) == nil {
				outs++
			}
			time.Sleep(time.Duration(d.n(15_000)) * time.Millisecond)
			_ = f.SetState(ctx, id, fleet.StateUnknown)
			continue
		}
		c.cut.Store(true)
		outs++
		time.Sleep(time.Duration(d.n(15_000)) * time.Millisecond)
		c.cut.Store(false)
	}
	return outs
}
