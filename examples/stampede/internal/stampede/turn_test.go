package stampede

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// patient is a set-up whose every call takes 30 ms, whatever its caller wants.
type patient struct {
	deleteErr error
	deletes   *int // counts them; may be nil
}

func (p patient) get(ctx context.Context, _ string) (Row, error) {
	time.Sleep(at(30))
	return Row{Version: 3, Loaded: at(1)}, ctx.Err()
}

func (p patient) delete(context.Context, string) error {
	if p.deletes != nil {
		*p.deletes++
	}
	return p.deleteErr
}

func (p patient) stop(context.Context) (loads int, _ error) { return 0, nil }

// play plays steps to a set-up and returns what was recorded of its calls and
// deletes, in the order of their ends.
func play(t *testing.T, set setUp, callers int, steps ...report.Step) []report.Event {
	c, _, stop := openTest(t)
	defer stop()
	rec := newRecorder("test", at(1000))
	turn := newTurn(set, c, rec.record)
	turn.callers = make(chan struct{}, callers)
	if err := turn.run(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	return rec.events
}

func callAt(due, wait time.Duration) report.Step {
	return report.Step{Due: due, Kind: report.KindCall, Key: "key", Patience: wait}
}

func TestTurnCalls(t *testing.T) {
	for _, test := range []struct {
		name    string
		callers int
		steps   []report.Step
		want    []report.Event
	}{
		{"calls overlap", 2, []report.Step{callAt(at(10), patience), callAt(at(20), patience)}, []report.Event{
			{Due: at(10), Began: at(10), Ended: at(40), Patience: patience, Version: 3, Loaded: at(1)},
			{Due: at(20), Began: at(20), Ended: at(50), Patience: patience, Version: 3, Loaded: at(1)},
		}},
		{"the impatient leave", 2, []report.Step{callAt(at(10), impatience)}, []report.Event{
			{Due: at(10), Began: at(10), Ended: at(40), Patience: impatience, Err: "context deadline exceeded", Left: true},
		}},
		{"others fail at their deadline", 2, []report.Step{callAt(at(10), at(20))}, []report.Event{
			{Due: at(10), Began: at(10), Ended: at(40), Patience: at(20), Err: "context deadline exceeded"},
		}},
		{"a call over the bound is not begun", 1, []report.Step{callAt(at(10), patience), callAt(at(20), patience)}, []report.Event{
			{Due: at(20), Began: at(20), Ended: at(20), Patience: patience, Err: errCrowded.Error()},
			{Due: at(10), Began: at(10), Ended: at(40), Patience: patience, Version: 3, Loaded: at(1)},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i := range test.want {
					e := &test.want[i]
					e.SetUp, e.Kind, e.Key = "test", report.KindCall, "key"
				}
				if got := play(t, patient{}, test.callers, test.steps...); !slices.Equal(got, test.want) {
					t.Errorf("recorded %+v\nwant %+v", got, test.want)
				}
			})
		})
	}
}

// A delete that failed in the cache is not acknowledged, though its row changed.
func TestTurnDeletes(t *testing.T) {
	for _, deleteErr := range []error{nil, errors.New("cache is down")} {
		synctest.Test(t, func(t *testing.T) {
			got := play(t, patient{deleteErr: deleteErr}, 1, report.Step{Due: at(5), Kind: report.KindDelete, Key: "key"})
			want := report.Event{
				SetUp: "test", Kind: report.KindDelete, Due: at(5), Began: at(5), Ended: at(5), Key: "key", Version: 2,
			}
			if deleteErr != nil {
				want.Err = deleteErr.Error()
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("recorded %+v\nwant %+v", got, want)
			}
		})
	}
}

// A row that could not be changed keeps its key.
func TestTurnDeleteWithoutSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, stop := openTest(t)
		stop()
		deletes, rec := 0, newRecorder("test", at(1000))
		newTurn(patient{deletes: &deletes}, c, rec.record).delete(t.Context(), report.Step{Key: "key"})
		if deletes != 0 || rec.events[0].Err == "" || rec.events[0].Version != 0 {
			t.Errorf("%d deletes, recorded %+v", deletes, rec.events[0])
		}
	})
}
