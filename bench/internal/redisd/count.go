package redisd

import (
	"context"
	"net"
	"sync/atomic"
)

// Wire counts what a client writes: each write of a client that flushes when it
// waits for replies is the beginning of a round trip.
type Wire struct{ writes atomic.Int64 }

// Dial connects with a connection that is counted.
func (w *Wire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &counted{c, w}, nil
}

// Writes is how many there were.
func (w *Wire) Writes() int64 { return w.writes.Load() }

type counted struct {
	net.Conn
	wire *Wire
}

func (c *counted) Write(b []byte) (int, error) {
	c.wire.writes.Add(1)
	return c.Conn.Write(b)
}
