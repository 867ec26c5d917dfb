// Package redistest gives tests their Redis: miniredis inside a testing/synctest
// bubble, a server that says what a test wants it to say, and a real one.
package redistest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// Tells has m answer INFO of its run and its data, as a server does, and returns what
// makes another run of it, with all that it holds.
func Tells(t testing.TB, m *miniredis.Miniredis) (again func()) {
	t.Helper()
	conn, err := m.Dial() // which starts it
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	var run atomic.Int64
	m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
		if !strings.EqualFold(cmd, "INFO") {
			return false
		}
		p.WriteBulk(fmt.Sprintf("role:master\r\nrun_id:%040x\r\nmaster_replid2:%040d\r\n", run.Load(), 0))
		return true
	})
	return func() { run.Add(1) }
}

// Dialer is a connection to something, whatever address is asked for.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Mini returns a server that needs no network and goes by the bubble's clock.
func Mini(t testing.TB) *miniredis.Miniredis {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	t.Cleanup(m.Close)
	return m
}

// Client returns a client of what dial reaches, closed at the end of the test.
// It tries each command once.
func Client(t testing.TB, dial Dialer) *redis.Client {
	t.Helper()
	return ClientWith(t, &redis.Options{Dialer: dial, MaxRetries: -1})
}

// ClientWith is Client with options of the test's.
func ClientWith(t testing.TB, opts *redis.Options) *redis.Client {
	t.Helper()
	forgetTimers()
	if opts.Addr == "" {
		opts.Addr = "127.0.0.1:6379" // never dialled; newer clients resolve the default, a name
	}
	opts.DisableIdentity = true // one command less to answer; the name is go-redis's
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// forgetTimers empties go-redis's pool of timers, all that calls which waited for
// a connection left: a timer of one bubble is a fatal error in the next. A
// sync.Pool forgets what two collections found in it.
func forgetTimers() {
	runtime.GC()
	runtime.GC()
}

// Wire is the network between a client and a server, good or bad.
type Wire struct {
	// Dials counts the connections that were made.
	Dials atomic.Int64

	server *miniredis.Miniredis
	delay  atomic.Int64
	dead   atomic.Bool
	down   atomic.Bool
}

// NewWire returns a network on which nothing goes wrong yet.
func NewWire(server *miniredis.Miniredis) *Wire { return &Wire{server: server} }

// Delay makes every command take d longer from now on.
func (w *Wire) Delay(d time.Duration) { w.delay.Store(int64(d)) }

// Swallow makes commands disappear from now on, as with a host that is gone; or
// no longer.
func (w *Wire) Swallow(yes bool) { w.dead.Store(yes) }

// TakeDown ends all connections, and refuses new ones.
func (w *Wire) TakeDown() {
	w.down.Store(true)
	w.server.Close()
}

// Dial connects to the server.
func (w *Wire) Dial(context.Context, string, string) (net.Conn, error) {
	w.Dials.Add(1)
	if w.down.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	conn, err := w.server.Dial()
	if err != nil {
		return nil, err
	}
	return &wired{Conn: conn, wire: w}, nil
}

// wired is a connection through a [Wire]. What is written to it is on its way, as
// in a network: the pipe itself has no room, and a client that writes a long
// pipeline would wait for a server that waits to be read. Nothing runs for one that
// is idle, so that a client may leave one behind at the end of a bubble.
type wired struct {
	net.Conn
	wire  *Wire
	asked atomic.Bool // nothing was read since the last write

	mu      sync.Mutex
	sent    []byte // guarded by mu, as is what follows
	sending bool
	err     error
}

// Write delays the first part of what is written at once.
func (c *wired) Write(b []byte) (int, error) {
	if !c.asked.Swap(true) {
		time.Sleep(time.Duration(c.wire.delay.Load()))
	}
	if c.wire.dead.Load() {
		return len(b), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.sent = append(c.sent, b...)
	if !c.sending {
		c.sending = true
		go c.send()
	}
	return len(b), nil
}

func (c *wired) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.asked.Store(false)
	return n, err
}

// send carries what was written to the server.
func (c *wired) send() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.sent) > 0 && c.err == nil {
		b := c.sent
		c.sent = nil
		c.mu.Unlock()
		_, err := c.Conn.Write(b)
		c.mu.Lock()
		c.err = err
	}
	c.sending = false
}
