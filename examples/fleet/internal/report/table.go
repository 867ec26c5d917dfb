package report

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Process is what a process of the fleet counts.
type Process struct {
	Number int
	Killed bool // the numbers are those of its last word

	Calls         int
	Errors        int
	DeletedServed int
	Longest       time.Duration // wait of a caller

	Loads, Leases, LeaseWaits, Takeovers, Discarded int // corral.Stats has them
}

// Table is what the example prints at its end.
type Table struct {
	Log       *Log
	NoLease   bool
	Processes []Process
}

// Print writes a line for each process, then what loads had what reason.
func (t *Table) Print(w io.Writer) {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "process\tcalls\tloads\tleases\tlease waits\ttakeovers\tlongest wait\tdeleted served\t")
	for _, p := range t.Processes {
		name := strconv.Itoa(p.Number)
		if p.Killed {
			name = "(killed) " + name
		}
		line(tab, name, p, t.logged(p.Number))
	}
	line(tab, "all", t.Sum(), len(t.Log.Loads))
	tab.Flush()
	fmt.Fprintf(w, "\n%s\n", t.Conclusion())
}

func line(w io.Writer, name string, p Process, loads int) {
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d ms\t%d\t\n",
		name, p.Calls, loads, p.Leases, p.LeaseWaits, p.Takeovers, p.Longest.Milliseconds(), p.DeletedServed)
}

// logged is the number of a process's lines in the source's log.
func (t *Table) logged(process int) (loads int) {
	for _, load := range t.Log.Loads {
		if load.Process == process {
			loads++
		}
	}
	return loads
}

// Sum adds up all processes; its longest wait is the longest of all.
func (t *Table) Sum() (all Process) {
	for _, p := range t.Processes {
		all.Calls += p.Calls
		all.Errors += p.Errors
		all.DeletedServed += p.DeletedServed
		all.Longest = max(all.Longest, p.Longest)
		all.Loads += p.Loads
		all.Leases += p.Leases
		all.LeaseWaits += p.LeaseWaits
		all.Takeovers += p.Takeovers
		all.Discarded += p.Discarded
	}
	return all
}

// Conclusion says what the loads were for.
func (t *Table) Conclusion() string {
	c := t.Log.Count()
	text := fmt.Sprintf("%d processes, %d expiries (%d by first use, %d by the TTL, %d by a Delete), %d loads",
		len(t.Processes), c.Expiries(), c.First, c.Expired, c.Deleted, c.Loads())
	if t.NoLease {
		return fmt.Sprintf("%s: %.1f for each expiry, as there were no leases.", text, float64(c.Loads())/float64(max(1, c.Expiries())))
	}
	var more []string
	if c.AfterKill > 0 {
		more = append(more, fmt.Sprintf("%d for what the killed process had begun", c.AfterKill))
	}
	if c.Overtaken > 0 {
		more = append(more, fmt.Sprintf("%d for what a Delete had overtaken", c.Overtaken))
	}
	if c.Again > 0 {
		more = append(more, fmt.Sprintf("%d too many (%d takeovers)", c.Again, t.Sum().Takeovers))
	}
	if more == nil {
		return text + ": one for each expiry."
	}
	return text + ": one for each expiry, and " + strings.Join(more, ", ") + "."
}

// Check returns what contradicts the promises of leases, or, without them, that
// nothing did.
func (t *Table) Check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	c, all := t.Log.Count(), t.Sum()
	for _, p := range t.Processes {
		if n := t.logged(p.Number); !p.Killed && n != p.Loads {
			fault("process %d counts %d loads, and the source's log has %d of it", p.Number, p.Loads, n)
		}
	}
	if all.Errors > 0 {
		fault("%d callers got an error", all.Errors)
	}
	if t.NoLease {
		if c.Again == 0 {
			fault("without leases there was no load too many")
		}
		return errors.Join(faults...)
	}
	if c.Again > all.Takeovers {
		fault("%d loads were too many, and %d leases ran out", c.Again, all.Takeovers)
	}
	if c.Overtaken > all.Discarded {
		fault("%d loads may have followed one that a Delete had overtaken, and that befell %d", c.Overtaken, all.Discarded)
	}
	if all.DeletedServed > 0 {
		fault("%d answers were older than a Delete that had returned", all.DeletedServed)
	}
	return errors.Join(faults...)
}
