package report

import (
	"fmt"
	"slices"
)

// The names of the mechanisms that can be switched off.
const (
	BreakFlight = "flight"
	BreakFence  = "fence"
	BreakStale  = "stale"
)

// mostTimesLeast is how many times the least Corral may ask. Early expiry,
// jitter and the retries of a failing source take it to about 1.5.
const mostTimesLeast = 2.5

// mostFailed is the share of Corral's callers who may see an error: none should,
// but a machine may stand still for longer than they wait.
const mostFailed = 0.01

// Conclusion says what the numbers mean, in one sentence computed from them.
func (t Table) Conclusion() string {
	plain, byHand, corral := t.Rows[0], t.Rows[1], t.corral()
	return fmt.Sprintf("%s: %s queries where %s would do (%s and %s without it), "+
		"%s errors (%s and %s), %s deleted values served (%s and %s).",
		Corral, count(sum(corral.Queries)), count(sum(t.Least)), count(sum(plain.Queries)), count(sum(byHand.Queries)),
		count(sum(corral.Failed)), count(sum(plain.Failed)), count(sum(byHand.Failed)),
		count(corral.Deleted), count(plain.Deleted), count(byHand.Deleted))
}

// Faults says which promises the table does not keep. With a mechanism switched
// off the promise is turned round: its column must show it, for a table that
// stays clean then cannot be trusted when it is clean otherwise.
func (t Table) Faults() []string {
	corral := t.corral()
	many := t.ratio(corral) > mostTimesLeast
	failed := sum(corral.Failed) > int(mostFailed*float64(corral.Calls))
	switch t.Break {
	case BreakFlight:
		return unless(many, "without flights Corral still asked the source only %.1f times the least", t.ratio(corral))
	case BreakFence:
		return unless(corral.Deleted > 0, "without the fence no deleted value was served")
	case BreakStale:
		return unless(failed, "without stale values only %d callers saw an error", sum(corral.Failed))
	}
	return slices.Concat(
		unless(corral.Deleted == 0, "Corral served %d deleted values; it promises none", corral.Deleted),
		unless(!many, "Corral asked the source %.1f times the least; %.1f is the most expected",
			t.ratio(corral), mostTimesLeast),
		unless(!failed, "%d of Corral's %d callers saw an error; it promises them stale values",
			sum(corral.Failed), corral.Calls),
	)
}

func unless(kept bool, format string, args ...any) []string {
	if kept {
		return nil
	}
	return []string{fmt.Sprintf(format, args...)}
}
