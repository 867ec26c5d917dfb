package report

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Run is a record, sorted by what its events tell.
type Run struct {
	Seed   uint64
	Break  string
	TTL    time.Duration
	Phases []Event
	Turns  []*Turn // in the order of [SetUps]
}

// Turn is what one set-up did with the schedule.
type Turn struct {
	SetUp   string
	Calls   []Event
	Deletes []Event
	Moods   []Event
	Queries []Event
	Source  *Event // the source's own count
	Stats   *Event // Corral's
}

// Collect sorts events into a Run. It fails if the head, a set-up or a source's
// closing count is missing: a record that was cut off proves nothing.
func Collect(events []Event) (*Run, error) {
	run := &Run{}
	turns := map[string]*Turn{}
	for _, name := range SetUps {
		turns[name] = &Turn{SetUp: name}
		run.Turns = append(run.Turns, turns[name])
	}
	for i, e := range events {
		if e.Kind == KindRun {
			run.Seed, run.Break, run.TTL = e.Seed, e.Break, e.TTL
			continue
		}
		if e.Kind == KindPhase {
			run.Phases = append(run.Phases, e)
			continue
		}
		turn, ok := turns[e.SetUp]
		if !ok {
			return nil, fmt.Errorf("event %d: unknown set-up %q", i+1, e.SetUp)
		}
		if err := turn.add(e); err != nil {
			return nil, fmt.Errorf("event %d: %w", i+1, err)
		}
	}
	return run, run.complete()
}

func (t *Turn) add(e Event) error {
	switch e.Kind {
	case KindCall:
		t.Calls = append(t.Calls, e)
	case KindDelete:
		t.Deletes = append(t.Deletes, e)
	case KindMood:
		t.Moods = append(t.Moods, e)
	case KindQuery:
		t.Queries = append(t.Queries, e)
	case KindSource:
		t.Source = &e
	case KindStats:
		t.Stats = &e
	default:
		return fmt.Errorf("unknown kind %q", e.Kind)
	}
	return nil
}

func (r *Run) complete() error {
	if r.TTL <= 0 || len(r.Phases) == 0 {
		return errors.New("the record has no head: no TTL or no phases")
	}
	for _, turn := range r.Turns {
		if turn.Source == nil {
			return fmt.Errorf("the record ends before %s did: its source's count is missing", turn.SetUp)
		}
	}
	if r.Turns[len(r.Turns)-1].Stats == nil {
		return errors.New("the record has no Stats of Corral")
	}
	return nil
}

// Steps returns the schedule as this turn was given it.
func (t *Turn) Steps() []Step {
	var steps []Step
	for _, e := range slices.Concat(t.Moods, t.Calls, t.Deletes) {
		steps = append(steps, Step{
			Due: e.Due, Kind: e.Kind, Key: e.Key, Patience: e.Patience, Mood: e.Mood, Cost: e.Cost,
		})
	}
	SortSteps(steps)
	return steps
}

// SortSteps brings steps into the one order that a schedule has.
func SortSteps(steps []Step) {
	slices.SortStableFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Patience, b.Patience))
	})
}
