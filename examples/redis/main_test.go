package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// The output is the same at every run: the time is the bubble's.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := miniredis.NewMiniRedis()
		server.ClockTTL(true)
		defer server.Close()
		client := redis.NewClient(&redis.Options{
			Dialer: func(context.Context, string, string) (net.Conn, error) { return server.Dial() },
		})
		defer client.Close()

		var out strings.Builder
		if err := run(t.Context(), client, &out); err != nil {
			t.Fatal(err)
		}
		const want = `1000 callers at once, source queries: 1
cold            {user 7}, loaded, in 100ms, error <nil>; Cache-Status: corral; fwd=uri-miss; stored; ttl=2
fresh           {user 7}, hit, in 0s, error <nil>; Cache-Status: corral; hit; ttl=2
another process {user 7}, hit, in 0s, error <nil>; Cache-Status: corral; hit; ttl=2
past its TTL    {user 7}, stale, in 0s, error <nil>; Cache-Status: corral; hit; ttl=0
refreshed       {user 7}, hit, in 0s, error <nil>; Cache-Status: corral; hit; ttl=1
source queries: 3
`
		if out.String() != want {
			t.Errorf("got:\n%s\nwant:\n%s", &out, want)
		}
		if left := server.Keys(); len(left) != 0 {
			t.Errorf("it left %q in Redis", left)
		}
	})
}
