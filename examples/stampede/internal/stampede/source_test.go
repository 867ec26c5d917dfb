package stampede

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// pipeSource is a source in this process, at the other end of a pipe, so that
// it lives in fake time.
type pipeSource struct {
	net.Conn
	served chan struct{}
}

func openPipe(log func(report.Event)) (sourceConn, error) {
	near, far := net.Pipe()
	p := &pipeSource{Conn: near, served: make(chan struct{})}
	go func() {
		defer close(p.served)
		newSource(log).serve(far)
	}()
	return p, nil
}

func (p *pipeSource) stop() error {
	err := p.Close()
	<-p.served
	return err
}

// openTest returns a client of a new source, and its log, which is whole after
// stop.
func openTest(t *testing.T) (c *client, log *[]report.Event, stop func()) {
	t.Helper()
	log = &[]report.Event{}
	conn, err := openPipe(func(e report.Event) { *log = append(*log, e) })
	if err != nil {
		t.Fatal(err)
	}
	c = newClient(conn)
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	return c, log, func() {
		if err := conn.stop(); err != nil {
			t.Error(err)
		}
	}
}

// A herd of 200 meets 64 slots and 64 places to wait.
func TestSourceCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log, stop := openTest(t)
		took := map[string]int{}
		var mu sync.Mutex // guards took
		var herd sync.WaitGroup
		for i := range 200 {
			herd.Go(func() {
				_, err := c.load(t.Context(), fmt.Sprint("key-", i))
				mu.Lock()
				defer mu.Unlock()
				took[fmt.Sprint(c.now(), " ", err)]++
			})
		}
		herd.Wait()
		stop()
		want := map[string]int{"40ms <nil>": 64, "80ms <nil>": 64, "0s source: overloaded": 72}
		if fmt.Sprint(took) != fmt.Sprint(want) {
			t.Errorf("took %v, want %v", took, want)
		}
		if last := (*log)[len(*log)-1]; last.Kind != report.KindSource || last.Count != 200 || len(*log) != 201 {
			t.Errorf("the log has %d events and ends with %+v", len(*log), last)
		}
	})
}

// While the source is slow, those who wait for a slot run into the time-out.
func TestSourceQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, stop := openTest(t)
		defer stop()
		if err := c.mood(report.Slow, 4*cost); err != nil {
			t.Fatal(err)
		}
		for range slots {
			go c.load(t.Context(), "key")
		}
		synctest.Wait()
		if _, err := c.load(t.Context(), "late"); err == nil || err.Error() != "source: timeout" || c.now() != queueTime {
			t.Errorf("after %v: error %v", c.now(), err)
		}
	})
}

func TestSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log, stop := openTest(t)
		if err := c.mood(report.Failing, 2*cost); err != nil {
			t.Fatal(err)
		}
		if _, err := c.load(t.Context(), "key"); err == nil || err.Error() != "source: failing" {
			t.Errorf("error %v", err)
		}
		stop()
		if q := (*log)[0]; q.Err != "failing" || q.Version != 0 || q.Ended != 2*cost {
			t.Errorf("logged %+v", q)
		}
	})
}

// A row is read when its query begins: a change during the query is not seen.
func TestSourceReadsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log, stop := openTest(t)
		var old Row
		var load sync.WaitGroup
		load.Go(func() { old, _ = c.load(t.Context(), "key") })
		time.Sleep(cost / 2)
		version, err := c.bump("key")
		if err != nil || version != 2 {
			t.Errorf("bump = %d, %v", version, err)
		}
		load.Wait()
		young, err := c.load(t.Context(), "key")
		if err != nil {
			t.Error(err)
		}
		if want := (Row{Version: 1, Loaded: cost}); old != want {
			t.Errorf("the load under way got %+v, want %+v", old, want)
		}
		if want := (Row{Version: 2, Loaded: 2 * cost}); young != want {
			t.Errorf("the load after got %+v, want %+v", young, want)
		}
		stop()
		if (*log)[0].Version != 1 || (*log)[1].Version != 2 {
			t.Errorf("logged %+v", *log)
		}
	})
}

// A load whose caller has gone was sent all the same, and is in the log.
func TestClientContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log, stop := openTest(t)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(gone)
		if _, err := c.load(ctx, "key"); !errors.Is(err, gone) || c.now() != 0 {
			t.Errorf("after %v: error %v", c.now(), err)
		}
		stop()
		if len(*log) != 2 || c.unsent.Load() != 0 {
			t.Errorf("logged %+v, %d unsent", *log, c.unsent.Load())
		}
	})
}

// A load that cannot be sent is counted, for it is not in the log.
func TestClientUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log, stop := openTest(t)
		stop()
		if _, err := c.load(t.Context(), "key"); err == nil {
			t.Error("no error from a closed connection")
		}
		if _, err := c.bump("key"); err == nil {
			t.Error("no error from a closed connection")
		}
		if len(*log) != 1 || c.unsent.Load() != 1 {
			t.Errorf("logged %+v, %d unsent", *log, c.unsent.Load())
		}
	})
}

// A source that goes away frees those who wait for it.
func TestClientDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := newClient(near)
		go func() {
			far.Read(make([]byte, 64))
			far.Close()
		}()
		if _, err := c.load(t.Context(), "key"); !errors.Is(err, errDisconnected) {
			t.Errorf("error %v", err)
		}
	})
}
