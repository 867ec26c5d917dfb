package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/examples/fleet/internal/report"
	"github.com/corralcache/corral/redisadapter"
)

// keys are those that everybody wants.
var keys = []string{"home", "news", "prices"}

const (
	thinkTime  = 20 * time.Millisecond // of a caller, on average, between two calls
	deletePace = 700 * time.Millisecond
	reportPace = 100 * time.Millisecond
)

// role is what a process of the fleet is told when it starts.
type role struct {
	Number        int
	Redis, Source string // addresses
	Prefix        string
	Callers       int
	TTL, Stale    time.Duration
	Lease         time.Duration
	NoLease       bool
	Deletes       bool // this one deletes a key now and then
}

// member is one process of the fleet.
type member struct {
	role
	loader *corral.Loader[string, Row]
	source *http.Client
	fences *fences

	calls, errors, tooOld, longest atomic.Int64
}

// open is what each process of a service does that shares a Redis with others.
func open(client redis.UniversalClient, r role) (*corral.Loader[string, Row], error) {
	cache := redisadapter.New(client, redisadapter.Options[string, Row]{
		Prefix: r.Prefix, Lease: r.Lease, NoLease: r.NoLease,
	})
	return corral.New(cache, corral.Options{
		TTL: r.TTL, StaleFor: r.Stale,
		CacheTimeout: 5 * time.Second, // for busy machines: a load without a lease would spoil the numbers
	})
}

// runMember is the main function of a process of the fleet. Commands come in, what
// it counts goes out, a line each; when the commands end, so does it.
func runMember(r role, in io.Reader, out io.Writer) error {
	client := redis.NewClient(&redis.Options{Addr: r.Redis})
	defer client.Close()
	loader, err := open(client, r)
	if err != nil {
		return err
	}
	m := &member{role: r, loader: loader, source: &http.Client{Transport: &http.Transport{}}}
	m.fences = newFences(m.busy)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		m.obey(in)
		stop()
	}()
	var work sync.WaitGroup
	for range r.Callers {
		work.Go(func() { m.call(ctx) })
	}
	if r.Deletes {
		work.Go(func() { m.delete(ctx) })
	}
	said := json.NewEncoder(out)
	for ctx.Err() == nil {
		pause(ctx, reportPace)
		said.Encode(m.count(false))
	}
	work.Wait()
	m.drain()
	if err := loader.Close(context.Background()); err != nil {
		return err
	}
	return said.Encode(m.count(true))
}

// obey takes note of other processes' Deletes until it is told to stop.
func (m *member) obey(in io.Reader) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var key string
		var version int
		if n, _ := fmt.Sscanf(lines.Text(), "deleted %s %d", &key, &version); n != 2 {
			return
		}
		m.fences.raise(key, version, false)
	}
}

// call is one caller's life.
func (m *member) call(ctx context.Context) {
	for pause(ctx, rand.N(2*thinkTime)); ctx.Err() == nil; pause(ctx, rand.N(2*thinkTime)) {
		key := keys[rand.N(len(keys))]
		oldest, start := m.fences.oldest(key), time.Now()
		row, err := m.loader.GetOrLoad(context.Background(), key, m.load)
		waited := int64(time.Since(start))
		for old := m.longest.Load(); waited > old && !m.longest.CompareAndSwap(old, waited); old = m.longest.Load() {
		}
		m.calls.Add(1)
		switch {
		case err != nil:
			m.errors.Add(1)
		case row.Version < oldest:
			m.tooOld.Add(1)
		}
	}
}

// load asks the source.
func (m *member) load(ctx context.Context, key string) (Row, error) {
	return m.ask(ctx, http.MethodGet, fmt.Sprintf("%s?process=%d", key, m.Number))
}

// delete changes a row and deletes its key, now and then.
func (m *member) delete(ctx context.Context) {
	for pause(ctx, deletePace); ctx.Err() == nil; pause(ctx, deletePace/2+rand.N(deletePace)) {
		key := keys[rand.N(len(keys))]
		row, err := m.ask(context.Background(), http.MethodPost, key)
		if err == nil {
			err = m.loader.Delete(context.Background(), key)
		}
		if err != nil {
			m.errors.Add(1)
			continue
		}
		m.fences.raise(key, row.Version, true)
		m.ask(context.Background(), http.MethodPost, fmt.Sprintf("%s?deleted=%d", key, row.Version))
	}
}

func (m *member) ask(ctx context.Context, method, path string) (row Row, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+m.Source+"/"+path, nil)
	if err != nil {
		return row, err
	}
	reply, err := m.source.Do(r)
	if err != nil {
		return row, err
	}
	defer reply.Body.Close()
	err = json.NewDecoder(reply.Body).Decode(&row)
	if err == io.EOF { // a reply without a row
		err = nil
	}
	return row, err
}

// drain waits for the refreshes under way: Close would cut them off, and they
// would count as loads that nothing came of.
func (m *member) drain() {
	for range 500 {
		if !slices.ContainsFunc(keys, m.busy) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// busy reports whether there is a flight of key.
func (m *member) busy(key string) bool {
	for busy := range m.loader.InFlight() {
		if busy == key {
			return true
		}
	}
	return false
}

// word is what a process says of itself.
type word struct {
	report.Process
	Final bool
}

func (m *member) count(final bool) word {
	s := m.loader.Stats()
	return word{Final: final, Process: report.Process{
		Number:        m.Number,
		Calls:         int(m.calls.Load()),
		Errors:        int(m.errors.Load()),
		DeletedServed: int(m.tooOld.Load()),
		Longest:       time.Duration(m.longest.Load()),
		Loads:         int(s.Loads),
		Leases:        int(s.Leases),
		LeaseWaits:    int(s.LeaseWaits),
		Takeovers:     int(s.Takeovers),
		Discarded:     int(s.Discarded),
	}}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
