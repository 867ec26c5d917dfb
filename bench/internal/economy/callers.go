package economy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral/bench/internal/contender"
)

// Outcome is what a scenario cost.
type Outcome struct {
	Loads    int
	Least    int // loads that could not be saved; zero: not to be said
	Peak     int // loads in the busiest 100 ms
	Calls    int
	Errors   int
	Stale    int // answers older than the TTL
	Deleted  int // answers from before a Delete that had returned
	Hung     int // callers that were not back
	Slowest  time.Duration
	P999     time.Duration // the wait that one call in a thousand exceeds
	Died     string        // what became of the process, if it did not live
	Impaired string        // what the scenario could not ask of the contender
}

// crowd collects what callers saw.
type crowd struct {
	service contender.Service
	ttl     time.Duration

	mu     sync.Mutex
	waits  []time.Duration // guarded by mu, as is all below
	begun  int
	errors int
	stale  int
	gone   int
}

// get makes one call. A panic that reaches the caller is an error.
func (c *crowd) get(ctx context.Context, key string, oldest int64) {
	c.mu.Lock()
	c.begun++
	c.mu.Unlock()
	begin := time.Now()
	text, err := c.guarded(ctx, key)
	wait := time.Since(begin)
	a, bad := answer{}, err
	if err == nil {
		a, bad = parse(text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits = append(c.waits, wait)
	switch {
	case bad != nil:
		c.errors++
	case a.version < oldest:
		c.gone++
	case begin.Sub(a.at) > c.ttl:
		c.stale++
	}
}

func (c *crowd) guarded(ctx context.Context, key string) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.service.Get(ctx, key)
}

// loop calls until a moment, with a pause between two calls.
func (c *crowd) loop(until time.Time, pause time.Duration, key func(i int) string) {
	for i := 0; time.Now().Before(until); i++ {
		c.get(context.Background(), key(i), 0)
		time.Sleep(pause)
	}
}

// outcome sums up, callers that are not back included.
func (c *crowd) outcome(s *source, since time.Time, least int) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := Outcome{
		Least: least, Calls: c.begun, Errors: c.errors, Stale: c.stale, Deleted: c.gone,
		Hung: c.begun - len(c.waits),
	}
	o.Loads, o.Peak = s.loads(since)
	if len(c.waits) > 0 {
		slices.Sort(c.waits)
		o.Slowest = c.waits[len(c.waits)-1]
		o.P999 = c.waits[min(len(c.waits)-1, len(c.waits)*999/1000)]
	}
	return o
}

// within waits for the callers, but not longer than limit.
func within(wg *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
}
