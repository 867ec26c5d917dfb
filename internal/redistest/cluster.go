package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// slots is how many hash slots a Cluster has.
const slots = 16384

// NewCluster starts a Cluster of three masters. They are made one by hand:
// "redis-cli --cluster create" does the same slower, and is a package of its own.
func NewCluster(t testing.TB) *Deployment {
	t.Helper()
	node := args("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
	nodes := startAll(t, node, node, node)
	if err := join(nodes); err != nil {
		t.Fatal(err)
	}
	return &Deployment{
		Nodes: nodes,
		connect: func(opts redis.UniversalOptions) redis.UniversalClient {
			for _, node := range nodes {
				opts.Addrs = append(opts.Addrs, node.Addr)
			}
			return redis.NewClusterClient(opts.Cluster())
		},
	}
}

// join gives each node its share of the slots, has all of them meet, and waits
// until they agree.
func join(nodes []*Server) error {
	for i, node := range nodes {
		first, last := i*slots/len(nodes), (i+1)*slots/len(nodes)-1
		commands := [][]any{
			{"CLUSTER", "SET-CONFIG-EPOCH", i + 1},
			append([]any{"CLUSTER", "ADDSLOTS"}, numbers(first, last)...),
		}
		for _, other := range nodes[:i] {
			host, port, _ := net.SplitHostPort(other.Addr)
			commands = append(commands, []any{"CLUSTER", "MEET", host, port})
		}
		for _, command := range commands {
			if err := node.ask(context.Background(), command...).Err(); err != nil {
				return fmt.Errorf("%v %v: %w", command[0], command[1], err)
			}
		}
	}
	for _, node := range nodes {
		if err := Until(context.Background(), node.agrees); err != nil {
			return err
		}
	}
	return nil
}

func numbers(first, last int) []any {
	var all []any
	for n := first; n <= last; n++ {
		all = append(all, n)
	}
	return all
}

// agrees returns nil if the node takes itself for one of a whole Cluster.
func (s *Server) agrees(ctx context.Context) error {
	info, err := s.ask(ctx, "CLUSTER", "INFO").Text()
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok", "cluster_size:3", "cluster_known_nodes:3", "cluster_slots_ok:16384"} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("a node of the Cluster waits for %s", want)
		}
	}
	return nil
}
