package redisadapter_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
)

// H1: later versions of go-redis than the one of go.mod subscribe anew, on another
// connection, when a server says that it will move, and tell nobody. All there is
// to see is that the server confirms the subscription once more.
func TestListenEndsWhereTheClientSubscribedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		must(t, client.Ping(t.Context()).Err()) // there is a server from the first connection on
		ctx, cancel := context.WithCancel(t.Context())
		defer func() {
			cancel()
			time.Sleep(2 * time.Second)
		}()
		var peer atomic.Pointer[server.Peer]
		var once sync.Once
		m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
			if cmd == "SUBSCRIBE" {
				once.Do(func() { peer.Store(p) })
			}
			return false
		})
		e := listenTo(ctx, users(client))
		e.heard(t, "")
		peer.Load().Block(func(w *server.Writer) {
			w.WritePushLen(3)
			w.WriteBulk("subscribe")
			w.WriteBulk("users:writes")
			w.WriteInt(1)
			w.Flush()
		})
		synctest.Wait()
		if err := e.ended(t); err == nil {
			t.Error("Listen goes on, or returned nil")
		}
	})
}
