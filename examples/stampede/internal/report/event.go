// Package report turns the events of a run into its table. The example and its
// verifier share it, so that both see nothing but the events.
package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// The set-ups, in the order of the table.
const (
	Plain  = "no coalescing"
	ByHand = "x/sync by hand"
	Corral = "Corral"
)

// SetUps lists the set-ups in the order of the table.
var SetUps = []string{Plain, ByHand, Corral}

// Kind says what an [Event] tells.
type Kind string

// The kinds of events. Run and Phase stand once at the head; all others belong
// to a set-up.
const (
	KindRun    Kind = "run"    // what was run
	KindPhase  Kind = "phase"  // a part of the schedule
	KindMood   Kind = "mood"   // the source was made healthy, slow or failing
	KindCall   Kind = "call"   // a caller asked for a key
	KindDelete Kind = "delete" // a row was changed and its key deleted
	KindQuery  Kind = "query"  // from the source's own log: one query
	KindSource Kind = "source" // from the source's own log: how many queries it had
	KindStats  Kind = "stats"  // what Corral counted
)

// Mood is the state of the source.
type Mood string

// The moods of the source.
const (
	Healthy Mood = "healthy"
	Slow    Mood = "slow"
	Failing Mood = "failing"
)

// Event is one line of the record. Times count from the start of the set-up's
// turn, in nanoseconds; the source's are by its own clock, started by the same
// command.
type Event struct {
	Kind  Kind   `json:"event"`
	SetUp string `json:"setup,omitempty"`

	Due   time.Duration `json:"due,omitempty"`   // when the schedule wanted it
	Began time.Duration `json:"began,omitempty"` // when it began
	Ended time.Duration `json:"ended,omitempty"` // when it returned

	Key      string        `json:"key,omitempty"`
	Version  int64         `json:"version,omitempty"`  // of the row answered, or made by the delete
	Loaded   time.Duration `json:"loaded,omitempty"`   // call: when the load of its answer returned
	Patience time.Duration `json:"patience,omitempty"` // call: its deadline
	Err      string        `json:"error,omitempty"`
	Left     bool          `json:"left,omitempty"` // call: an impatient caller hung up, as it meant to

	Mood Mood          `json:"mood,omitempty"`
	Cost time.Duration `json:"cost,omitempty"` // mood: what a query takes

	Count  int `json:"count,omitempty"`  // source: its queries; stats: loads
	Unsent int `json:"unsent,omitempty"` // stats: loads whose query could not be sent

	Name  string        `json:"name,omitempty"`  // phase
	About string        `json:"about,omitempty"` // phase: what happens
	Until time.Duration `json:"until,omitempty"` // phase: its end; Due is its beginning

	Seed  uint64        `json:"seed,omitempty"`  // run
	Break string        `json:"break,omitempty"` // run: the mechanism switched off
	TTL   time.Duration `json:"ttl,omitempty"`   // run
}

// Write writes events as JSON lines.
func Write(w io.Writer, events []Event) error {
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	for _, e := range events {
		if err := lines.Encode(e); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// Read reads JSON lines that [Write] wrote. It takes no unknown field: a record
// that says more than this program understands is not verified by it.
func Read(r io.Reader) ([]Event, error) {
	lines := json.NewDecoder(bufio.NewReader(r))
	lines.DisallowUnknownFields()
	var events []Event
	for {
		var e Event
		err := lines.Decode(&e)
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
}
