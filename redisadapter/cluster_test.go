package redisadapter_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// nodes are servers by the address that a client asks for.
type nodes map[string]*redistest.Wire

func (n nodes) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if n[addr] == nil {
		return nil, fmt.Errorf("no node %s", addr)
	}
	return n[addr].Dial(ctx, network, addr)
}

const (
	nodeA = "10.0.0.1:6379"
	nodeB = "10.0.0.2:6379"
)

func twoNodes(t *testing.T) (a, b *miniredis.Miniredis, both nodes) {
	a, b = redistest.Mini(t), redistest.Mini(t)
	return a, b, nodes{nodeA: redistest.NewWire(a), nodeB: redistest.NewWire(b)}
}

// closed closes client at the end of the bubble. A client that was refused a
// connection tries again each second, and sees only then that it was closed.
func closed(t *testing.T, client redis.UniversalClient) redis.UniversalClient {
	t.Cleanup(func() {
		_ = client.Close()
		time.Sleep(2 * time.Second)
	})
	return client
}

func ring(t *testing.T, both nodes) redis.UniversalClient {
	client := redis.NewRing(&redis.RingOptions{
		Addrs: map[string]string{"a": nodeA, "b": nodeB}, Dialer: both.dial, MaxRetries: -1, DisableIdentity: true,
	})
	return closed(t, client)
}

func cluster(t *testing.T, both nodes) redis.UniversalClient {
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{nodeA, nodeB}, Dialer: both.dial, MaxRetries: -1, DisableIdentity: true,
		ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
			return []redis.ClusterSlot{
				{Start: 0, End: 8191, Nodes: []redis.ClusterNode{{Addr: nodeA}}},
				{Start: 8192, End: 16383, Nodes: []redis.ClusterNode{{Addr: nodeB}}},
			}, nil
		},
	})
	return closed(t, client)
}

var topologies = map[string]func(*testing.T, nodes) redis.UniversalClient{"Ring": ring, "Cluster": cluster}

func TestManyNodes(t *testing.T) {
	for kind, connect := range topologies {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, both := twoNodes(t)
				client := connect(t, both)
				c, p := users(client), plainUsers(client)
				const n = 64
				e := fresh(User{})
				for key := range n {
					e := *e
					e.Value.Name = fmt.Sprint(key)
					must(t, c.Set(t.Context(), key, &e))
					must(t, p.SetValue(t.Context(), key, e.Value, time.Minute))
				}
				if left, right := len(a.Keys()), len(b.Keys()); left == 0 || right == 0 || left+right != 2*n {
					t.Errorf("%d and %d keys on the nodes, want %d on both", left, right, 2*n)
				}
				time.Sleep(time.Second)
				for key := range n {
					got := get(t, c, key)
					if got.Value.Name != fmt.Sprint(key) || !got.LoadedAt.Equal(e.LoadedAt) {
						t.Errorf("%d: %+v", key, got)
					}
					u, life, ok, err := p.GetValue(t.Context(), key)
					if u.Name != fmt.Sprint(key) || life != 59*time.Second || !ok || err != nil {
						t.Errorf("%d: %v, %v, %v, %v", key, u, life, ok, err)
					}
				}
			})
		})
	}
}

// traced is a client that its user wrapped.
type traced struct{ redis.UniversalClient }

// One node's clock is asked by all, whichever node holds an entry: nodes whose
// clocks differ make no entry older or younger. Nor does it matter that the type
// of the client does not tell how many nodes it has.
func TestManyNodesHaveOneClock(t *testing.T) {
	kinds := maps.Clone(topologies)
	for kind, connect := range topologies {
		kinds["wrapped "+kind] = func(t *testing.T, both nodes) redis.UniversalClient { return traced{connect(t, both)} }
	}
	for kind, connect := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, both := twoNodes(t)
				a.SetTime(time.Now().Add(time.Hour))
				b.SetTime(time.Now().Add(-time.Hour))
				client := connect(t, both)
				for key := range 16 {
					must(t, users(client).Set(t.Context(), key, fresh(User{})))
				}
				for key := range 16 {
					if age := time.Since(get(t, users(client), key).LoadedAt); age != 0 {
						t.Errorf("%d: age %v, want 0", key, age)
					}
				}
			})
		})
	}
}

// A node that is gone is an error for its keys, also where the command went out
// with others, and never an empty value.
func TestANodeThatIsGone(t *testing.T) {
	for kind, connect := range topologies {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, both := twoNodes(t)
				client := connect(t, both)
				p := redisadapter.Plain(client, redisadapter.Options[int, string]{})
				for key := range 32 {
					must(t, p.SetValue(t.Context(), key, "v", time.Hour))
				}
				gone, there := len(b.Keys()), len(a.Keys())
				both[nodeB].TakeDown()
				var failed, found int // the rest is misses: a Ring moves the keys to the other node
				for key := range 32 {
					switch v, _, ok, err := p.GetValue(t.Context(), key); {
					case err != nil:
						failed++
					case ok && v == "v":
						found++
					case ok:
						t.Errorf("%d: %q without an error", key, v)
					}
				}
				if failed == 0 || failed > gone || found != there {
					t.Errorf("%d failed and %d were found, want up to %d and %d", failed, found, gone, there)
				}
			})
		})
	}
}
