package stampede

import (
	"sync"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// chartStep is the width of a column of the chart.
const chartStep = 100 * time.Millisecond

// recorder keeps the events of one set-up's turn. Callers and the reader of the
// source's log write to it at once.
type recorder struct {
	setUp string

	mu      sync.Mutex // guards the fields below
	events  []report.Event
	queries []float64 // by chartStep
}

func newRecorder(setUp string, length time.Duration) *recorder {
	return &recorder{setUp: setUp, queries: make([]float64, length/chartStep)}
}

func (r *recorder) record(e report.Event) {
	e.SetUp = r.setUp
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	if e.Kind == report.KindQuery {
		r.queries[min(int(e.Began/chartStep), len(r.queries)-1)]++
	}
}

// chart returns the queries of each chartStep so far.
func (r *recorder) chart() []float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]float64(nil), r.queries...)
}
