package redistest

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// once returns a client that tries each command once and waits for a second.
func once(t *testing.T, s *Server, dial Dialer) redis.UniversalClient {
	return Alone(s).Client(t, redis.UniversalOptions{Dialer: dial, MaxRetries: -1, ReadTimeout: time.Second})
}

func TestServer_LifeAndDeath(t *testing.T) {
	s := StartServer(t)
	client := once(t, s, nil)
	if err := client.Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	if timeout := net.Error(nil); !errors.As(client.Get(t.Context(), "key").Err(), &timeout) || !timeout.Timeout() {
		t.Error("a paused server did not let its client wait")
	}
	s.Resume()
	if got := s.Do("GET", "key"); got != "value" {
		t.Errorf("after a pause the server holds %v", got)
	}
	addr := s.Addr
	s.Restart()
	if got := s.Do("DBSIZE"); got != int64(0) || s.Addr != addr {
		t.Errorf("after a restart the server holds %v keys, at %s, and had been at %s", got, s.Addr, addr)
	}
	s.Pause()
	s.Kill()
	s.Kill()
	if err := client.Ping(t.Context()).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a killed server: %v", err)
	}
}

func TestLink_Cut(t *testing.T) {
	s := StartServer(t)
	var link Link
	client := once(t, s, link.Dial)
	for _, want := range []error{io.EOF, syscall.ECONNRESET} {
		for _, after := range []int{0, 1, 3} {
			link.Cut("INCR", after, want)
			if err := client.Ping(t.Context()).Err(); err != nil {
				t.Fatalf("another command: %v", err)
			}
			before, _ := s.ask(t.Context(), "GET", "n").Int()
			if err := client.Incr(t.Context(), "n").Err(); !errors.Is(err, want) && !errors.Is(err, io.ErrUnexpectedEOF) &&
				!errors.Is(err, net.ErrClosed) { // a client that looks before it reads
				t.Errorf("cut after %d: %v, want %v", after, err, want)
			}
			if n, _ := s.ask(t.Context(), "GET", "n").Int(); n != before+1 || link.Cuts() != 0 {
				t.Errorf("cut after %d: the server counted from %d to %d", after, before, n)
			}
		}
	}
	if err := client.Incr(t.Context(), "n").Err(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	_ = client.Close()
	if link.Dials.Load() < 7 || link.Open.Load() != 0 {
		t.Errorf("%d connections were made, and %d are open", link.Dials.Load(), link.Open.Load())
	}
}

func TestLink_Slow(t *testing.T) {
	s := StartServer(t)
	var link Link
	client := once(t, s, link.Dial)
	link.Slow(50 * time.Millisecond)
	start := time.Now()
	if err := client.Ping(t.Context()).Err(); err != nil || time.Since(start) < 50*time.Millisecond {
		t.Errorf("%v after %v, want a reply after 50ms", err, time.Since(start))
	}
	link.Slow(time.Hour)
	if timeout := net.Error(nil); !errors.As(client.Ping(t.Context()).Err(), &timeout) || !timeout.Timeout() {
		t.Error("no time-out of a reply that takes an hour")
	}
	link.Slow(0)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestUntil(t *testing.T) {
	tries, final := 0, errors.New("final")
	err := Until(t.Context(), func(context.Context) error {
		if tries++; tries == 3 {
			return Never(final)
		}
		return io.EOF
	})
	if err != final || tries != 3 {
		t.Errorf("%v after %d tries, want %v after 3", err, tries, final)
	}
}
