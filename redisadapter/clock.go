package redisadapter

import (
	"errors"
	"sync"
	"time"

	"github.com/corralcache/corral/adapters/bytestore"
)

const (
	// A sample is renewed by the first write after renewOnWrite, or, by those who
	// only read, the first read after renewOnRead. Clocks drift apart by some
	// 3 ms a minute; a server may be replaced by one with another clock.
	renewOnWrite = time.Minute
	renewOnRead  = 10 * time.Minute

	// A sample less exact than sloppy is renewed soon, if there are writes: the
	// first command of a process may wait for a connection, and its sample is as
	// vague as that. Soon is also when to ask again after a failure.
	sloppy = 10 * time.Millisecond
	soon   = time.Second

	// drift is by how much a sample's error grows with its age: 1 in 10,000.
	drift = 10_000

	// leap is by how much the wall clock may run away from the monotonic one
	// before a sample is renewed. A machine that was suspended wakes with a
	// monotonic clock that stood still, and would take old entries for fresh ones.
	leap = time.Second

	// resolution is how exact the server tells the time.
	resolution = time.Microsecond
)

// sample is what one question for the time taught.
type sample struct {
	offset int64         // nanoseconds from this process's clock to the server's
	err    time.Duration // how wrong offset may be
	at     time.Duration // when it was learnt, on this process's clock
}

// take returns what is known after next, given s. A sample that agrees with s
// changes nothing, so that ages do not jitter; one that is as exact as s has
// become, or that s cannot be true beside, replaces it.
func (s sample) take(next sample) sample {
	grown := s.err + (next.at-s.at)/drift
	apart := time.Duration(max(s.offset-next.offset, next.offset-s.offset))
	if apart > next.err && (next.err <= grown || apart > grown+next.err) {
		return next
	}
	return sample{offset: s.offset, err: grown, at: next.at}
}

// clock counts the server's time with this process's monotonic clock.
type clock struct {
	base time.Time // carries the monotonic clock

	mu      sync.Mutex
	known   bool          // guarded by mu, as all below
	best    sample        // if known
	ahead   time.Duration // by how much the wall clock had gained when best was learnt
	resting time.Duration // nobody asks until then
}

func newClock() *clock { return &clock{base: time.Now()} }

// now returns this moment on both clocks.
func (c *clock) now() bytestore.Instant {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known {
		return bytestore.Instant{Local: now}
	}
	return bytestore.Instant{Local: now, Store: int64(now.Sub(c.base)) + c.best.offset}
}

// due reports whether the next command, a write or a read, should ask for the
// time. While nothing is known every command asks, lest those that do not take
// what they read for stale. Later one is enough, and after a failure none does
// for a while.
func (c *clock) due(write bool) bool {
	now := time.Now()
	return c.dueAt(now.Sub(c.base), c.gained(now), write)
}

// gained returns how much further than the monotonic clock the wall clock went
// since base.
func (c *clock) gained(now time.Time) time.Duration {
	return now.Round(0).Sub(c.base.Round(0)) - now.Sub(c.base)
}

func (c *clock) dueAt(since, ahead time.Duration, write bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	good := since-c.best.at < c.goodLocked(write) && (ahead-c.ahead).Abs() < leap
	if since < c.resting || c.known && good {
		return false
	}
	if c.known {
		c.resting = since + soon
	}
	return true
}

// goodLocked returns for how long the sample is good.
func (c *clock) goodLocked(write bool) time.Duration {
	switch {
	case !write:
		return renewOnRead
	case c.best.err > sloppy:
		return soon
	default:
		return renewOnWrite
	}
}

// errTime is a time that cannot be one: nanoseconds end in 2262.
var errTime = errors.New("the server tells no time between 1970 and 2200")

// learn takes note that the server's clock said at between two moments.
func (c *clock) learn(sent, got, at time.Time) error {
	if at.Unix() <= 0 || at.Year() > 2200 {
		c.failed(got)
		return errTime
	}
	took := got.Sub(sent)
	since := got.Sub(c.base)
	next := sample{
		offset: at.UnixNano() - int64(since-took/2),
		err:    took/2 + resolution,
		at:     since,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		next = c.best.take(next)
	}
	c.best, c.ahead, c.known = next, c.gained(got), true
	return nil
}

// failed takes note that the server did not tell the time.
func (c *clock) failed(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resting = now.Sub(c.base) + soon
}
