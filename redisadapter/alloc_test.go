//go:build !race

package redisadapter_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
)

// canned is a connection to a server that knows one key and the time, and allocates
// nothing to tell the key's value.
type canned struct {
	net.Conn
	left  []byte
	value []byte // as a reply
}

func (c *canned) Write(b []byte) (int, error) {
	if bytes.Count(b, []byte("*")) == 1 && bytes.HasPrefix(b, []byte("*2\r\n$3\r\nget\r\n")) {
		c.left = c.value
		return len(b), nil
	}
	c.left = nil
	for command := range bytes.SplitSeq(b[1:], []byte("\r\n*")) {
		switch {
		case bytes.Contains(command, []byte("\nget\r\n")):
			c.left = append(c.left, c.value...)
		case bytes.Contains(command, []byte("\ntime\r\n")):
			c.left = fmt.Appendf(c.left, "*2\r\n$10\r\n%d\r\n$1\r\n0\r\n", time.Now().Unix())
		default:
			c.left = append(c.left, "-ERR unknown command\r\n"...)
		}
	}
	return len(b), nil
}

func (c *canned) Read(b []byte) (int, error) {
	n := copy(b, c.left)
	c.left = c.left[n:]
	return n, nil
}

func (*canned) Close() error                     { return nil }
func (*canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*canned) SetDeadline(time.Time) error      { return nil }
func (*canned) SetReadDeadline(time.Time) error  { return nil }
func (*canned) SetWriteDeadline(time.Time) error { return nil }

// What a hit allocates beside what go-redis' own GET does: for a caller that
// nothing can call off, and for any other.
func TestAllocsRedisHit(t *testing.T) {
	m, _, real := mini(t)
	opts := redisadapter.Options[string, []byte]{Prefix: "users"}
	must(t, redisadapter.New(real, opts).Set(t.Context(), "k", fresh([]byte("value"))))
	sealed, err := m.Get("users:{k}")
	must(t, err)
	reply := []byte("$" + strconv.Itoa(len(sealed)) + "\r\n" + sealed + "\r\n")
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", DisableIdentity: true, Protocol: 2,
		Dialer: func(context.Context, string, string) (net.Conn, error) { return &canned{value: reply}, nil },
	})
	defer client.Close()
	ending, cancel := context.WithCancel(t.Context())
	defer cancel()
	l, err := corral.New(redisadapter.New(client, opts), corral.Options{TTL: time.Hour, StaleFor: time.Hour, CacheTimeout: time.Minute})
	must(t, err)
	load := corral.LoadFunc[string, []byte](func(context.Context, string) ([]byte, error) { return nil, context.Canceled })
	raw := testing.AllocsPerRun(500, func() { must(t, client.Get(context.Background(), "users:{k}").Err()) })
	for name, test := range map[string]struct {
		ctx  context.Context
		most float64
	}{"on the caller's goroutine": {context.Background(), 5}, "on another one": {ending, 11}} {
		t.Run(name, func(t *testing.T) {
			call := func() {
				if v, err := l.GetOrLoad(test.ctx, "k", load); err != nil || string(v) != "value" {
					t.Fatalf("GetOrLoad = %q, %v", v, err)
				}
			}
			call()
			if n := testing.AllocsPerRun(500, call) - raw; n != test.most {
				t.Errorf("%v allocations above the %v of a GET, want %v", n, raw, test.most)
			}
		})
	}
}
