package redistest

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Deployment is real servers that clients reach together.
type Deployment struct {
	// Nodes hold the keys. Of a Sentinel's the first is the master and the second
	// its replica, at first.
	Nodes []*Server

	connect func(redis.UniversalOptions) redis.UniversalClient
}

// Client returns a client of all nodes, closed at the end of the test. The
// addresses in opts are filled in.
func (d *Deployment) Client(t testing.TB, opts redis.UniversalOptions) redis.UniversalClient {
	forgetTimers()
	client := d.connect(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Deployments start the servers of each kind.
var Deployments = map[string]func(testing.TB) *Deployment{
	"Standalone": NewStandalone,
	"Cluster":    NewCluster,
	"Sentinel":   NewSentinel,
	"Ring":       NewRing,
}

// NewStandalone starts one server.
func NewStandalone(t testing.TB) *Deployment {
	t.Helper()
	return Alone(StartServer(t))
}

// Alone is the deployment of one server that runs.
func Alone(s *Server) *Deployment {
	return &Deployment{
		Nodes: []*Server{s},
		connect: func(opts redis.UniversalOptions) redis.UniversalClient {
			opts.Addrs = []string{s.Addr}
			return redis.NewClient(opts.Simple())
		},
	}
}

// NewRing starts three servers that know nothing of each other.
func NewRing(t testing.TB) *Deployment {
	t.Helper()
	nodes := startAll(t, args(), args(), args())
	return &Deployment{
		Nodes: nodes,
		connect: func(opts redis.UniversalOptions) redis.UniversalClient {
			ring := &redis.RingOptions{
				Addrs: map[string]string{}, Dialer: opts.Dialer, MaxRetries: opts.MaxRetries,
				DialTimeout: opts.DialTimeout, ReadTimeout: opts.ReadTimeout, WriteTimeout: opts.WriteTimeout,
				PoolSize: opts.PoolSize, PoolTimeout: opts.PoolTimeout,
			}
			for i, node := range nodes {
				ring.Addrs[fmt.Sprint("shard", i)] = node.Addr
			}
			return redis.NewRing(ring)
		},
	}
}
