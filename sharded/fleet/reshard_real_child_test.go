//go:build linux

package fleet_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

// realEnv holds, in a process that TestReshard_Real has started, what it shall do.
const realEnv = "CORRAL_RESHARD"

// realPlan is what all processes know.
type realPlan struct {
	Hub      string            // address of the server of the source, the epochs and the checkpoints
	Shards   map[string]string // addresses by ID
	From, To fleet.Topology
	Keys     int
	Callers  int   // zero in a process that migrates
	Gates    []int // after so many checkpoints it waits to be told to go on
}

// realEvent is a line that a process writes: what has just happened.
type realEvent struct {
	Ready    bool              `json:",omitempty"`
	Load     *realLoad         `json:",omitempty"`
	Delete   *realDelete       `json:",omitempty"`
	Warm     bool              `json:",omitempty"` // every key was asked for
	View     *realView         `json:",omitempty"`
	Applied  bool              `json:",omitempty"`
	Began    *fleet.Checkpoint `json:",omitempty"` // from where a migration goes on
	Saved    *fleet.Checkpoint `json:",omitempty"`
	Gate     bool              `json:",omitempty"`
	Migrated *realMigration    `json:",omitempty"`
	Report   *realReport       `json:",omitempty"`
}

// realView is what a process takes the fleet for.
type realView struct {
	Epoch   uint64
	Settled bool
	Out     []string // shards that are not read
}

// realMigration is what came of a Migrate.
type realMigration struct {
	Sum     fleet.ShardReport
	Shards  map[string]fleet.ShardReport
	Lazy    int
	Swept   int
	Ended   bool
	Done    bool // Change.Done was closed, and Change.Err is nil
	Err     string
	Failed  []string          // shards that did
	Cursors map[string]string // of the first page of each shard that was scanned
}

// realReport is what a process has counted when it stops.
type realReport struct {
	Calls   int
	Sights  []realSight
	Faults  map[string]string // by key, the last error of the cache
	Errors  []string          // of callers, the first ones
	Stalled time.Duration     // by how much a timer was late at the most
}

// realTime returns CLOCK_MONOTONIC, which all processes of a machine share.
// Package time has it too, and shows only differences.
func realTime() int64 {
	var at syscall.Timespec
	const clockMonotonic = 1
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		panic(errno)
	}
	return at.Nano()
}

// realChild is a process that uses the fleet.
type realChild struct {
	realPlan
	hub    *redis.Client
	fleet  *fleet.Fleet[string, int64]
	loader *corral.Loader[string, int64]
	orders chan string
	over   chan struct{} // closed when it is told to stop

	mu      sync.Mutex
	out     *json.Encoder // guarded by mu, as all below
	sights  map[realSeen]*realSight
	asked   map[string]map[string]int64 // by key and shard; when its lease was asked for, for the next load
	cursors map[string]string
	report  realReport
}

// TestReshard_RealChild is what the processes run that TestReshard_Real starts. By
// itself it does nothing.
func TestReshard_RealChild(t *testing.T) {
	plan := os.Getenv(realEnv)
	if plan == "" {
		return
	}
	c := &realChild{
		orders: make(chan string, 10), over: make(chan struct{}),
		out:    json.NewEncoder(os.NewFile(3, "events")),
		sights: map[realSeen]*realSight{}, asked: map[string]map[string]int64{}, cursors: map[string]string{},
		report: realReport{Faults: map[string]string{}},
	}
	must(t, json.Unmarshal([]byte(plan), &c.realPlan))
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		c.listen()
	}()
	closing := c.open(t)
	c.say(realEvent{Ready: true})
	if c.Callers > 0 {
		c.serve(t)
	} else {
		c.migrate(t)
	}
	closing()
	<-heard
}

// listen takes the lines on the standard input. Its end, as when the parent died, ends
// everything.
func (c *realChild) listen() {
	defer close(c.orders)
	defer close(c.over)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		c.orders <- lines.Text()
	}
}

func (c *realChild) say(e realEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(e); err != nil {
		panic(err)
	}
}

// open opens the fleet, as a process of a service would.
func (c *realChild) open(t *testing.T) (closing func()) {
	c.hub = redis.NewClient(&redis.Options{Addr: c.Hub})
	epochs, err := redisfleet.NewEpochs(c.hub, redisfleet.Options{})
	must(t, err)
	c.fleet, err = fleet.New(t.Context(), c.From, func(_ context.Context, s fleet.Shard) (corral.Cache[string, int64], error) {
		client := redis.NewClient(&redis.Options{Addr: c.Shards[s.ID]})
		return realShard{redisadapter.New(client, redisadapter.Options[string, int64]{Prefix: realPrefix}), client, c, s.ID}, nil
	}, fleet.Options[string]{
		MaxLife: time.Hour, Epochs: epochs, EpochLife: realEpochLife,
		Health: fleet.HealthOptions{MinPause: 300 * time.Millisecond, MaxPause: time.Second},
		Close:  func(_ context.Context, _ fleet.Shard, cache any) error { return cache.(realShard).client.Close() },
	})
	must(t, err)
	c.loader, err = corral.New(c.fleet, corral.Options{
		TTL: time.Hour, CacheTimeout: 5 * time.Second, // a busy machine is no failure
		Hooks: corral.Hooks{CacheError: func(_ context.Context, e corral.Event) { c.fault(e) }},
	})
	must(t, err)
	return func() {
		must(t, c.loader.Close(context.Background()))
		must(t, c.fleet.Close(context.Background()))
		must(t, c.hub.Close())
	}
}

// realShard notes where scans of it begin, and when leases are asked for.
type realShard struct {
	*redisadapter.Cache[string, int64]
	client *redis.Client
	c      *realChild
	id     string
}

func (s realShard) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, int64], string, error) {
	s.c.mu.Lock()
	if _, begun := s.c.cursors[s.id]; !begun {
		s.c.cursors[s.id] = cursor
	}
	s.c.mu.Unlock()
	return s.Cache.ScanPage(ctx, cursor, count, keysOnly)
}

func (s realShard) Acquire(ctx context.Context, key string, r corral.LeaseRequest[int64]) (corral.Lease[int64], error) {
	s.c.asks(s.id, key)
	return s.Cache.Acquire(ctx, key, r)
}

func (s realShard) AcquireMany(ctx context.Context, keys []string, r []corral.LeaseRequest[int64]) ([]corral.Lease[int64], error) {
	s.c.asks(s.id, keys...)
	return s.Cache.AcquireMany(ctx, keys, r)
}

func (c *realChild) asks(shard string, keys ...string) {
	at := realTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		if c.asked[key] == nil {
			c.asked[key] = map[string]int64{}
		}
		c.asked[key][shard] = at
	}
}

// askedFor returns when the leases were asked for under which a load begins.
func (c *realChild) askedFor(key string) int64 {
	at := realTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, asked := range c.asked[key] {
		at = min(at, asked)
	}
	delete(c.asked, key)
	return at
}

func (c *realChild) fault(e corral.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Faults[fmt.Sprint(e.Key)] = fmt.Sprintf("%v: %v", e.Op, e.Err)
}

// serve makes calls until it is told to stop.
func (c *realChild) serve(t *testing.T) {
	var work sync.WaitGroup
	for order := range c.orders {
		switch order {
		case "warm":
			c.warm(t.Context())
			c.say(realEvent{Warm: true})
		case "start":
			work.Go(c.metronome)
			work.Go(c.look)
			work.Go(func() { c.delete(t.Context()) })
			for range c.Callers {
				work.Go(func() { c.call(t.Context()) })
			}
		}
	}
	work.Wait()
	c.mu.Lock()
	for _, s := range c.sights {
		c.report.Sights = append(c.report.Sights, *s)
	}
	c.mu.Unlock()
	c.say(realEvent{Report: &c.report})
}

// warm asks for every key.
func (c *realChild) warm(ctx context.Context) {
	const lanes = 8
	var work sync.WaitGroup
	for lane := range lanes {
		work.Go(func() {
			for i := lane; i < c.Keys; i += lanes {
				c.get(ctx, realKey(i))
			}
		})
	}
	work.Wait()
}

// call is a caller's life: most calls are for a few keys.
func (c *realChild) call(ctx context.Context) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), 0)), 1.1, 1, uint64(c.Keys-1))
	for c.pause(2*time.Millisecond, 10*time.Millisecond) {
		c.get(ctx, realKey(int(zipf.Uint64())))
	}
}

func (c *realChild) get(ctx context.Context, key string) {
	from := realTime()
	alone := true
	for other := range c.loader.InFlight() {
		alone = alone && other != key
	}
	version, err := c.loader.GetOrLoad(ctx, key, c.load)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Calls++
	if err != nil {
		c.report.Errors = append(c.report.Errors, fmt.Sprintf("%s: %v", key, err))
		return
	}
	seen := realSeen{key, version}
	s := c.sights[seen]
	if s == nil {
		s = &realSight{realSeen: seen}
		c.sights[seen] = s
	}
	if s.LastFrom = max(s.LastFrom, from); alone {
		s.LastAlone = max(s.LastAlone, from)
	}
}

// load asks the source, which counts the loads of each key and numbers them all: the
// number says how new a value is.
func (c *realChild) load(ctx context.Context, key string) (int64, error) {
	asked, from := c.askedFor(key), realTime()
	var version *redis.IntCmd
	_, err := c.hub.TxPipelined(ctx, func(p redis.Pipeliner) error {
		version = p.Incr(ctx, realVersions)
		return p.HIncrBy(ctx, realLoads, key, 1).Err()
	})
	if err != nil {
		return 0, err
	}
	c.say(realEvent{Load: &realLoad{realSeen: realSeen{key, version.Val()}, Asked: asked, From: from}})
	time.Sleep(2 * time.Millisecond) // a load takes its time
	return version.Val(), nil
}

func (c *realChild) delete(ctx context.Context) {
	zipf := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), 0)), 1.1, 1, uint64(c.Keys-1))
	for c.pause(5*time.Millisecond, 25*time.Millisecond) {
		i := int(zipf.Uint64())
		key := realKey(i - i%realDeleted)
		d := &realDelete{Key: key, From: realTime()}
		if err := c.loader.Delete(ctx, key); err != nil {
			d.Err = err.Error()
		}
		d.To = realTime()
		c.say(realEvent{Delete: d})
	}
}

// look tells what has changed in the process's view of the fleet.
func (c *realChild) look() {
	var last realView
	for told := false; c.pause(20*time.Millisecond, 21*time.Millisecond); told = true {
		now, before := c.fleet.Topology()
		view := realView{Epoch: now.Epoch, Settled: before == nil}
		for _, h := range c.fleet.Health() {
			if h.Out {
				view.Out = append(view.Out, h.Shard.ID)
			}
		}
		if same := view.Epoch == last.Epoch && view.Settled == last.Settled && slices.Equal(view.Out, last.Out); !told || !same {
			c.say(realEvent{View: &view})
		}
		last = view
	}
}

func (c *realChild) metronome() {
	redistest.Metronome(c.over, func(late time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.report.Stalled = max(c.report.Stalled, late)
	})
}

// pause waits for a time between two bounds; false if it is told to stop.
func (c *realChild) pause(least, most time.Duration) bool {
	return redistest.Pause(c.over, least, most)
}

// migrate puts the new topology into force, or goes on with that, and then migrates as
// often as it is told to.
func (c *realChild) migrate(t *testing.T) {
	change, err := c.fleet.Apply(t.Context(), c.To)
	must(t, err)
	c.say(realEvent{Applied: true})
	stored, err := redisfleet.NewCheckpoints(c.hub, redisfleet.Options{})
	must(t, err)
	for order := range c.orders {
		if order != "migrate" {
			continue
		}
		r, err := fleet.Migrate(t.Context(), c.fleet, fleet.MigrateOptions{
			Checkpoints: &realCheckpoints{Checkpoints: stored, c: c}, Batch: 64, Workers: 2,
		})
		m := &realMigration{Sum: r.ShardReport, Shards: r.Shards, Lazy: len(r.NotScannable), Swept: r.Swept, Ended: r.Ended}
		c.mu.Lock()
		m.Cursors, c.cursors = c.cursors, map[string]string{}
		c.mu.Unlock()
		if failed := (*fleet.ShardErrors)(nil); errors.As(err, &failed) {
			for id := range failed.Errors {
				m.Failed = append(m.Failed, id)
			}
		}
		if err != nil {
			m.Err = err.Error()
		} else {
			<-change.Done()
			m.Done = change.Err() == nil
		}
		c.say(realEvent{Migrated: m})
	}
}

// realCheckpoints tell of themselves, and hold a migration up.
type realCheckpoints struct {
	fleet.Checkpoints
	c     *realChild
	saves int
}

func (s *realCheckpoints) Load(ctx context.Context) (fleet.Checkpoint, error) {
	at, err := s.Checkpoints.Load(ctx)
	if err == nil {
		s.c.say(realEvent{Began: &at})
	}
	return at, err
}

// Save is called by one at a time.
func (s *realCheckpoints) Save(ctx context.Context, at fleet.Checkpoint) error {
	if err := s.Checkpoints.Save(ctx, at); err != nil {
		return err
	}
	s.saves++
	s.c.say(realEvent{Saved: &at})
	if slices.Contains(s.c.Gates, s.saves) {
		s.c.say(realEvent{Gate: true})
		<-s.c.orders
	}
	return nil
}
