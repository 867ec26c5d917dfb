package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/examples/fleet/internal/report"
)

// show is one run of the example.
type show struct {
	options
	out io.Writer

	source    *source
	processes []*process

	// mu guards victim and calls of out.
	mu     sync.Mutex
	victim victim
}

// victim says how far the kill is.
type victim uint8

const (
	spared victim = iota
	wanted        // whoever loads next, but the one that deletes
	chosen
)

// run performs and prints the table. It returns an error if the numbers contradict
// what leases promise.
func (s *show) run(ctx context.Context) error {
	address, closing, err := s.openRedis(ctx)
	if err != nil {
		return err
	}
	defer closing()
	s.source = newSource(s.ttl, s.cost)
	s.source.begun, s.source.deleted = s.begun, s.deleted
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.source}
	go server.Serve(listener)
	defer server.Close()

	s.introduce()
	if err := s.start(address, listener.Addr().String()); err != nil {
		return errors.Join(err, s.stop())
	}
	s.watch(ctx)
	if err := s.stop(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	table := s.table()
	fmt.Fprintln(s.out)
	table.Print(s.out)
	return table.Check()
}

// openRedis returns the address of the Redis that all share.
func (s *show) openRedis(ctx context.Context) (address string, closing func(), err error) {
	if s.redis == "" {
		server := miniredis.NewMiniRedis()
		server.ClockTTL(true) // keys end with time, as everywhere
		if err := server.Start(); err != nil {
			return "", nil, err
		}
		return server.Addr(), server.Close, nil
	}
	client := redis.NewClient(&redis.Options{Addr: s.redis})
	defer client.Close()
	if err := client.Ping(ctx).Err(); err != nil {
		return "", nil, fmt.Errorf("-redis %s: %w", s.redis, err)
	}
	return s.redis, func() {}, nil
}

func (s *show) introduce() {
	leases := fmt.Sprintf("leases of %v", s.lease)
	if s.control {
		leases = "no leases"
	}
	fmt.Fprintf(s.out, "%d processes share a Redis, with %s. In each, %d callers want %d keys for %v.\n",
		s.options.processes, leases, s.callers, len(keys), s.length)
	fmt.Fprintf(s.out, "A load takes %v, a value is fresh for %v and stale for %v. Process 1 deletes a key now and then.\n\n",
		s.cost, s.ttl, s.stale)
	fmt.Fprintln(s.out, "second   calls  expiries   loads  lease waits")
}

func (s *show) start(redis, source string) error {
	prefix := "corral-example-fleet-" + rand.Text()[:6] // two shows at once are two fleets
	for n := range s.options.processes {
		p, err := startProcess(role{
			Number: n + 1, Redis: redis, Source: source, Prefix: prefix, Callers: s.callers,
			TTL: s.ttl, Stale: s.stale, Lease: s.lease, NoLease: s.control, Deletes: n == 0,
		})
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.processes = append(s.processes, p)
		s.mu.Unlock()
	}
	return nil
}

// begun is told of each load, before its time has begun to run.
func (s *show) begun(number int, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.victim != wanted || number == 1 {
		return
	}
	s.victim = chosen
	s.source.kill(number)
	s.processes[number-1].kill()
	fmt.Fprintf(s.out, "         process %d is killed while it loads %q\n", number, key)
}

// deleted tells all processes; the one that deleted knows.
func (s *show) deleted(key string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		p.tell("deleted %s %d", key, version)
	}
}

// watch prints a line per second until the time is over, or a process is lost.
func (s *show) watch(ctx context.Context) {
	var before report.Table
	before.Log = new(report.Log)
	begin := time.Now()
	for second := time.Second; !s.over(ctx, begin); second += time.Second {
		pause(ctx, time.Until(begin.Add(min(second, s.length))))
		now := s.table()
		s.line(second, now, &before)
		if s.kill && time.Since(begin) >= s.length*2/5 {
			s.wantVictim()
		}
		before = *now
	}
}

func (s *show) over(ctx context.Context, begin time.Time) bool {
	return ctx.Err() != nil || time.Since(begin) >= s.length || slices.ContainsFunc(s.processes, (*process).lost)
}

// line prints what happened since before.
func (s *show) line(second time.Duration, now, before *report.Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts, sum, last := now.Log.Count().Minus(before.Log.Count()), now.Sum(), before.Sum()
	fmt.Fprintf(s.out, "%6.0f%8d%10d%8d%13d\n", second.Seconds(), sum.Calls-last.Calls,
		counts.Expiries(), counts.Loads(), sum.LeaseWaits-last.LeaseWaits)
}

func (s *show) wantVictim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.victim == spared {
		s.victim = wanted
	}
}

// stop ends all processes at once.
func (s *show) stop() error {
	errs := make([]error, len(s.processes))
	var all sync.WaitGroup
	for i, p := range s.processes {
		all.Go(func() { errs[i] = p.stop() })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *show) table() *report.Table {
	t := &report.Table{Log: s.source.snapshot(), NoLease: s.control}
	for _, p := range s.processes {
		t.Processes = append(t.Processes, p.counts())
	}
	return t
}
