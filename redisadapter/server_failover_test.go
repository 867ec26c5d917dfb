package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/corralcache/corral/internal/redistest"
)

// The master dies while a fleet is at work. Until the sentinel has made the
// replica the master, callers are served from the source; then all is as it
// was, and nobody does anything for it.
func TestServer_SentinelFailover(t *testing.T) {
	t.Parallel()
	servers := redistest.NewSentinel(t)
	f := sharersOf(t, servers, sharersOptions{})
	f.shares("before")
	load := f.hold(0, "held")
	waiting := f.ask(1, "held")
	master, replica := servers.Nodes[0], servers.Nodes[1]
	master.Kill()
	close(load.letGo)
	for what, c := range map[string]<-chan callerReply{"the holder": load.over, "the waiter": waiting} {
		if r := soon(t, what, c); r.err != nil {
			t.Errorf("%s got %v", what, r.err)
		}
	}
	f.serves(3)
	f.recovers("before", "held")
	wantRole(t, replica, "master")
	aWatchWakes(t, servers)

	master.Restart() // empty, and for some seconds it takes itself for the master
	must(t, f.hits(t.Context(), "before"))
	f.recovers("held")
}

// wantRole waits until the server says that it is one.
func wantRole(t *testing.T, s *redistest.Server, role string) {
	t.Helper()
	must(t, redistest.Until(t.Context(), func(context.Context) error {
		if info := s.Do("INFO", "replication").(string); !strings.Contains(info, "role:"+role+"\r\n") {
			return errors.New(info)
		}
		return nil
	}))
}

// One node of several is stopped: the keys of the others are as they were, its
// own are served from the source, until it goes on.
func TestServer_OneNodeOfMany(t *testing.T) {
	for _, kind := range []string{"Cluster", "Ring"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			servers := redistest.Deployments[kind](t)
			f := sharersOf(t, servers, sharersOptions{})
			node := servers.Nodes[1]
			own, others := sortedOut(t, f, node)
			node.Pause()
			for _, key := range append(own, others...) {
				f.round(key, 5)
			}
			node.Resume()
			f.recovers(append(own, others...)...)
		})
	}
}

// sortedOut shares keys until there are some that node holds, and some that
// others do, and returns both.
func sortedOut(t *testing.T, f *sharers, node *redistest.Server) (own, others []string) {
	t.Helper()
	for i := 0; i < 100 && (len(own) < 2 || len(others) < 2); i++ {
		key := fmt.Sprint("key ", i)
		f.shares(key)
		if size := int(node.Do("DBSIZE").(int64)); size > len(own) {
			own = append(own, key)
		} else {
			others = append(others, key)
		}
	}
	return own, others
}
