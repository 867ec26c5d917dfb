package redisadapter_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// dialling is a goroutine of go-redis that finds up to a second late that its pool
// was closed: after a test of a node that is gone, if no other one follows.
const dialling = "github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(dialling)) }

type User struct{ Name string }

type (
	cache = redisadapter.Cache[int, User]
	plain = redisadapter.PlainCache[int, User]
)

func users(client redis.UniversalClient) *cache {
	return redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users"})
}

func plainUsers(client redis.UniversalClient) *plain {
	return redisadapter.Plain(client, redisadapter.Options[int, User]{Prefix: "users:"})
}

// mini returns a server, the wire to it and a client on the wire.
func mini(t testing.TB) (*miniredis.Miniredis, *redistest.Wire, *redis.Client) {
	m := redistest.Mini(t)
	wire := redistest.NewWire(m)
	return m, wire, redistest.Client(t, wire.Dial)
}

// spy records the commands that a server gets, without the handshake's.
type spy struct {
	mu  sync.Mutex
	got []string // guarded by mu
}

func spyOn(m *miniredis.Miniredis) *spy {
	s := &spy{}
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, args ...string) bool {
		if cmd = strings.ToUpper(cmd); cmd != "HELLO" && cmd != "CLIENT" {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.got = append(s.got, cmd)
		}
		return false
	})
	return s
}

// take returns the commands since the last take.
func (s *spy) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := strings.Join(s.got, " ")
	s.got = nil
	return got
}

func fresh[V any](v V) *corral.Entry[V] {
	return &corral.Entry[V]{Value: v, LoadedAt: time.Now(), LoadTime: time.Second, TTL: time.Minute, Keep: time.Hour}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func timeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// get returns the entry of key, which must be there.
func get(t testing.TB, c *cache, key int) *corral.Entry[User] {
	t.Helper()
	e, err := c.Get(t.Context(), key)
	if err != nil || e == nil {
		t.Fatalf("Get = %v, %v; want an entry", e, err)
	}
	return e
}
