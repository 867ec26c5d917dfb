package reshard

import (
	"errors"
	"fmt"
	"io"
)

// table is what the example prints at its end.
type table struct {
	swap bool
	rows []row
}

// row is a step.
type row struct {
	name                  string
	change                bool
	calls, loads, control int
	served, errors        int
	unheard               int // Deletes that failed, and said so
}

func (s *show) table() *table {
	t := &table{swap: s.swap}
	for i, step := range s.steps {
		n := s.traffic.of(i)
		t.rows = append(t.rows, row{
			name: step.name, change: step.change, calls: int(n.calls),
			loads: s.arms[0].source.of(i), control: s.arms[1].source.of(i),
			served: int(n.served), errors: int(n.errors), unheard: int(n.unheard),
		})
	}
	return t
}

// print writes a line for each step, and what they mean.
func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "%-24s%8s%15s%18s%17s\n", "step", "calls", "source loads", "control's loads", "deleted served")
	for i, r := range t.rows {
		fmt.Fprintf(w, "%d %-22s%8d%15d%18d%17d\n", i, r.name, r.calls, r.loads, r.control, r.served)
	}
	fmt.Fprintf(w, "\n%s\n", t.conclusion())
}

func (t *table) changes() (all row) {
	for _, r := range t.rows {
		all.served += r.served
		all.errors += r.errors
		all.unheard += r.unheard
		if r.change {
			all.change = true
			all.calls += r.calls
			all.loads += r.loads
			all.control += r.control
		}
	}
	return all
}

func (t *table) conclusion() string {
	all := t.changes()
	text := fmt.Sprintf("The changes cost %d loads; deleted values were served %d times.", all.loads-all.control, all.served)
	if !all.change {
		text = fmt.Sprintf("There was no change; deleted values were served %d times.", all.served)
	}
	if all.unheard > 0 {
		text += fmt.Sprintf("\n%d Deletes failed while a server was dead, and said so.", all.unheard)
	}
	return text
}

// check returns what contradicts the promises; with -swap, that nothing was seen.
func (t *table) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	all := t.changes()
	if all.errors > 0 {
		fault("%d callers got an error", all.errors)
	}
	switch {
	case t.swap && all.calls >= 1000 && 2*all.loads < 3*all.control: // fewer callers are no herd
		fault("a plain swap cost only %d loads: that shows nothing", all.loads-all.control)
	case !t.swap && all.served > 0:
		fault("deleted values were served %d times", all.served)
	}
	// A machine that has no time loses leases, and what was loaded under them. A herd
	// is more than that.
	if !t.swap && all.loads > 2*all.control+20 {
		fault("the changes cost %d loads", all.loads-all.control)
	}
	return errors.Join(faults...)
}
