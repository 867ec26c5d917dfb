package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// masterName is what the sentinel calls the master.
const masterName = "main"

// NewSentinel starts a master, its replica and a sentinel that makes the replica
// the master once the master is silent for two seconds, which a busy one is not
// by chance. One sentinel is enough to decide, and no two have to elect one first.
func NewSentinel(t testing.TB) *Deployment {
	t.Helper()
	nodes := startAll(t, args("--repl-diskless-sync-delay", "0"), args())
	host, port, _ := net.SplitHostPort(nodes[0].Addr)
	nodes[1].Do("REPLICAOF", host, port)
	nodes[1].mustSoon("its replica follows", func(ctx context.Context) error {
		return nodes[1].wants(ctx, "replication", "master_link_status:up\r\n")
	})
	sentinel := startAll(t, watcher(nodes[0].Addr))[0]
	sentinel.mustSoon("the sentinel knows the replica", func(ctx context.Context) error {
		return sentinel.wants(ctx, "sentinel", "slaves=1,")
	})
	return &Deployment{
		Nodes: nodes,
		connect: func(opts redis.UniversalOptions) redis.UniversalClient {
			opts.Addrs, opts.MasterName = []string{sentinel.Addr}, masterName
			return redis.NewFailoverClient(opts.Failover())
		},
	}
}

// watcher is the setup of a sentinel, which needs a file that it can write to.
func watcher(master string) setup {
	return func(dir, _ string) ([]string, error) {
		host, port, _ := net.SplitHostPort(master)
		file := filepath.Join(dir, "sentinel.conf")
		text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\n"+
			"sentinel down-after-milliseconds %[1]s 2000\nsentinel failover-timeout %[1]s 2000\n", masterName, host, port)
		return []string{file, "--sentinel"}, os.WriteFile(file, []byte(text), 0o600)
	}
}

// wants returns nil if a section of the server's INFO holds text.
func (s *Server) wants(ctx context.Context, section, text string) error {
	info, err := s.ask(ctx, "INFO", section).Text()
	if err == nil && !strings.Contains(info, text) {
		err = errors.New("no " + text + " in:\n" + info)
	}
	return err
}

// mustSoon waits for something to become true.
func (s *Server) mustSoon(what string, try func(context.Context) error) {
	s.t.Helper()
	if err := Until(context.Background(), try); err != nil {
		s.t.Fatalf("waiting until %s: %v", what, err)
	}
}
