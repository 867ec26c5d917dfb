package report

import "time"

// clockGrace is how much older than its TTL an answer may be before it counts as
// stale: the time between the end of a load and the cache's own clock reading,
// on a busy machine.
const clockGrace = 20 * time.Millisecond

// Table is what the example prints at its end.
type Table struct {
	Break  string
	Phases []string
	Least  []int // queries of a perfect cache, one number for each phase
	Rows   []Row // one for each set-up
}

// Row is one set-up's line of the table.
type Row struct {
	SetUp    string
	Calls    int
	Queries  []int // by phase, from the source's own log
	Failed   []int // by phase: callers who got an error they did not ask for
	Slowest  time.Duration
	Recovery time.Duration // from the source's recovery to the last error or slow answer
	Stale    int           // answers older than the TTL when their call began
	Deleted  int           // answers below the last delete acknowledged before their call began
	Loads    int           // Corral's own count; -1 for the others
}

// Compute makes the table of a run.
func Compute(run *Run) Table {
	t := Table{
		Break: run.Break,
		Least: Least(run.TTL, run.Phases, run.Turns[0].Steps()),
	}
	for _, phase := range run.Phases {
		t.Phases = append(t.Phases, phase.Name)
	}
	for _, turn := range run.Turns {
		t.Rows = append(t.Rows, computeRow(run, turn))
	}
	return t
}

func computeRow(run *Run, turn *Turn) Row {
	row := Row{
		SetUp:    turn.SetUp,
		Calls:    len(turn.Calls),
		Queries:  make([]int, len(run.Phases)),
		Failed:   make([]int, len(run.Phases)),
		Recovery: recovery(run.Phases, turn),
		Deleted:  deletedServed(turn),
		Loads:    -1,
	}
	if turn.Stats != nil {
		row.Loads = turn.Stats.Count
	}
	for _, query := range turn.Queries {
		row.Queries[phaseAt(run.Phases, query.Began)]++
	}
	for _, call := range turn.Calls {
		row.Slowest = max(row.Slowest, call.Ended-call.Began)
		if failed(call) {
			row.Failed[phaseAt(run.Phases, call.Due)]++
		}
		if call.Err == "" && call.Began > call.Loaded+run.TTL+clockGrace {
			row.Stale++
		}
	}
	return row
}

// failed tells an error from the end of a caller's own patience.
func failed(call Event) bool { return call.Err != "" && !call.Left }

// recovery looks at the phase in which the source failed: how long after it was
// healthy again did a caller still get an error or wait too long?
func recovery(phases []Event, turn *Turn) time.Duration {
	healthy, end := outageEnd(phases, turn.Moods)
	if healthy == 0 {
		return 0
	}
	slow := 3 * turn.Moods[0].Cost // nobody need wait so long for a healthy source
	last := healthy
	for _, call := range turn.Calls {
		if call.Due >= end {
			continue
		}
		if failed(call) || call.Ended-call.Began > slow {
			last = max(last, call.Ended)
		}
	}
	return last - healthy
}

// outageEnd returns when the source last became healthy, and the end of the
// phase in which it did; zero if it never failed.
func outageEnd(phases, moods []Event) (healthy, end time.Duration) {
	for i, mood := range moods {
		if i > 0 && mood.Mood == Healthy {
			healthy = mood.Due
		}
	}
	if healthy == 0 {
		return 0, 0
	}
	return healthy, phases[phaseAt(phases, healthy)].Until
}

// deletedServed counts answers whose row version is below that of a delete
// which had been acknowledged before the call began.
func deletedServed(turn *Turn) int {
	deletes := map[string][]Event{}
	for _, e := range turn.Deletes {
		if e.Err == "" {
			deletes[e.Key] = append(deletes[e.Key], e)
		}
	}
	served := 0
	for _, call := range turn.Calls {
		acknowledged := int64(0)
		for _, e := range deletes[call.Key] {
			if e.Ended < call.Began {
				acknowledged = max(acknowledged, e.Version)
			}
		}
		if call.Err == "" && call.Version < acknowledged {
			served++
		}
	}
	return served
}

// corral returns Corral's row, which is the last.
func (t Table) corral() Row { return t.Rows[len(t.Rows)-1] }

// ratio is the row's queries over the least.
func (t Table) ratio(r Row) float64 {
	return float64(sum(r.Queries)) / float64(max(1, sum(t.Least)))
}

func sum(numbers []int) (total int) {
	for _, n := range numbers {
		total += n
	}
	return total
}
