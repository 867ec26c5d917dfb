package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a network inside a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func listen() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	}
}

// running is a service that serves in a bubble.
type running struct {
	*service
	client *http.Client
	stop   context.CancelFunc
	ended  chan error
}

const grace = 3 * time.Second // shorter than LoadTimeout

// served runs test in a bubble, with a service that serves.
func served(t *testing.T, name string, test func(t *testing.T, r *running)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, err := newService(t.Context(), filepath.Join(t.TempDir(), "users.db"), delay, time.Hour, options)
			if err != nil {
				t.Fatal(err)
			}
			network := listen()
			transport := &http.Transport{DialContext: network.dial}
			defer transport.CloseIdleConnections()
			ctx, stop := context.WithCancel(t.Context())
			r := &running{s, &http.Client{Transport: transport}, stop, make(chan error, 1)}
			go func() { r.ended <- serve(ctx, network, s, grace) }()
			test(t, r)
		})
	})
}

// get makes a request and returns its status, or 0 if it had no answer.
func (r *running) get(ctx context.Context, path string) int {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://users"+path, nil)
	if err != nil {
		return 0
	}
	answer, err := r.client.Do(req)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// getting makes a request that is under way when getting returns.
func (r *running) getting(ctx context.Context, path string) <-chan int {
	status := make(chan int, 1)
	go func() { status <- r.get(ctx, path) }()
	time.Sleep(delay / 2)
	synctest.Wait()
	return status
}

// stops stops the service and checks how long that took.
func (r *running) stops(t *testing.T, least, most time.Duration) error {
	t.Helper()
	synctest.Wait() // for connections to be idle that will be
	start := time.Now()
	r.stop()
	err := <-r.ended
	if took := time.Since(start); took < least || took > most {
		t.Errorf("it stopped after %v, want %v to %v", took, least, most)
	}
	return err
}

func is(t *testing.T, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("status %d, want %d", got, want)
	}
}

func TestShutdown(t *testing.T) {
	served(t, "Idle", func(t *testing.T, r *running) {
		is(t, r.get(t.Context(), "/users/42"), 200)
		if err := r.stops(t, 0, 0); err != nil {
			t.Error(err)
		}
		is(t, r.get(t.Context(), "/users/42"), 0)
	})
	served(t, "RequestUnderWay", func(t *testing.T, r *running) {
		status := r.getting(t.Context(), "/users/42")
		// http.Server looks for requests under way at growing intervals.
		if err := r.stops(t, delay/2, delay); err != nil {
			t.Error(err)
		}
		is(t, <-status, 200)
	})
	served(t, "LoadThatNobodyWaitsFor", func(t *testing.T, r *running) {
		ctx, leave := context.WithCancel(t.Context())
		status := r.getting(ctx, "/users/42")
		leave()
		is(t, <-status, 0)
		synctest.Wait()
		if err := r.stops(t, delay/2, delay/2); err != nil {
			t.Error(err)
		}
		if s := r.users.Stats(); s.Loads != 1 || s.LoadErrors != 0 {
			t.Errorf("%+v: want the one load to have landed", s)
		}
	})
	served(t, "BackgroundRefresh", func(t *testing.T, r *running) {
		is(t, r.get(t.Context(), "/users/42"), 200)
		time.Sleep(options.TTL)
		is(t, r.get(t.Context(), "/users/42"), 200)
		synctest.Wait()
		queries(t, r.service, 2)
		if err := r.stops(t, 0, 0); err != nil {
			t.Error(err)
		}
	})
	served(t, "QueryLongerThanGrace", func(t *testing.T, r *running) {
		r.store.delay = time.Hour
		status := r.getting(t.Context(), "/users/42")
		if err := r.stops(t, grace, grace); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want DeadlineExceeded", err)
		}
		is(t, <-status, 0)
	})
}
