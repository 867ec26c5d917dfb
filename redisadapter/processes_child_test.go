//go:build linux

package redisadapter_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// childEnv holds, in a process that a test has started, what it shall do.
const childEnv = "CORRAL_PROCESS"

// childPlan is what a process does until it is told to stop.
type childPlan struct {
	Addr     string
	Callers  int
	TTL      time.Duration
	StaleFor time.Duration
	Load     time.Duration // how long a load takes
	Lease    time.Duration
	Deletes  bool
	Traps    []int64 // versions whose load waits to be told to go on
}

// childEvent is a line that a process writes: what has just happened, or with
// Report all that it has counted.
type childEvent struct {
	Ready  bool        `json:",omitempty"`
	Load   *loadEvent  `json:",omitempty"`
	Trap   bool        `json:",omitempty"`
	Fill   *fillEvent  `json:",omitempty"`
	Delete *span       `json:",omitempty"`
	Report *childCount `json:",omitempty"`
}

// childCount is what a process has counted when it stops.
type childCount struct {
	Stats      corral.Stats
	Sights     []sight
	Calls      int
	Errors     []string // the first ones
	LongestNs  int64    // of all calls
	StalledNs  int64    // by how much a timer was late at the most
	LastFrom   int64    // when the last call began
	WaitedFrom int64    // when the last call began that waited for a load
}

// monotonic returns CLOCK_MONOTONIC, which all processes of a machine share.
// Package time has it too, and shows only differences.
func monotonic() int64 {
	var at syscall.Timespec
	const clockMonotonic = 1
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&at)), 0); errno != 0 {
		panic(errno)
	}
	return at.Nano()
}

// child is a process of a fleet.
type child struct {
	plan   childPlan
	source *redis.Client
	cache  *redisadapter.Cache[string, int64]
	loader *corral.Loader[string, int64]
	start  chan struct{}
	resume chan struct{}
	stop   chan struct{}

	mu     sync.Mutex
	out    *json.Encoder    // guarded by mu, as all below
	sights map[int64]*sight // by version
	count  childCount
}

// TestProcesses_Child is what the processes run that the other tests start. By
// itself it does nothing.
func TestProcesses_Child(t *testing.T) {
	plan := os.Getenv(childEnv)
	if plan == "" {
		return
	}
	c := &child{
		start: make(chan struct{}), resume: make(chan struct{}), stop: make(chan struct{}),
		out: json.NewEncoder(os.NewFile(3, "events")), sights: map[int64]*sight{},
	}
	must(t, json.Unmarshal([]byte(plan), &c.plan))
	c.source = redis.NewClient(&redis.Options{Addr: c.plan.Addr})
	client := redis.NewClient(&redis.Options{Addr: c.plan.Addr})
	c.cache = redisadapter.New(client, redisadapter.Options[string, int64]{Prefix: "fleet", Lease: c.plan.Lease})
	var err error
	c.loader, err = corral.New(watched{c.cache, c}, corral.Options{
		TTL: c.plan.TTL, StaleFor: c.plan.StaleFor, CacheTimeout: 5 * time.Second,
	})
	must(t, err)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		c.obey()
	}()
	must(t, client.Ping(t.Context()).Err())
	c.say(childEvent{Ready: true})
	<-c.start
	c.work(t.Context())
	must(t, c.loader.Close(t.Context()))
	c.report()
	<-heard
	must(t, client.Close())
	must(t, c.source.Close())
}

// obey does what the lines on the standard input say. Its end, as when the parent
// died, ends everything.
func (c *child) obey() {
	orders := map[string]chan struct{}{"start": c.start, "stop": c.stop, "resume": c.resume}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if order := orders[lines.Text()]; order != nil {
			close(order)
			delete(orders, lines.Text())
		}
	}
	for _, order := range orders {
		close(order)
	}
}

func (c *child) say(e childEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(e); err != nil {
		panic(err)
	}
}

// work makes calls until it is told to stop.
func (c *child) work(ctx context.Context) {
	var wg sync.WaitGroup
	for range c.plan.Callers {
		wg.Go(func() {
			for c.pause(40*time.Millisecond, 120*time.Millisecond) {
				c.call(ctx)
			}
		})
	}
	wg.Go(c.metronome)
	if c.plan.Deletes {
		wg.Go(func() {
			for c.pause(100*time.Millisecond, 700*time.Millisecond) {
				c.delete(ctx)
			}
		})
	}
	wg.Wait()
}

func (c *child) metronome() {
	redistest.Metronome(c.stop, func(late time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count.StalledNs = max(c.count.StalledNs, int64(late))
	})
}

// pause waits for a time between two bounds; false if it is told to stop.
func (c *child) pause(least, most time.Duration) bool { return redistest.Pause(c.stop, least, most) }

func (c *child) call(ctx context.Context) {
	from := monotonic()
	r, err := c.loader.Lookup(ctx, "hot", c.load)
	to := monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.count
	n.Calls++
	n.LongestNs = max(n.LongestNs, to-from)
	n.LastFrom = max(n.LastFrom, from)
	if r.Source == corral.SourceLoaded || r.Source == corral.SourceShared {
		n.WaitedFrom = max(n.WaitedFrom, from)
	}
	if err != nil {
		c.failedLocked("call", err)
		return
	}
	s := c.sightLocked(r.Value)
	s.CallFirstTo = earlier(s.CallFirstTo, to)
	s.CallLastFrom = max(s.CallLastFrom, from)
}

// earlier is the earlier of two times, of which a may be zero for none.
func earlier(a, b int64) int64 {
	if a == 0 {
		return b
	}
	return min(a, b)
}

func (c *child) failedLocked(what string, err error) {
	if len(c.count.Errors) < 10 {
		c.count.Errors = append(c.count.Errors, fmt.Sprintf("%s: %v", what, err))
	}
}

func (c *child) sightLocked(version int64) *sight {
	s := c.sights[version]
	if s == nil {
		s = &sight{Process: os.Getpid(), Version: version}
		c.sights[version] = s
	}
	return s
}

func (c *child) delete(ctx context.Context) {
	from := monotonic()
	err := c.loader.Delete(ctx, "hot")
	to := monotonic()
	if err == nil {
		c.say(childEvent{Delete: &span{from, to}})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failedLocked("delete", err)
}

// load asks the source, which is a counter: the version says how new a value is.
func (c *child) load(ctx context.Context, _ string) (int64, error) {
	from := monotonic()
	version, err := c.source.Incr(ctx, "source").Result()
	if err != nil {
		return 0, err
	}
	c.say(childEvent{Load: &loadEvent{os.Getpid(), version, from}})
	time.Sleep(c.plan.Load)
	for _, trap := range c.plan.Traps {
		if version == trap {
			c.say(childEvent{Trap: true})
			<-c.resume
		}
	}
	c.open(version)
	return version, nil
}

// open notes that a flight which has a version is open.
func (c *child) open(version int64) {
	at := monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sightLocked(version).OpenAt = at
}

func (c *child) report() {
	c.mu.Lock()
	c.count.Stats = c.loader.Stats()
	for _, s := range c.sights {
		c.count.Sights = append(c.count.Sights, *s)
	}
	c.mu.Unlock()
	c.say(childEvent{Report: &c.count})
}

// watched is the cache, with notes taken.
type watched struct {
	*redisadapter.Cache[string, int64]
	c *child
}

func (w watched) saw(e *corral.Entry[int64], from int64) {
	if e == nil {
		return
	}
	to := monotonic()
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	s := w.c.sightLocked(e.Value)
	s.FirstTo = earlier(s.FirstTo, to)
	s.LastFrom = max(s.LastFrom, from)
	s.LastTo = max(s.LastTo, to)
	if !e.LoadedAt.IsZero() {
		s.Until = earlier(s.Until, monotonic()+int64(e.TTL-time.Since(e.LoadedAt)))
	}
}

func (w watched) Get(ctx context.Context, key string) (*corral.Entry[int64], error) {
	from := monotonic()
	e, err := w.Cache.Get(ctx, key)
	w.saw(e, from)
	return e, err
}

func (w watched) Acquire(ctx context.Context, key string, r corral.LeaseRequest[int64]) (corral.Lease[int64], error) {
	from := monotonic()
	l, err := w.Cache.Acquire(ctx, key, r)
	w.saw(l.Entry, from)
	if r.Seen != nil {
		w.c.open(r.Seen.Value)
	}
	return l, err
}

func (w watched) Fill(ctx context.Context, key, token string, e *corral.Entry[int64]) error {
	from := monotonic()
	until := from + int64(e.TTL-time.Since(e.LoadedAt))
	err := w.Cache.Fill(ctx, key, token, e)
	if err == nil {
		w.c.say(childEvent{Fill: &fillEvent{span{from, monotonic()}, os.Getpid(), e.Value, until}})
	}
	w.c.open(e.Value)
	return err
}
