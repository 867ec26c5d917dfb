package reshard

import (
	"context"
	"sync"
	"time"
)

// cost is how long the source takes for a load.
const cost = 2 * time.Millisecond

// Row is what the source has under a key: a number that grows when the row changes.
type Row struct{ Version int }

// source is the database behind a fleet. It counts what it is asked for.
type source struct {
	start time.Time

	mu    sync.Mutex
	rows  map[string]int // guarded by mu, as all below; version - 1
	loads []load
}

// load is a line of the source's log.
type load struct {
	at   time.Duration // since the start
	step int           // of the call that wanted it
}

func newSource(start time.Time) *source { return &source{start: start, rows: map[string]int{}} }

// load is a query, for a call of a step.
func (s *source) load(step int) func(context.Context, string) (Row, error) {
	return func(_ context.Context, key string) (Row, error) {
		s.mu.Lock()
		row := Row{Version: s.rows[key] + 1}
		s.loads = append(s.loads, load{time.Since(s.start), step})
		s.mu.Unlock()
		time.Sleep(cost)
		return row, nil
	}
}

// loadAll is a query for many keys, that counts as one for each.
func (s *source) loadAll(_ context.Context, keys []string) (map[string]Row, error) {
	rows := map[string]Row{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		rows[key] = Row{Version: s.rows[key] + 1}
		s.loads = append(s.loads, load{time.Since(s.start), 0})
	}
	return rows, nil
}

// change changes a row, and returns its version.
func (s *source) change(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[key]++
	return s.rows[key] + 1
}

// of returns how many loads there were for calls of a step.
func (s *source) of(step int) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loads {
		if l.step == step {
			n++
		}
	}
	return n
}

// between returns how many loads began in each whole interval from one time to another.
func (s *source) between(from, to, interval time.Duration) []float64 {
	counts := make([]float64, max(1, int((to-from)/interval)))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loads {
		if i := int((l.at - from) / interval); l.at >= from && i < len(counts) {
			counts[i]++
		}
	}
	return counts
}
