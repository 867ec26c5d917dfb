package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// comeUp bounds how long servers take to start, to find each other, or to agree.
const comeUp = 30 * time.Second

// Server is a real server on a port of the loopback interface, a process of the
// test's own. Its methods are for the test's goroutine. It stores nothing on a
// disk but what Sentinel and Cluster insist on.
type Server struct {
	// Addr is its address, the same after a Restart.
	Addr string

	t     testing.TB
	setup setup
	dir   string // what holds the directory of each run
	cmd   *exec.Cmd
	gone  chan struct{} // closed when cmd has ended
}

// setup returns the arguments of a server besides its address, given an empty
// directory.
type setup func(dir, addr string) ([]string, error)

// args is the setup of a server that needs only arguments.
func args(a ...string) setup {
	return func(string, string) ([]string, error) { return a, nil }
}

// Start starts a server with args and returns its address. The server is killed
// at the end of the test. The test is skipped where no redis-server or
// valkey-server is installed: everything else is tested with miniredis.
func Start(t testing.TB, arg ...string) (addr string) {
	t.Helper()
	return StartServer(t, arg...).Addr
}

// StartServer is [Start] for tests that do things to the server.
func StartServer(t testing.TB, arg ...string) *Server {
	t.Helper()
	return startAll(t, args(arg...))[0]
}

// startAll starts a server of each setup, all at once.
func startAll(t testing.TB, setups ...setup) []*Server {
	t.Helper()
	needServer(t)
	servers, errs := make([]*Server, len(setups)), make([]error, len(setups))
	atOnce(len(setups), func(i int) { servers[i], errs[i] = start(t, setups[i]) })
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return servers
}

// needServer skips the test where there is no server's program.
func needServer(t testing.TB) {
	t.Helper()
	if _, err := program(); err != nil {
		t.Skip(err)
	}
}

func program() (path string, err error) {
	for _, name := range []string{"redis-server", "valkey-server"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("neither redis-server nor valkey-server is in PATH")
}

// start starts a server on a port that is free. It is tried again, as another
// program may take the port first.
func start(t testing.TB, setup setup) (s *Server, err error) {
	s = &Server{t: t, setup: setup}
	if s.dir, err = os.MkdirTemp("", "redis-"); err != nil {
		return nil, err
	}
	t.Cleanup(func() { // when it has ended: it might write until then, and a copy of it a little longer
		err := Until(context.Background(), func(context.Context) error { return os.RemoveAll(s.dir) })
		if err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.Kill)
	for range 10 {
		if s.Addr, err = freeAddr(); err != nil {
			return nil, err
		}
		if err = s.run(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// freeAddr returns a free one, of which the port 10,000 above is free too: that
// is where the nodes of a Cluster talk to each other.
func freeAddr() (string, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		addr := l.Addr().(*net.TCPAddr)
		bus, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(addr.Port+10_000)))
		_ = l.Close()
		if err == nil {
			_ = bus.Close()
			return addr.String(), nil
		}
	}
	return "", errors.New("no two free ports 10,000 apart")
}

// run starts the process in a new directory and waits until it answers.
func (s *Server) run() error {
	path, err := program()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(s.Addr)
	more, err := s.setup(dir, s.Addr)
	if err != nil {
		return err
	}
	logged := filepath.Join(dir, "log")
	s.cmd = exec.Command(path, append(more,
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--dir", dir, "--logfile", logged)...)
	ownGroup(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.gone = make(chan struct{})
	go func(cmd *exec.Cmd, gone chan struct{}) {
		defer close(gone)
		_ = cmd.Wait()
	}(s.cmd, s.gone)
	if err := s.answers(); err != nil {
		s.Kill()
		text, _ := os.ReadFile(logged)
		return fmt.Errorf("%s %s did not start: %w\n%s", path, s.Addr, err, text)
	}
	return nil
}

var errEnded = errors.New("it has ended")

// answers waits until the server answers, and not another one that had the port
// first.
func (s *Server) answers() error {
	mine := fmt.Sprintf("process_id:%d\r\n", s.cmd.Process.Pid)
	return Until(context.Background(), func(ctx context.Context) error {
		select {
		case <-s.gone:
			return Never(errEnded)
		default:
		}
		info, err := s.ask(ctx, "INFO", "server").Text()
		if err == nil && !strings.Contains(info, mine) {
			err = Never(errors.New("another server has the port"))
		}
		return err
	})
}

// ask runs one command on a connection of its own.
func (s *Server) ask(ctx context.Context, args ...any) *redis.Cmd {
	client := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, ReadTimeout: 10 * time.Second})
	defer client.Close()
	return client.Do(ctx, args...)
}

// Do runs a command on the server, past all clients of the test's, and returns
// the reply.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	reply, err := s.ask(context.Background(), args...).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		s.t.Fatalf("%v: %v", args, err)
	}
	return reply
}

// Pause stops the server with SIGSTOP: its connections stay, and nothing answers.
func (s *Server) Pause() {
	s.t.Helper()
	if err := pause(s.cmd.Process); err != nil {
		s.t.Fatal(err)
	}
}

// Resume lets it go on.
func (s *Server) Resume() {
	s.t.Helper()
	if err := resume(s.cmd.Process); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends the server with SIGKILL, also one that is paused, and what it forked
// to write for a replica. It may have ended before.
func (s *Server) Kill() {
	if s.gone == nil {
		return
	}
	select {
	case <-s.gone: // its number may be another's by now
		return
	default:
	}
	end(s.cmd.Process)
	<-s.gone
}

// Restart starts the server again, empty, at the address that it had.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	err := Until(context.Background(), func(context.Context) error { return s.run() })
	if err != nil {
		s.t.Fatal(err)
	}
}
