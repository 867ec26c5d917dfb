package redisadapter_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
)

// 1,000 keys, 10 % of which are not there: at most three round trips to each node.
func TestServer_RoundTripsOfManyKeys(t *testing.T) {
	const n, misses = 1000, 100
	for _, servers := range []string{"Standalone", "Cluster"} {
		for _, kind := range []string{"New", "Plain"} {
			t.Run(servers+"/"+kind, func(t *testing.T) {
				nodes := deployments[servers](t)
				trips := &tripCounter{}
				cache := bothMany(nodes.Client(t, redis.UniversalOptions{Dialer: trips.dial, MaxRetries: -1, DisableIdentity: true}))[kind]
				loader, err := corral.New[int, User](cache, corral.Options{TTL: time.Minute})
				must(t, err)
				t.Cleanup(func() { must(t, loader.Close(context.Background())) })
				asked := 0
				load := func(_ context.Context, keys []int) (map[int]User, error) {
					asked += len(keys)
					got := map[int]User{}
					for _, key := range keys {
						got[key] = User{Name: fmt.Sprint(key)}
					}
					return got, nil
				}
				keys := upTo(n)
				_, err = loader.GetOrLoadMany(t.Context(), keys, load) // the servers know the scripts, and the cache the time
				must(t, err)
				must(t, cache.DeleteMany(t.Context(), keys[:misses]))
				must(t, redistest.Until(t.Context(), func(context.Context) error { return trips.quiet() }))

				asked = 0
				trips.reset()
				for _, node := range nodes.Nodes {
					node.Do("CONFIG", "RESETSTAT")
				}
				got, err := loader.GetOrLoadMany(t.Context(), keys, load)
				must(t, err)
				if len(got) != n || got[0].Name != "0" || got[n-1].Name != fmt.Sprint(n-1) || asked != misses {
					t.Errorf("%d values, %d loaded; want %d, %d", len(got), asked, n, misses)
				}
				most := 0
				for addr, n := range trips.counts() {
					t.Logf("%s: %d round trips", addr, n)
					most = max(most, n)
				}
				if most != 3 {
					t.Errorf("%d round trips to a node, want 3", most)
				}
				ran := map[string]int{}
				for _, node := range nodes.Nodes {
					for name, n := range commandsRun(t, node) {
						ran[name] += n
					}
				}
				wantReads := map[string]int{"MGET": 1}
				if kind == "Plain" {
					wantReads = map[string]int{"PTTL": n}
				} else if servers == "Cluster" {
					wantReads = map[string]int{"MGET": 0}
				}
				for name, want := range wantReads {
					if ran[name] != want {
						t.Errorf("%d %s, want %d", ran[name], name, want)
					}
				}
				// With a Cluster's scripts, the question for the time may be due: an EVAL.
				if ran["EVALSHA"] != 2*misses || ran["EVAL"] > 1 {
					t.Errorf("%d EVALSHA and %d EVAL, want an Acquire and a Fill for each of %d keys", ran["EVALSHA"], ran["EVAL"], misses)
				}
				if kind == "New" && servers == "Cluster" && ran["GET"] < n {
					t.Errorf("%d GET, want one for each key", ran["GET"])
				}
			})
		}
	}
}

// D6: of a Cluster that lost a node the others serve their keys, through the Loader
// too: it loads those that are away.
func TestServer_ManyKeysAndANodeThatIsKilled(t *testing.T) {
	nodes := redistest.NewCluster(t)
	for i := range nodes.Nodes { // serve the slots that are left
		nodes.Nodes[i].Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	cache := users(nodes.Client(t, redis.UniversalOptions{MaxRetries: -1}))
	keys := upTo(300)
	must(t, cache.SetMany(t.Context(), keys, named(keys)))
	gone := nodes.Nodes[0].Do("DBSIZE").(int64)
	nodes.Nodes[0].Kill()
	got, err := cache.GetMany(timeout(t, patience), keys)
	there := 0
	for i, e := range got {
		if e != nil && e.Value.Name == fmt.Sprint(keys[i]) {
			there++
		}
	}
	if want := len(keys) - int(gone); there != want {
		t.Errorf("%d of %d keys are served, want %d: %v", there, len(keys), want, err)
	}
	loader, err := corral.New[int, User](cache, corral.Options{TTL: time.Minute, CacheTimeout: patience})
	must(t, err)
	defer func() { must(t, loader.Close(context.Background())) }()
	loaded := 0
	all, err := loader.GetOrLoadMany(t.Context(), keys, func(_ context.Context, keys []int) (map[int]User, error) {
		loaded += len(keys)
		return maps.Collect(func(yield func(int, User) bool) {
			for _, key := range keys {
				if !yield(key, User{Name: fmt.Sprint(key)}) {
					return
				}
			}
		}), nil
	})
	must(t, err)
	if len(all) != len(keys) || loaded != int(gone) {
		t.Errorf("%d values, %d of them loaded; want %d and %d", len(all), loaded, len(keys), gone)
	}
}

var deployments = map[string]func(testing.TB) *redistest.Deployment{
	"Standalone": redistest.NewStandalone,
	"Cluster":    redistest.NewCluster,
}

// tripCounter counts round trips to each address: a write after a read, or the
// first of a connection. Of one pipeline a client makes several writes.
type tripCounter struct {
	mu    sync.Mutex
	trips map[string]int // guarded by mu, as is open
	open  int
}

func (c *tripCounter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &trippedConn{TCPConn: conn.(*net.TCPConn), counter: c, addr: addr}, nil
}

func (c *tripCounter) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trips = map[string]int{}
}

func (c *tripCounter) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.trips)
}

// quiet returns an error while an answer is missing.
func (c *tripCounter) quiet() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open > 0 {
		return fmt.Errorf("%d answers are missing", c.open)
	}
	return nil
}

type trippedConn struct {
	*net.TCPConn
	counter *tripCounter
	addr    string
	asked   bool // guarded by counter.mu
}

func (c *trippedConn) Write(b []byte) (int, error) {
	c.counter.mu.Lock()
	names := commandNames(b)
	if !c.asked && !slices.ContainsFunc(names, func(name string) bool { return uncounted[name] || name == "CLUSTER" || name == "COMMAND" }) {
		if c.counter.trips == nil {
			c.counter.trips = map[string]int{}
		}
		c.counter.trips[c.addr]++
		c.counter.open++
		c.asked = true
	}
	c.counter.mu.Unlock()
	return c.TCPConn.Write(b)
}

func (c *trippedConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.counter.mu.Lock()
	defer c.counter.mu.Unlock()
	if c.asked {
		c.asked = false
		c.counter.open--
	}
	return n, err
}
