package redistest

import (
	"context"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Start starts a real server on a free port of the loopback interface, with
// args, and kills it at the end of the test. The test is skipped where no
// redis-server or valkey-server is installed: everything else is tested with
// miniredis.
func Start(t testing.TB, args ...string) (addr string) {
	t.Helper()
	path := lookPath(t)
	for range 10 { // another program may take the port first
		addr = freePort(t)
		if run(t, path, addr, args) {
			return addr
		}
	}
	t.Fatalf("%s did not start", path)
	return ""
}

func lookPath(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("neither redis-server nor valkey-server is installed")
	return ""
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run reports whether the server came up. Its own process is the only one that
// it ends.
func run(t testing.TB, path, addr string, args []string) bool {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(path, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--dir", t.TempDir(),
	}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	return answers(addr, gone)
}

// answers waits until the server answers, its process has ended, or it takes too
// long.
func answers(addr string, gone <-chan struct{}) bool {
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-gone:
			return false
		case <-ctx.Done():
			return false
		case <-tick.C:
			if client.Ping(ctx).Err() == nil {
				return true
			}
		}
	}
}
