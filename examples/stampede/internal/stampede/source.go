package stampede

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

const (
	slots     = 64                     // queries that the source answers at once
	queue     = 64                     // queries that may wait for a slot; others are refused
	queueTime = 120 * time.Millisecond // how long they may wait
)

// source is a small database behind a line protocol: rows that only have a
// version, and a limit to the queries that it can bear. One connection carries
// all requests, each with a number that its reply repeats:
//
//	start                    the clock of the log starts
//	get 17 home              → 17 ok 3, or 17 err overloaded
//	bump 18 home             → 18 ok 4: the row has changed
//	mood failing 100ms       from now on; a query takes so long, and fails
//
// Changes of rows are not limited: what they do to the cache is measured here,
// not what a herd does to them.
type source struct {
	log     func(report.Event) // called in any goroutine, one call at a time
	slots   chan struct{}
	queries sync.WaitGroup

	// mu guards the fields below and calls of log.
	mu     sync.Mutex
	start  time.Time
	rows   map[string]int64 // version - 1
	mood   report.Mood
	cost   time.Duration
	inside int // queries that hold a slot or wait for one
	total  int
}

func newSource(log func(report.Event)) *source {
	return &source{
		log: log, slots: make(chan struct{}, slots), start: time.Now(),
		rows: map[string]int64{}, mood: report.Healthy, cost: cost,
	}
}

// serve answers requests until the connection ends and the last query is done,
// then closes the log with the number of its queries.
func (s *source) serve(conn io.ReadWriter) {
	replies := &lineWriter{w: conn}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		s.request(strings.Fields(lines.Text()), replies)
	}
	s.queries.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log(report.Event{Kind: report.KindSource, Count: s.total})
}

func (s *source) request(words []string, replies *lineWriter) {
	switch {
	case len(words) == 1 && words[0] == "start":
		s.mu.Lock()
		s.start = time.Now()
		s.mu.Unlock()
	case len(words) == 3 && words[0] == "get":
		// The query is counted here, in the order of arrival, not in its goroutine.
		query := report.Event{Kind: report.KindQuery, Key: words[2]}
		admitted := s.arrive(&query)
		s.queries.Go(func() { s.query(query, admitted, words[1], replies) })
	case len(words) == 3 && words[0] == "bump":
		replies.printf("%s ok %d\n", words[1], s.bump(words[2]))
	case len(words) == 3 && words[0] == "mood":
		s.setMood(report.Mood(words[1]), words[2])
	}
}

// arrive notes when a query came and says whether there is room for it.
func (s *source) arrive(query *report.Event) (admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query.Began = time.Since(s.start)
	s.total++
	if s.inside >= slots+queue {
		return false
	}
	s.inside++
	return true
}

func (s *source) query(query report.Event, admitted bool, id string, replies *lineWriter) {
	if admitted {
		query.Version, query.Err = s.answer(query.Key)
	} else {
		query.Err = "overloaded"
	}
	s.mu.Lock()
	if admitted {
		s.inside--
	}
	query.Ended = time.Since(s.start)
	s.log(query)
	s.mu.Unlock()
	if query.Err != "" {
		replies.printf("%s err %s\n", id, query.Err)
		return
	}
	replies.printf("%s ok %d\n", id, query.Version)
}

// answer waits for a slot, reads the row and takes its time.
func (s *source) answer(key string) (version int64, fault string) {
	timeout := time.NewTimer(queueTime)
	defer timeout.Stop()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-timeout.C:
		return 0, "timeout"
	}
	s.mu.Lock()
	version, mood, cost := s.rows[key]+1, s.mood, s.cost
	s.mu.Unlock()
	time.Sleep(cost)
	if mood == report.Failing {
		return 0, "failing"
	}
	return version, ""
}

func (s *source) bump(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[key]++
	return s.rows[key] + 1
}

func (s *source) setMood(mood report.Mood, cost string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mood = mood
	s.cost, _ = time.ParseDuration(cost) // a garbled one is none, which its chart would show
}

// lineWriter lets many goroutines write whole lines. An error is not kept: it
// means that the other end has gone, which its reader finds out too.
type lineWriter struct {
	mu sync.Mutex // guards w
	w  io.Writer
}

func (l *lineWriter) printf(format string, args ...any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := fmt.Fprintf(l.w, format, args...)
	return err
}
