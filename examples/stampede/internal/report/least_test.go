package report

import (
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

func call(due time.Duration, key string) Step { return Step{Due: due, Kind: KindCall, Key: key} }
func del(due time.Duration, key string) Step  { return Step{Due: due, Kind: KindDelete, Key: key} }
func mood(due time.Duration, m Mood, cost time.Duration) Step {
	return Step{Due: due, Kind: KindMood, Mood: m, Cost: cost}
}

// The TTL is 100 ms, a query takes 10 ms, and there are two phases of 500 ms.
func TestLeast(t *testing.T) {
	phases := []Event{
		{Kind: KindPhase, Name: "one", Due: 0, Until: 500 * ms},
		{Kind: KindPhase, Name: "two", Due: 500 * ms, Until: 1000 * ms},
	}
	healthy := mood(0, Healthy, 10*ms)
	for _, test := range []struct {
		name  string
		steps []Step
		want  []int
	}{
		{"nobody asks", []Step{healthy}, []int{0, 0}},
		{"one call, one query", []Step{healthy, call(0, "a")}, []int{1, 0}},
		{"those who ask while it runs share it", []Step{healthy, call(0, "a"), call(5*ms, "a")}, []int{1, 0}},
		{"those who ask while it is fresh need none", []Step{healthy, call(0, "a"), call(110*ms-1, "a")}, []int{1, 0}},
		{"the end of freshness is not fresh", []Step{healthy, call(0, "a"), call(110*ms, "a")}, []int{2, 0}},
		{"keys share nothing", []Step{healthy, call(0, "a"), call(0, "b")}, []int{2, 0}},
		{"a delete costs a query", []Step{healthy, call(0, "a"), del(50*ms, "a"), call(60*ms, "a")}, []int{2, 0}},
		{"a delete nobody asks after costs none", []Step{healthy, call(0, "a"), del(50*ms, "a")}, []int{1, 0}},
		{"a delete during the load too", []Step{healthy, call(0, "a"), del(5*ms, "a"), call(6*ms, "a")}, []int{2, 0}},
		{"a slow load is fresh for longer",
			[]Step{mood(0, Slow, 50*ms), call(0, "a"), call(150*ms-1, "a"), call(150*ms, "a")}, []int{2, 0}},
		{"a failing source is not asked", []Step{mood(0, Failing, 10*ms), call(0, "a")}, []int{0, 0}},
		{"the first call after it failed asks",
			[]Step{mood(0, Failing, 10*ms), call(0, "a"), mood(20*ms, Healthy, 10*ms), call(30*ms, "a")}, []int{1, 0}},
		{"queries belong to the phase of their call", []Step{healthy, call(499*ms, "a"), call(700*ms, "a")}, []int{1, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Least(100*ms, phases, test.steps); !slices.Equal(got, test.want) {
				t.Errorf("Least = %v, want %v", got, test.want)
			}
		})
	}
}
