package redistest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Link is the network between a client and real servers, good or bad. The zero
// value is good.
type Link struct {
	// Dials counts the connections that were made, Open those that are not yet
	// closed.
	Dials, Open atomic.Int64

	slow atomic.Int64
	mu   sync.Mutex
	cuts []cut // guarded by mu
}

// cut is what is to happen to the reply to one command.
type cut struct {
	command []byte
	after   int
	err     error
}

// Slow makes each reply arrive d later from now on.
func (l *Link) Slow(d time.Duration) { l.slow.Store(int64(d)) }

// Cut ends the connection that carries the next command in which text occurs, in
// the middle of the reply: the server did what it was told, the client reads the
// first bytes of the reply and then err, such as [io.EOF] or
// [syscall.ECONNRESET]. Each Cut is good for one command.
func (l *Link) Cut(text string, after int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts = append(l.cuts, cut{bytes.ToLower([]byte(text)), after, err})
}

// Cuts returns how many cuts have not come about yet.
func (l *Link) Cuts() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.cuts)
}

// take returns the cut that command brings about, if any.
func (l *Link) take(command []byte) *cut {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.cuts {
		if bytes.Contains(bytes.ToLower(command), c.command) {
			l.cuts = append(l.cuts[:i:i], l.cuts[i+1:]...)
			return &c
		}
	}
	return nil
}

// Dial connects to addr.
func (l *Link) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.Dials.Add(1)
	l.Open.Add(1)
	return &linked{TCPConn: conn.(*net.TCPConn), link: l, closed: make(chan struct{})}, nil
}

// linked is a connection over a [Link]. Clients read and write on one goroutine
// at a time each.
type linked struct {
	*net.TCPConn // all of it: clients look at the socket before they use it again
	link         *Link
	cut          atomic.Pointer[cut]
	deadline     atomic.Int64 // of reading, in Unix nanoseconds; 0 is none
	once         sync.Once
	closed       chan struct{}
}

func (c *linked) Write(b []byte) (int, error) {
	if cut := c.link.take(b); cut != nil {
		c.cut.Store(cut)
	}
	return c.TCPConn.Write(b)
}

func (c *linked) Read(b []byte) (int, error) {
	c.late()
	n, err := c.TCPConn.Read(b)
	cut := c.cut.Load()
	if cut == nil || err != nil {
		return n, err
	}
	if n < cut.after {
		cut.after -= n
		return n, nil
	}
	if cut.err == error(syscall.ECONNRESET) {
		_ = c.SetLinger(0) // the server sees a reset too
	}
	_ = c.Close()
	return cut.after, cut.err
}

// late waits for the time that replies take, but not much past the deadline: then
// the read that follows fails, as it does when nothing has come.
func (c *linked) late() {
	wait := time.Duration(c.link.slow.Load())
	if at := c.deadline.Load(); at != 0 {
		wait = min(wait, time.Until(time.Unix(0, at))+5*time.Millisecond)
	}
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closed:
	}
}

func (c *linked) SetReadDeadline(at time.Time) error {
	c.note(at)
	return c.TCPConn.SetReadDeadline(at)
}

func (c *linked) SetDeadline(at time.Time) error {
	c.note(at)
	return c.TCPConn.SetDeadline(at)
}

func (c *linked) note(at time.Time) {
	if at.IsZero() {
		c.deadline.Store(0)
	} else {
		c.deadline.Store(at.UnixNano())
	}
}

func (c *linked) Close() error {
	c.once.Do(func() {
		c.link.Open.Add(-1)
		close(c.closed)
	})
	return c.TCPConn.Close()
}
