package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/redisd"
	"github.com/corralcache/corral/bench/internal/traffic"
)

// far are calls over a real server.
func far(server func() (*redisd.Server, error)) []*measure.Case {
	var out []*measure.Case
	for _, load := range []struct {
		name       string
		goroutines int
		keys       int
	}{{"1 goroutine", 1, 256}, {"64 goroutines, distinct keys", 64, 1024}, {"64 goroutines, one hot key", 64, 1}} {
		for _, size := range []int{100, 10_000} {
			q := farQuestion{server: server, size: size, keys: newKeys(load.keys), goroutines: load.goroutines}
			name := fmt.Sprintf("%s, %s", load.name, sizeName(size))
			workers := func(int) int { return load.goroutines }
			out = append(out, &measure.Case{
				Group: "far hit", Name: name, Rival: rawRedis, Workers: workers,
				Rows: q.rows(), Targets: farTargets(load.goroutines, load.keys),
			})
			q.window = contender.Stale
			out = append(out, &measure.Case{
				Group: "far stale hit", Name: name, Rival: rawRedis, Workers: workers, Rows: q.rows(),
			})
		}
	}
	next := new(atomic.Int64) // of all scenarios: a key that one has stored is not new
	for _, goroutines := range []int{1, 64} {
		for _, size := range []int{100, 10_000} {
			out = append(out, &measure.Case{
				Group: "far miss", Name: fmt.Sprintf("%s, always new keys, %s", plural(goroutines, "goroutine"), sizeName(size)), Rival: redisHand,
				Workers: func(int) int { return goroutines },
				Rows:    farMissRows(server, size, next),
			})
		}
	}
	return out
}

func farTargets(goroutines, keys int) []measure.Target {
	switch {
	case goroutines == 1:
		return []measure.Target{{Row: ownRedis, Rival: rawRedis, At1: 1.03, At2: 1.03, Why: whyLone, Floor: contender.FloorFar}}
	case keys > 1:
		return []measure.Target{
			{Row: ownRedis, Rival: rawRedis, At1: 0.45, At2: 0.45, Why: whyLarge, Floor: pipelined},
			{Row: ownRedis, Rival: rueidis, At1: 1, At2: 1, Why: whyLarge, Floor: pipelined},
			{Row: ownRedis, Extra: "GETs", At1: 1, At2: 1},
		}
	}
	return []measure.Target{{Row: ownRedis, Rival: rawRedis, At1: 0.2, At2: 0.2}}
}

func sizeName(bytes int) string {
	if bytes >= 1000 {
		return fmt.Sprintf("%d KB", bytes/1000)
	}
	return fmt.Sprintf("%d B", bytes)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// farQuestion is what the rows of a far case read.
type farQuestion struct {
	server     func() (*redisd.Server, error)
	size       int
	keys       []string
	goroutines int
	window     contender.Window
}

func (q farQuestion) rows() []measure.Row {
	return rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
		if c.Far == nil || q.window == contender.Stale && !c.FarStale && c.Name != rawRedis {
			return nil
		}
		return func(int) (*measure.Subject, error) { return q.subject(c) }
	})
}

func (q farQuestion) subject(c contender.Contender) (*measure.Subject, error) {
	s, err := q.server()
	if err != nil {
		return nil, err
	}
	wire := new(redisd.Wire)
	f, err := c.Far(contender.FarOptions{Addr: s.Addr, Dial: wire.Dial, Window: q.window})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	keys := prefixed(c.Name, q.keys)
	value := bytes.Repeat([]byte("v"), q.size)
	for _, key := range keys {
		if err := f.Put(ctx, key, value); err != nil {
			f.Close()
			return nil, err
		}
	}
	if q.window == contender.Stale {
		time.Sleep(2 * contender.StaleLife)
	}
	subject := &measure.Subject{
		Call: func(worker, n int) error {
			own := share(keys, worker, q.goroutines)
			for i := range n {
				got, err := f.Get(ctx, own[i%len(own)])
				if err != nil {
					return err
				}
				if got != q.size {
					return fmt.Errorf("%d bytes of %d", got, q.size)
				}
			}
			return nil
		},
		Extra: counted(s, wire),
		Close: f.Close,
	}
	if c.FarStale && q.window == contender.Fresh && len(q.keys) == 1 {
		subject.Check = func(int) error { return neverOlder(f, c.Name+":written") }
	}
	return subject, nil
}

// share returns the keys of a worker: those that nobody else reads, so that no two calls
// share a GET, unless there is but one.
func share(keys []string, worker, workers int) []string {
	each := len(keys) / workers
	if each == 0 {
		return keys
	}
	return keys[worker*each : (worker+1)*each]
}

// neverOlder checks that a call which begins after a Put, or a Delete, has returned is
// not given what was there before, also where calls share a GET: of the values that
// are put, each is longer than the one before, and what is loaded is empty.
func neverOlder(f contender.Far, key string) error {
	const readers, puts = 16, 20
	ctx := context.Background()
	if err := f.Put(ctx, key, bytes.Repeat([]byte("v"), 1)); err != nil {
		return err
	}
	var shortest, done atomic.Int64
	shortest.Store(1)
	errs := make([]error, readers)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() {
			for done.Load() == 0 && errs[i] == nil {
				least := shortest.Load()
				got, err := f.Get(ctx, key)
				if err == nil && got > 0 && int64(got) < least {
					err = fmt.Errorf("a value older than a write that had returned: %d bytes, not %d", got, least)
				}
				errs[i] = err
			}
		})
	}
	var err error
	for n := 2; n <= puts && err == nil; n++ {
		err = f.Put(ctx, key, bytes.Repeat([]byte("v"), n))
		shortest.Store(int64(n))
		if d, can := f.(contender.Deleter); can && err == nil {
			err = d.Delete(ctx, key)
			shortest.Store(int64(n + 1))
		}
	}
	done.Store(1)
	wg.Wait()
	return errors.Join(append(errs, err)...)
}

// prefixed keeps the contenders' keys apart.
func prefixed(prefix string, keys []string) []string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = prefix + ":" + key
	}
	return out
}

// counted is what the server counts, and the client's connections.
func counted(s *redisd.Server, wire *redisd.Wire) func() map[string]float64 {
	return func() map[string]float64 {
		gets, _ := s.Gets()
		return map[string]float64{"GETs": float64(gets), "writes": float64(wire.Writes())}
	}
}

func farMissRows(server func() (*redisd.Server, error), size int, next *atomic.Int64) []measure.Row {
	value := bytes.Repeat([]byte("v"), size)
	return rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
		if c.FarMiss == nil {
			return nil
		}
		return func(int) (*measure.Subject, error) {
			s, err := server()
			if err != nil {
				return nil, err
			}
			wire := new(redisd.Wire)
			f, err := c.FarMiss(contender.FarOptions{Addr: s.Addr, Dial: wire.Dial, Loaded: value})
			if err != nil {
				return nil, err
			}
			return &measure.Subject{
				Call: func(_, n int) error {
					for range n {
						if _, err := f.Get(context.Background(), "miss:"+traffic.Text(int(next.Add(1)))); err != nil {
							return err
						}
					}
					return nil
				},
				Extra: counted(s, wire),
				Close: f.Close,
			}, nil
		}
	})
}
