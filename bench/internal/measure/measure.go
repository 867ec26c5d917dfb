// Package measure times what does the same job side by side: in each round every
// row runs once, in another order each time, so that what the machine does
// meanwhile meets all of them.
package measure

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// Case is a question, and the rows that answer it.
type Case struct {
	Group string // the scenario, as -scenario selects it
	Name  string
	Rival string // the row that the others are compared with
	Rows  []Row

	// Workers returns how many goroutines call; nil is one per CPU.
	Workers func(cpus int) int

	// Fresh makes every round begin with a new subject.
	Fresh bool

	// MaxCalls bounds the calls of a round; zero does not.
	MaxCalls int

	// Targets are what rows are to reach.
	Targets []Target
}

// Target bounds a row at 1 and at 2 CPUs.
type Target struct {
	Row      string
	Rival    string // the bound is a share of this row's time; empty: it is a number
	Extra    string // of this, which is to be met exactly; empty: of allocations
	At1, At2 float64

	// Why says, if the target is not reached, why not; Floor is the row, if there is
	// one, that shows it.
	Why, Floor string
}

// At returns the target for a number of CPUs.
func (t Target) At(cpus int) float64 {
	if cpus == 1 {
		return t.At1
	}
	return t.At2
}

// Row is one contender in a case.
type Row struct {
	Name string
	Open func(cpus int) (*Subject, error)
}

// Subject is a row that is ready to run.
type Subject struct {
	// Call makes n calls on behalf of a worker.
	Call func(worker, n int) error

	// Prepare, if it is not nil, gets ready what a worker needs for its n calls;
	// it is not timed.
	Prepare func(worker, n int)

	// Extra, if it is not nil, tells of what was counted besides. It is called
	// before and after each round, and what it grew by is given per call.
	Extra func() map[string]float64

	// Check, if it is not nil, says what is wrong after calls calls.
	Check func(calls int) error

	Close func()
}

// Settings say how long to measure.
type Settings struct {
	Rounds int
	Length time.Duration // of one row in one round
}

// Sample is one row in one round.
type Sample struct {
	Ns     float64 // per call, over all workers: elapsed time by calls
	Bytes  float64
	Allocs float64
}

// Measured is a row with its samples, a round each.
type Measured struct {
	Name    string
	Samples []Sample
	Calls   int
	Extra   map[string]float64 // per call
	Err     error              // why there are no samples
}

// Result is a case at a number of CPUs.
type Result struct {
	Case *Case
	CPUs int
	Rows []Measured
}

// running is a row during the rounds.
type running struct {
	row     Row
	subject *Subject
	n       int // calls of a round
	counted int // calls of all rounds
	out     Measured
}

// Run measures a case.
func Run(c *Case, cpus int, s Settings) Result {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cpus))
	workers := cpus
	if c.Workers != nil {
		workers = c.Workers(cpus)
	}
	rows := make([]*running, len(c.Rows))
	for i, row := range c.Rows {
		rows[i] = &running{row: row, out: Measured{Name: row.Name}}
		rows[i].out.Err = rows[i].start(c, cpus, workers, s)
	}
	for range s.Rounds {
		runtime.GC()
		for _, i := range rand.Perm(len(rows)) {
			if r := rows[i]; r.out.Err == nil {
				r.out.Err = r.round(c, cpus, workers)
			}
		}
	}
	result := Result{Case: c, CPUs: cpus}
	for _, r := range rows {
		r.finish()
		result.Rows = append(result.Rows, r.out)
	}
	return result
}

// start opens the subject and finds out how many calls make a round.
func (r *running) start(c *Case, cpus, workers int, s Settings) (err error) {
	if r.subject, err = r.row.Open(cpus); err != nil {
		return err
	}
	for r.n = workers; ; r.n *= 2 {
		took, err := r.calls(workers, r.n, nil)
		if err != nil {
			return err
		}
		if c.MaxCalls > 0 && r.n >= c.MaxCalls {
			r.n = c.MaxCalls
			break
		}
		if took >= s.Length/4 {
			r.n = max(workers, int(float64(r.n)*float64(s.Length)/float64(took)))
			break
		}
	}
	if c.MaxCalls > 0 {
		r.n = min(r.n, c.MaxCalls)
	}
	return nil
}

// round is the row's turn.
func (r *running) round(c *Case, cpus, workers int) (err error) {
	if c.Fresh {
		r.subject.Close()
		if r.subject, err = r.row.Open(cpus); err != nil {
			r.subject = nil
			return err
		}
	}
	before := r.extra()
	var sample Sample
	if _, err := r.calls(workers, r.n, &sample); err != nil {
		return err
	}
	r.out.Samples = append(r.out.Samples, sample)
	r.counted += r.n / workers * workers
	for name, n := range r.extra() {
		if r.out.Extra == nil {
			r.out.Extra = make(map[string]float64)
		}
		r.out.Extra[name] += n - before[name]
	}
	return nil
}

func (r *running) extra() map[string]float64 {
	if r.subject.Extra == nil {
		return nil
	}
	return r.subject.Extra()
}

// calls makes n calls, spread over the workers.
func (r *running) calls(workers, n int, sample *Sample) (time.Duration, error) {
	each := max(1, n/workers)
	total := each * workers
	r.out.Calls += total
	errs := make([]error, workers)
	start := make(chan struct{})
	var ready, done sync.WaitGroup
	for w := range workers {
		if r.subject.Prepare != nil {
			r.subject.Prepare(w, each)
		}
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			errs[w] = r.subject.Call(w, each)
		})
	}
	ready.Wait()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	close(start)
	done.Wait()
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	if sample != nil {
		*sample = Sample{
			Ns:     float64(took.Nanoseconds()) / float64(total),
			Bytes:  float64(after.TotalAlloc-before.TotalAlloc) / float64(total),
			Allocs: float64(after.Mallocs-before.Mallocs) / float64(total),
		}
	}
	return took, errors.Join(errs...)
}

// finish closes the subject, once what it counted is known.
func (r *running) finish() {
	if r.subject == nil {
		return
	}
	for name := range r.out.Extra {
		r.out.Extra[name] /= float64(max(1, r.counted))
	}
	if r.out.Err == nil && r.subject.Check != nil {
		if err := r.subject.Check(r.out.Calls); err != nil {
			r.out.Err = fmt.Errorf("checked after the run: %w", err)
		}
	}
	r.subject.Close()
}
