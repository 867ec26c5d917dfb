// Package economy counts what a stampede costs: in real time, each contender in
// a process of its own.
package economy

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/redisd"
)

// Scenario is one kind of stampede.
type Scenario struct {
	Name   string
	Shared bool // four processes over one server
	stale  bool // stale values may be served
	spread bool
	ttl    time.Duration
	keys   int
	took   time.Duration // by a load
	errors int           // that callers must get
	run    func(r run) Outcome
}

// run is one contender in one scenario.
type run struct {
	Scenario
	crowd  *crowd
	source *source
	length time.Duration
}

const long = 30 * time.Second // a TTL or stale window that does not end meanwhile

// Scenarios returns them all.
func Scenarios() []Scenario {
	return []Scenario{
		{Name: "cold key, 1,000 callers", ttl: long, keys: 1, took: 100 * time.Millisecond, run: cold},
		{Name: "hot key expiring, 200 callers", stale: true, ttl: 250 * time.Millisecond, keys: 1, took: 50 * time.Millisecond, run: hot},
		{Name: "10,000 keys expiring together, 1,000 callers", stale: true, spread: true, ttl: 3 * time.Second, keys: 10_000, took: 5 * time.Millisecond, run: together},
		{Name: "leader cancelled, 99 others", ttl: long, keys: 1, took: 100 * time.Millisecond, run: leaderLeaves},
		{Name: "load panics, 64 callers", ttl: long, keys: 1, took: 20 * time.Millisecond, errors: 64, run: panics},
		{Name: "source failing for a second, 100 callers", stale: true, ttl: 100 * time.Millisecond, keys: 1, took: 10 * time.Millisecond, run: fails},
		{Name: "delete under load", ttl: long, keys: 1, took: 100 * time.Millisecond, run: deletes},
		{Name: "hot key expiring, 4 processes of 50 callers", Shared: true, stale: true, ttl: time.Second, keys: 1, took: 50 * time.Millisecond},
	}
}

// Best reports whether an outcome is the best there is: no load but the least, no error
// of somebody else's, nothing from before a Delete, everybody back. Where a stale value
// may be served nobody waits for a load, as far as a busy machine lets that be told from
// waiting for a processor.
func (s Scenario) Best(o Outcome) bool {
	waited := s.stale && s.took >= 50*time.Millisecond && o.Slowest >= s.took
	return o.Died == "" && o.Impaired == "" && (o.Least == 0 || o.Loads == o.Least) &&
		o.Errors == s.errors && o.Deleted == 0 && o.Hung == 0 && !waited
}

// Part is the name of the child.
const Part = "economy"

type question struct {
	Scenario  string
	Contender string
	Length    time.Duration // of what goes on for a while
	Addr      string        // of the server, where it is shared
	Begin     time.Time
}

// Child is the child's part.
func Child(arg []byte) (any, error) {
	var q question
	if err := json.Unmarshal(arg, &q); err != nil {
		return nil, err
	}
	for _, s := range Scenarios() {
		if s.Name == q.Scenario {
			return s.answer(q)
		}
	}
	return nil, fmt.Errorf("no scenario %q", q.Scenario)
}

func (s Scenario) answer(q question) (Outcome, error) {
	c, _ := contender.Named(q.Contender)
	open := c.Service
	if s.Shared {
		open = c.Shared
	}
	if open == nil {
		return Outcome{}, fmt.Errorf("%q takes no part", q.Contender)
	}
	if s.spread { // the shortest in which all can be filled, and loaded once more
		s.ttl = max(2*time.Second, min(s.ttl, q.Length))
	}
	r := run{Scenario: s, source: newSource(s.took), length: q.Length}
	opts := contender.ServiceOptions{
		Load: r.source.load, TTL: s.ttl, Capacity: max(1000, s.keys), Spread: s.spread, Addr: q.Addr,
	}
	if s.stale {
		opts.StaleFor = long
	}
	service, err := open(opts)
	if err != nil {
		return Outcome{}, err
	}
	r.crowd = &crowd{service: service, ttl: s.ttl}
	if s.Shared {
		return process(r, q.Begin), nil
	}
	return s.run(r), nil
}

// Row is a contender's outcome.
type Row struct {
	Contender string
	Outcome
}

// Settings say how long the stampedes are that go on for a while.
type Settings struct{ Length time.Duration }

// Run lets every contender of a scenario have its stampede, one after the other.
func Run(s Scenario, set Settings, server func() (*redisd.Server, error)) ([]Row, error) {
	var rows []Row
	for _, c := range contender.All() {
		q := question{Scenario: s.Name, Contender: c.Name, Length: set.Length}
		switch {
		case s.Shared && c.Shared != nil:
			o, err := runProcesses(s, q, server)
			if err != nil {
				return nil, err
			}
			rows = append(rows, Row{c.Name, o})
		case !s.Shared && c.Service != nil:
			var o Outcome
			if err := child.Run(Part, q, &o, set.Length+10*time.Second); err != nil {
				o = Outcome{Died: err.Error()}
			}
			rows = append(rows, Row{c.Name, o})
		}
	}
	return rows, nil
}

const processes = 4

// runProcesses runs one contender in four processes on one server.
func runProcesses(s Scenario, q question, server func() (*redisd.Server, error)) (Outcome, error) {
	d, err := server()
	if err != nil {
		return Outcome{}, err
	}
	if err := d.Empty(); err != nil {
		return Outcome{}, err
	}
	const start = 500 * time.Millisecond // until all of them are up
	q.Addr, q.Begin, q.Length = d.Addr, time.Now().Add(start), max(q.Length, s.ttl+s.ttl/2)
	outcomes, errs := make([]Outcome, processes), make(chan error, processes)
	for i := range outcomes {
		go func() { errs <- child.Run(Part, q, &outcomes[i], q.Length+10*time.Second) }()
	}
	var failed error
	for range outcomes {
		failed = errors.Join(failed, <-errs)
	}
	if failed != nil {
		return Outcome{Died: failed.Error()}, nil
	}
	sum := outcomes[0]
	for _, o := range outcomes[1:] {
		sum.add(o)
	}
	return sum, nil
}

// add adds what another process of the same scenario saw. The waits that one
// call in a thousand exceeds are the worst process's.
func (o *Outcome) add(other Outcome) {
	o.Loads += other.Loads
	o.Peak += other.Peak
	o.Calls += other.Calls
	o.Errors += other.Errors
	o.Stale += other.Stale
	o.Deleted += other.Deleted
	o.Hung += other.Hung
	o.Slowest = max(o.Slowest, other.Slowest)
	o.P999 = max(o.P999, other.P999)
}
