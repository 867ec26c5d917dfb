package stampede

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// Row is the value that the set-ups cache.
type Row struct {
	Version int64
	Loaded  time.Duration // when its load returned, since the start of the turn
}

var errDisconnected = errors.New("the connection to the source is lost")

// client is the service's side of a connection to the source. One load is one
// line on the wire: nothing is retried, so that loads and queries can be
// compared one to one.
type client struct {
	requests *lineWriter
	start    time.Time
	unsent   atomic.Int64 // loads whose line could not be written
	ended    chan struct{}

	// mu guards the fields below.
	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan reply // buffered, for callers who have left
}

type reply struct {
	version int64
	err     error
}

// newClient speaks the source's protocol over conn, whose owner closes it.
func newClient(conn io.ReadWriter) *client {
	c := &client{
		requests: &lineWriter{w: conn}, start: time.Now(),
		ended: make(chan struct{}), waiting: map[uint64]chan reply{},
	}
	go c.read(conn)
	return c
}

// begin starts the clocks of both ends.
func (c *client) begin() error {
	c.start = time.Now()
	return c.requests.printf("start\n")
}

func (c *client) now() time.Duration { return time.Since(c.start) }

// load is the load function of every set-up.
func (c *client) load(ctx context.Context, key string) (Row, error) {
	answer, err := c.ask("get", key)
	if err != nil {
		c.unsent.Add(1)
		return Row{}, err
	}
	select {
	case r := <-answer:
		return Row{Version: r.version, Loaded: c.now()}, r.err
	case <-ctx.Done():
		return Row{}, context.Cause(ctx)
	case <-c.ended:
		return Row{}, errDisconnected
	}
}

// bump changes a row and returns its new version.
func (c *client) bump(key string) (int64, error) {
	answer, err := c.ask("bump", key)
	if err != nil {
		return 0, err
	}
	select {
	case r := <-answer:
		return r.version, r.err
	case <-c.ended:
		return 0, errDisconnected
	}
}

func (c *client) mood(mood report.Mood, cost time.Duration) error {
	return c.requests.printf("mood %s %s\n", mood, cost)
}

func (c *client) ask(verb, key string) (<-chan reply, error) {
	answer := make(chan reply, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.waiting[id] = answer
	c.mu.Unlock()
	return answer, c.requests.printf("%s %d %s\n", verb, id, key)
}

// read hands replies to those who wait, until the connection ends.
func (c *client) read(conn io.Reader) {
	defer close(c.ended)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		id, r := parseReply(lines.Text())
		c.mu.Lock()
		answer := c.waiting[id]
		delete(c.waiting, id)
		c.mu.Unlock()
		if answer != nil {
			answer <- r
		}
	}
}

func parseReply(line string) (id uint64, r reply) {
	number, rest, _ := strings.Cut(line, " ")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, reply{}
	}
	if version, ok := strings.CutPrefix(rest, "ok "); ok {
		r.version, r.err = strconv.ParseInt(version, 10, 64)
		return id, r
	}
	return id, reply{err: fmt.Errorf("source: %s", strings.TrimPrefix(rest, "err "))}
}
