// Package redisd runs a redis-server of the benchmark's own.
package redisd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a process on a port of the loopback interface that stores nothing on
// a disk.
type Server struct {
	Addr string

	cmd    *exec.Cmd
	gone   chan struct{} // closed when cmd has ended
	client *redis.Client
	dir    string
}

const comeUp = 15 * time.Second

// Start starts a server on a free port. It is tried again, as another program
// may take the port first.
func Start() (s *Server, err error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("no redis-server in PATH: leave out what needs it with -scenario")
	}
	for range 5 {
		if s, err = start(path); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func start(path string) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	dir, err := os.MkdirTemp("", "corral-bench-")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	s := &Server{Addr: addr, dir: dir, gone: make(chan struct{}), client: redis.NewClient(&redis.Options{Addr: addr})}
	s.cmd = exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--dir", dir)
	dieWithParent(s.cmd)
	if err := s.cmd.Start(); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	go func() { _ = s.cmd.Wait(); close(s.gone) }()
	if err := s.answers(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// answers waits until the server answers, and not another one that had the port
// first.
func (s *Server) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), comeUp)
	defer cancel()
	mine := regexp.MustCompile(fmt.Sprintf(`process_id:%d\r\n`, s.cmd.Process.Pid))
	for {
		info, err := s.client.Info(ctx, "server").Result()
		if err == nil && mine.MatchString(info) {
			return nil
		}
		select {
		case <-s.gone:
			return fmt.Errorf("redis-server on %s ended", s.Addr)
		case <-ctx.Done():
			return fmt.Errorf("redis-server on %s does not answer: %w", s.Addr, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Empty deletes every key.
func (s *Server) Empty() error { return s.client.FlushAll(context.Background()).Err() }

var getCalls = regexp.MustCompile(`cmdstat_get:calls=(\d+)`)

// Gets is how many GETs the server has counted.
func (s *Server) Gets() (int, error) {
	info, err := s.client.Info(context.Background(), "commandstats").Result()
	if err != nil {
		return 0, err
	}
	m := getCalls.FindStringSubmatch(info)
	if m == nil {
		return 0, nil
	}
	return strconv.Atoi(m[1])
}

// Size is how many bytes the value of a key has on the server.
func (s *Server) Size(key string) (int64, error) {
	return s.client.StrLen(context.Background(), key).Result()
}

// Keys returns the keys of the server, which are few.
func (s *Server) Keys() ([]string, error) {
	return s.client.Keys(context.Background(), "*").Result()
}

// Version returns what the server says of itself.
func (s *Server) Version() string {
	info, err := s.client.Info(context.Background(), "server").Result()
	if m := regexp.MustCompile(`redis_version:(\S+)`).FindStringSubmatch(info); err == nil && m != nil {
		return m[1]
	}
	return "unknown"
}

// Close ends the server.
func (s *Server) Close() {
	_ = s.client.Close()
	_ = s.cmd.Process.Kill()
	<-s.gone
	os.RemoveAll(s.dir)
}
