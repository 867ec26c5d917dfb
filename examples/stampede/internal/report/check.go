package report

import (
	"fmt"
	"slices"
)

// Check finds what would make a record worthless, whatever its table says. It
// returns one sentence for each fault.
//
//  1. Every set-up was given the same schedule.
//  2. The log of each source is whole: as many lines as the source counted.
//  3. Every value answered was read from the source before.
//  4. Each delete made the next version of its row.
//  5. Corral's own count of loads is the source's count of queries.
func Check(run *Run) []string {
	var faults []string
	say := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	steps := run.Turns[0].Steps()
	for _, turn := range run.Turns {
		if !slices.Equal(turn.Steps(), steps) {
			say("%s was given another schedule than %s", turn.SetUp, run.Turns[0].SetUp)
		}
		if len(turn.Queries) != turn.Source.Count {
			say("%s: the log has %d queries, its source counted %d", turn.SetUp, len(turn.Queries), turn.Source.Count)
		}
		if call, ok := unreadAnswer(turn); ok {
			say("%s: %s was answered with version %d, which the source never gave out",
				turn.SetUp, call.Key, call.Version)
		}
		if e, ok := skippedVersion(turn); ok {
			say("%s: a delete of %s made version %d out of turn", turn.SetUp, e.Key, e.Version)
		}
	}
	last := run.Turns[len(run.Turns)-1]
	if loads := last.Stats.Count - last.Stats.Unsent; loads != len(last.Queries) {
		say("Corral counted %d loads, its source %d queries", loads, len(last.Queries))
	}
	return faults
}

// unreadAnswer finds an answer that no query of the turn had read.
func unreadAnswer(turn *Turn) (Event, bool) {
	type read struct {
		key     string
		version int64
	}
	reads := map[read]bool{}
	for _, query := range turn.Queries {
		if query.Err == "" {
			reads[read{query.Key, query.Version}] = true
		}
	}
	for _, call := range turn.Calls {
		if call.Err == "" && !reads[read{call.Key, call.Version}] {
			return call, true
		}
	}
	return Event{}, false
}

// skippedVersion finds a delete whose row did not go up by one. Rows begin at
// version 1.
func skippedVersion(turn *Turn) (Event, bool) {
	versions := map[string][]Event{}
	for _, e := range turn.Deletes {
		if e.Version > 0 { // zero: the source could not be asked
			versions[e.Key] = append(versions[e.Key], e)
		}
	}
	for _, deletes := range versions {
		slices.SortFunc(deletes, func(a, b Event) int { return int(a.Version - b.Version) })
		for i, e := range deletes {
			if e.Version != int64(i)+2 {
				return e, true
			}
		}
	}
	return Event{}, false
}
