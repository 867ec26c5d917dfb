package fleet

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/corralcache/corral/examples/fleet/internal/report"
)

// Row is what the source has under a key: a number that grows when the row
// changes.
type Row struct{ Version int }

// source is the database of all processes, behind HTTP, and its log:
//
//	GET  /KEY?process=2    a load: takes its time and returns the Row
//	POST /KEY              the row changes; returns the Row
//	POST /KEY?deleted=3    a Delete of the key has returned that began after
//	                       the change to version 3
type source struct {
	cost    time.Duration                 // of a load
	begun   func(process int, key string) // is told of each load; may be nil
	deleted func(key string, version int) // is told of each Delete that has returned; may be nil
	start   time.Time

	mu   sync.Mutex
	rows map[string]int // version - 1; guarded by mu, as is log
	log  report.Log
}

func newSource(ttl, cost time.Duration) *source {
	return &source{cost: cost, start: time.Now(), rows: map[string]int{}, log: report.Log{TTL: ttl}}
}

func (s *source) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, query := r.URL.Path[1:], r.URL.Query()
	switch {
	case r.Method == http.MethodGet:
		process, _ := strconv.Atoi(query.Get("process"))
		if row, ok := s.load(r.Context(), process, key); ok {
			json.NewEncoder(w).Encode(row)
		}
	case query.Has("deleted"):
		version, _ := strconv.Atoi(query.Get("deleted"))
		s.didDelete(key, version)
	default:
		json.NewEncoder(w).Encode(s.change(key))
	}
}

// load is a query. It has no end in the log if the process that asked is gone
// before its answer.
func (s *source) load(ctx context.Context, process int, key string) (Row, bool) {
	s.mu.Lock()
	row := Row{Version: s.rows[key] + 1}
	line := len(s.log.Loads)
	s.log.Loads = append(s.log.Loads, report.Load{Key: key, Process: process, Began: time.Since(s.start)})
	s.mu.Unlock()
	if s.begun != nil {
		s.begun(process, key)
	}
	select {
	case <-time.After(s.cost):
	case <-ctx.Done():
		return row, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Loads[line].Ended = time.Since(s.start)
	return row, true
}

func (s *source) change(key string) Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[key]++
	s.log.Deletes = append(s.log.Deletes, report.Delete{Key: key, Began: time.Since(s.start)})
	return Row{Version: s.rows[key] + 1}
}

func (s *source) didDelete(key string, version int) {
	s.mu.Lock()
	for i := range slices.Backward(s.log.Deletes) {
		if d := &s.log.Deletes[i]; d.Key == key && d.Ended == 0 {
			d.Ended = time.Since(s.start)
			break
		}
	}
	s.mu.Unlock()
	if s.deleted != nil {
		s.deleted(key, version)
	}
}

func (s *source) kill(process int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Kills = append(s.log.Kills, report.Kill{Process: process, At: time.Since(s.start)})
}

// snapshot returns the log up to now.
func (s *source) snapshot() *report.Log {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &report.Log{
		TTL: s.log.TTL, Loads: slices.Clone(s.log.Loads),
		Deletes: slices.Clone(s.log.Deletes), Kills: slices.Clone(s.log.Kills),
	}
}
