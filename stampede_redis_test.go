package corral_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// line is a client's way to a Redis that can be broken and repaired.
type line struct {
	*redistest.Wire
	server *miniredis.Miniredis
	fault  atomic.Pointer[fault]
}

// fault is a way in which a Redis fails its clients.
type fault struct {
	name       string
	start, end func(l *line)            // what happens to the line; may be nil
	dial       error                    // what connecting comes to
	reply      func(real []byte) []byte // what the client reads instead; nil changes nothing
	cut        bool                     // and then the connection ends
}

var faults = []fault{
	{name: "unreachable", dial: errors.New("connection refused"), reply: nothing, cut: true},
	{name: "silent", start: func(l *line) { l.Swallow(true) }, end: func(l *line) { l.Swallow(false) }},
	{name: "slow", start: func(l *line) { l.Delay(10 * time.Second) }, end: func(l *line) { l.Delay(0) }},
	{name: "talks garbage", reply: func([]byte) []byte { return []byte(strings.Repeat("\x00!\xff*$\r\n", 20)) }},
	{name: "never ends a line", reply: func([]byte) []byte { return []byte("+OK") }},
	{name: "promises more than it has", reply: func([]byte) []byte { return []byte("$1000000\r\nx") }},
	{name: "dies before a reply", reply: nothing, cut: true},
	{name: "dies in the middle of a reply", reply: func(real []byte) []byte { return real[:len(real)/2] }, cut: true},
	{name: "is out of memory", start: says("OOM command not allowed"), end: says("")},
	{name: "is loading", start: says("LOADING Redis is loading the dataset in memory"), end: says("")},
}

func nothing([]byte) []byte { return nil }

func says(message string) func(l *line) { return func(l *line) { l.server.SetError(message) } }

func (l *line) breakWith(f *fault) {
	l.fault.Store(f)
	if f.start != nil {
		f.start(l)
	}
}

func (l *line) repair() {
	if f := l.fault.Swap(nil); f.end != nil {
		f.end(l)
	}
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if f := l.fault.Load(); f != nil && f.dial != nil {
		return nil, f.dial
	}
	conn, err := l.Dial(ctx, network, addr)
	return &lineConn{conn, l}, err
}

type lineConn struct {
	net.Conn
	line *line
}

func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	f := c.line.fault.Load()
	if err != nil || f == nil {
		return n, err
	}
	if f.reply != nil {
		n = copy(b, f.reply(append([]byte(nil), b[:n]...)))
	}
	if !f.cut {
		return n, nil
	}
	_ = c.Close()
	if n > 0 {
		return n, nil // the next Read finds the connection closed
	}
	return 0, net.ErrClosed
}

// overLine returns a Loader over the Redis at the end of a line.
func overLine(t *testing.T, opts corral.Options) (*corral.Loader[string, int], *line) {
	t.Helper()
	server := redistest.Mini(t)
	l := &line{Wire: redistest.NewWire(server), server: server}
	client := redistest.Client(t, l.dial)
	t.Cleanup(func() { time.Sleep(time.Minute) }) // commands that were left behind end
	return newLoader(t, redisadapter.New(client, redisadapter.Options[string, int]{}), opts), l
}

// However Redis fails, callers of a key share one load and have its value not
// much later than without Redis; once Redis is back, it is used again.
func TestStampede_RedisFails(t *testing.T) {
	for _, f := range faults {
		bubble(t, f.name, func(t *testing.T) {
			l, line := overLine(t, corral.Options{TTL: time.Hour, StaleFor: time.Hour, CacheTimeout: 200 * time.Millisecond})
			src := &source{took: time.Second}
			get(t, l, "k", src.load)
			line.breakWith(&f)
			for round := range int64(10) {
				for i, got := range askAll(t.Context(), 1000, l, "k", src.load) {
					if got.err != nil || got.value != int(round+2) || got.waited < time.Second || got.waited > 1400*time.Millisecond {
						t.Fatalf("round %d: caller %d got %+v, want %d after 1s to 1.4s", round, i, got, round+2)
					}
				}
				src.wantLoads(t, round+2)
				time.Sleep(time.Millisecond) // the flight is over: it served newcomers while it stored
			}
			if err := l.Delete(t.Context(), "k"); err == nil {
				t.Error("Delete says that it deleted")
			}
			line.repair()
			time.Sleep(10 * time.Second) // the cache's rest is over
			if err := l.Delete(t.Context(), "k"); err != nil {
				t.Errorf("Delete after the repair: %v", err)
			}
			wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{12, nil, time.Second})
			wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{12, nil, 0})
		})
	}
}

// With all of Redis gone every key must be loaded. MaxLoads holds the source's
// head above water, and everybody is served in turn.
func TestStampede_RedisFailsForManyKeys(t *testing.T) {
	for _, f := range faults {
		bubble(t, f.name, func(t *testing.T) {
			const keys, atOnce = 200, 8
			l, line := overLine(t, corral.Options{TTL: time.Hour, MaxLoads: atOnce, CacheTimeout: 200 * time.Millisecond})
			line.breakWith(&f)
			defer line.repair()
			src := &source{took: time.Second}
			most := keys/atOnce*1400*time.Millisecond + 200*time.Millisecond
			crowd(20*keys, func(i int) {
				if got := ask(t.Context(), l, fmt.Sprint(i%keys), src.load); got.err != nil || got.waited > most {
					t.Errorf("caller %d got %+v, want a value within %v", i, got, most)
				}
			})
			src.wantLoads(t, keys)
			if peak := src.peak.Load(); peak != atOnce {
				t.Errorf("%d loads at once, want %d", peak, atOnce)
			}
		})
	}
}

// A Redis that is slow, but not too slow, costs each call its round trips and
// nothing else: callers of a key share them.
func TestStampede_RedisIsFarAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, line := overLine(t, corral.Options{TTL: time.Minute})
		src := &source{took: time.Second}
		get(t, l, "warm", src.load)
		line.Delay(50 * time.Millisecond)
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{2, nil, 1150 * time.Millisecond}) // look, lease, load, fill
		before := line.server.CommandCount()
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{2, nil, 50 * time.Millisecond})
		src.wantLoads(t, 2)
		if n := line.server.CommandCount() - before; n > 2 {
			t.Errorf("%d commands for the hits, want one GET, and TIME with it if that is due", n)
		}
	})
}

// Redis is emptied and restarted under a crowd of readers of a hot key. The load
// that found no Redis to give it a lease is served and not stored, as a Delete in
// another process could not have stopped it; the next one is stored.
func TestStampede_RedisRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, line := overLine(t, corral.Options{TTL: time.Hour, CacheTimeout: 200 * time.Millisecond})
		src := &source{took: 100 * time.Millisecond}
		get(t, l, "hot", src.load)
		var longest time.Duration
		go func() {
			time.Sleep(time.Second)
			line.server.FlushAll()
			line.breakWith(&faults[0])
			time.Sleep(time.Nanosecond) // whoever read at this instant has noticed
			line.repair()
		}()
		longest = readers(t, 100, 5*time.Second, l, src.load)
		if n := src.loads.Load(); n != 3 && n != 2 { // a client may repeat what was cut off
			t.Errorf("the source was asked %d times, want 3, or 2", n)
		}
		if longest > 500*time.Millisecond {
			t.Errorf("somebody waited %v", longest)
		}
	})
}
