package measure

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{3, 1, 2}, Spread{1, 2, 3}},
		{[]float64{4, 1, 2, 9}, Spread{1, 3, 9}},
	} {
		if got := spread(test.values); got != test.want {
			t.Errorf("spread(%v) = %v, want %v", test.values, got, test.want)
		}
	}
}

// A ratio is taken round by round: a round in which the machine was twice as slow
// does not count twice.
func TestRatioIsOfTheSameRound(t *testing.T) {
	r := Result{Case: &Case{Rival: "b"}, Rows: []Measured{
		{Name: "a", Samples: []Sample{{Ns: 10}, {Ns: 100}, {Ns: 20}}},
		{Name: "b", Samples: []Sample{{Ns: 20}, {Ns: 200}, {Ns: 40}}},
		{Name: "failed", Err: errors.New("on purpose")},
	}}
	if got, ok := r.Ratio("a", "b"); !ok || got != (Spread{0.5, 0.5, 0.5}) {
		t.Errorf("the ratio is %v, %v, want 0.5", got, ok)
	}
	if _, ok := r.Ratio("failed", "b"); ok {
		t.Error("a row that failed has a ratio")
	}
}

// What a row is opened, called and closed for; one that fails costs the others
// nothing.
func TestRun(t *testing.T) {
	opened, closed, called := 0, 0, 0
	good := Row{"good", func(int) (*Subject, error) {
		opened++
		return &Subject{
			Call:  func(_, n int) error { called += n; time.Sleep(time.Microsecond); return nil },
			Extra: func() map[string]float64 { return map[string]float64{"calls": float64(called)} },
			Close: func() { closed++ },
		}, nil
	}}
	bad := Row{"bad", func(int) (*Subject, error) { return nil, errors.New("on purpose") }}
	c := &Case{Rival: "good", Rows: []Row{bad, good}, Fresh: true, Targets: []Target{{Row: "good", Rival: "good", At1: 1}, {Row: "bad", At1: 1}}}
	r := Run(c, 1, Settings{Rounds: 3, Length: time.Millisecond})

	if r.Rows[0].Err == nil || len(r.Rows[1].Samples) != 3 {
		t.Errorf("the rows are %+v, want one failed and one with 3 samples", r.Rows)
	}
	if opened != 4 || closed != 4 {
		t.Errorf("opened %d times and closed %d times, want 4: once, and for each round", opened, closed)
	}
	if got := r.Rows[1].Extra["calls"]; got != 1 {
		t.Errorf("%v calls counted per call, want 1", got)
	}
	if called != r.Rows[1].Calls {
		t.Errorf("%d calls made, %d known", called, r.Rows[1].Calls)
	}
	if goals := r.Goals(); len(goals) != 1 || !goals[0].Reached() {
		t.Errorf("the goals are %+v, want the one of the row that ran, reached", goals)
	}
}

// What is counted besides is to be met exactly: a share less is somebody else's work.
func TestGoalOfAnExtra(t *testing.T) {
	c := &Case{Targets: []Target{{Row: "row", Extra: "GETs", At1: 1}}}
	for got, want := range map[float64]bool{1: true, 0.99: false, 1.01: false} {
		r := Result{Case: c, CPUs: 1, Rows: []Measured{{Name: "row", Extra: map[string]float64{"GETs": got}}}}
		if goals := r.Goals(); len(goals) != 1 || goals[0].Reached() != want {
			t.Errorf("%v by call: the goals are %+v, want one, reached %v", got, goals, want)
		}
	}
}

func TestCheckFailsTheRow(t *testing.T) {
	row := Row{"row", func(int) (*Subject, error) {
		return &Subject{
			Call:  func(int, int) error { return nil },
			Check: func(int) error { return errors.New("on purpose") },
			Close: func() {},
		}, nil
	}}
	r := Run(&Case{Rows: []Row{row}, MaxCalls: 10}, 1, Settings{Rounds: 1, Length: time.Millisecond})
	if r.Rows[0].Err == nil {
		t.Error("what Check found does not fail the row")
	}
	if slices.ContainsFunc(r.Rows, func(m Measured) bool { return m.Of(Ns).Median < 0 }) {
		t.Error("a time below zero")
	}
}
