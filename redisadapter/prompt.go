package redisadapter

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// prompt lets a GET that only a deadline ends run on its caller's goroutine. That
// saves the hand-over to another one and back, which took 15 of 37 µs at 2 CPUs:
// the processor that wakes up for it is the server's.
//
// What ends the GET then is the client's own waits. They get the length of the
// first deadline that was asked for: a Loader's are all CacheTimeout away. Such a
// wait ends with its connection, as it would after the client's ReadTimeout. Only
// while all goes well: after an error a goroutine watches, until a GET has worked
// again. A server that is gone is not dialled on a caller's goroutine.
type prompt struct {
	client *redis.Client // nil if there is not one server
	well   atomic.Bool   // the last GET was answered
	bound  atomic.Pointer[bound]
	vain   atomic.Bool // there is none
}

// shortestBound is the shortest length that a client's waits are given. Below it
// timers and schedulers are too inexact for connections to hang on them.
const shortestBound = 20 * time.Millisecond

// timed is a context that nothing but its deadline ends; see
// [flight.CallContext.Timed].
type timed interface {
	context.Context
	Timed() (left time.Duration, ok bool)
}

// within returns what to send a GET with that shall end when ctx does, and the
// context to do so; false if it takes a goroutine that watches.
func (p *prompt) within(ctx context.Context, t timer) (context.Context, timer, bool) {
	c, ok := ctx.(timed)
	if !ok || p.client == nil || !p.well.Load() || p.vain.Load() {
		return nil, t, false
	}
	left, ok := c.Timed()
	if !ok || left < shortestBound {
		return nil, t, false
	}
	b := p.bound.Load()
	if b == nil {
		if b = newBound(p.client, left); b == nil {
			p.vain.Store(true)
			return nil, t, false
		}
		p.bound.CompareAndSwap(nil, b)
		b = p.bound.Load()
	}
	if left > b.length || left < b.length-b.length/slack {
		return nil, t, false
	}
	t.client = b.client
	return inTime{c, b.context()}, t, true
}

// note takes note of how a GET went.
func (p *prompt) note(answered bool) {
	if p.well.Load() != answered {
		p.well.Store(answered)
	}
}

// bound is a length of time and what keeps calls within about that.
type bound struct {
	length time.Duration
	client *redis.Client // waits no longer for a write, and no longer for a read

	mu   sync.Mutex
	end  context.Context // of calls that begin before next; guarded by mu
	cut  context.CancelFunc
	next time.Time // guarded by mu
}

// slack is by which part of its length a bound may be off. Calls that begin within
// it share one context, so one timer: to make a context took 1.2 µs.
const slack = 8

// newBound returns a bound for what is left of a deadline, a little of which has
// gone; nil if the client's waits are longer and cannot be shortened.
func newBound(client *redis.Client, left time.Duration) *bound {
	b := &bound{length: left + left/(2*slack), client: client}
	if opts := client.Options(); !within(opts.ReadTimeout, b.length) || !within(opts.WriteTimeout, b.length) {
		if !hooksSurvive() {
			return nil
		}
		b.client = client.WithTimeout(b.length)
	}
	return b
}

// hooksSurvive reports whether a client made by WithTimeout has the hooks of the one
// that it was made of. In some versions of go-redis, 9.23.0 for one, it has none, and
// reads by it would be missing from its user's traces.
//
// The context has ended: what has no hook would dial, and in such versions that is
// tried for 400 ms.
var hooksSurvive = sync.OnceValue(keepsHooks)

func keepsHooks() bool {
	client := redis.NewClient(&redis.Options{
		Addr:       "127.0.0.1:6379", // never dialled; such versions resolve the default, a name
		MaxRetries: -1,
		Dialer:     func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed },
	})
	defer func() { _ = client.Close() }()
	ended, end := context.WithCancel(context.Background())
	end()
	var h asked
	client.AddHook(&h)
	_ = client.WithTimeout(time.Second).Process(ended, redis.NewCmd(ended, "ping"))
	return bool(h)
}

// asked is a hook that notes that it was asked.
type asked bool

func (*asked) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a *asked) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { *a = true; return nil }
}

func (*asked) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// within reports whether a wait of the client's is bounded, by most.
func within(wait, most time.Duration) bool { return wait > 0 && wait <= most }

// context returns a context that ends when a call is over that begins now.
func (b *bound) context() context.Context {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end == nil || !now.Before(b.next) {
		b.next = now.Add(b.length / slack)
		b.end, b.cut = context.WithDeadline(context.Background(), b.next.Add(b.length))
	}
	return b.end
}

// inTime is a caller's context that ends with another.
type inTime struct {
	context.Context
	end context.Context
}

func (c inTime) Deadline() (time.Time, bool) { return c.end.Deadline() }
func (c inTime) Done() <-chan struct{}       { return c.end.Done() }
func (c inTime) Err() error                  { return c.end.Err() }
