package stampede

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

const (
	ttl  = 400 * time.Millisecond // of every key, in every set-up
	cost = 40 * time.Millisecond  // what a query takes at a healthy source

	patience    = time.Second           // a caller's deadline
	impatience  = 25 * time.Millisecond // of those who hang up before any load can end
	impatientIn = 20                    // one caller in so many
)

// schedule is what happens when, whatever the set-up does: calls begin at their
// times even if those before have not returned, as a crowd's do.
type schedule struct {
	phases []report.Event
	steps  []report.Step
	rng    *rand.Rand
}

// newSchedule draws the schedule that belongs to seed. Each phase has keys of
// its own, so that none inherits the cache of another.
func newSchedule(seed uint64) *schedule {
	s := &schedule{rng: rand.New(rand.NewPCG(seed, seed))}
	s.mood(0, report.Healthy, cost)
	s.coldStart(0, at(400))
	s.hotKey(at(400), at(1400))
	s.massExpiry(at(1400), at(2100))
	s.failingSource(at(2100), at(3700))
	s.deletes(at(3700), at(4500))
	report.SortSteps(s.steps)
	return s
}

func at(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }

func (s *schedule) length() time.Duration { return s.phases[len(s.phases)-1].Until }

func (s *schedule) coldStart(from, until time.Duration) {
	s.phase("cold start", "the service restarts with an empty cache; 600 waiting callers ask at once", from, until)
	popular := rand.NewZipf(s.rng, 1.2, 1, 59)
	page := func() string { return fmt.Sprintf("page-%02d", popular.Uint64()) }
	s.calls(from, from+cost, 15_000, page)
	s.calls(from+cost, until, 1_500, page)
}

func (s *schedule) hotKey(from, until time.Duration) {
	s.phase("hot key", "one page that 4,000 callers a second read expires every 400 ms", from, until)
	s.calls(from, until, 4_000, func() string { return "home" })
}

func (s *schedule) massExpiry(from, until time.Duration) {
	const keys = 120
	s.phase("mass expiry", "120 keys stored in the same instant expire in the same instant, under load", from, until)
	for i := range keys {
		s.call(from+time.Duration(i)*at(50)/keys, fmt.Sprintf("item-%03d", i), patience)
	}
	s.calls(from+at(320), until, 5_000, func() string { return fmt.Sprintf("item-%03d", s.rng.IntN(keys)) })
}

// failingSource warms 60 keys and lets them expire twice: while the source is
// slow, and while it fails.
func (s *schedule) failingSource(from, until time.Duration) {
	s.phase("failing source", "the source becomes four times slower, then fails for 0.64 s, then is back", from, until)
	s.mood(from+at(240), report.Slow, 4*cost)
	s.mood(from+at(560), report.Failing, 2*cost)
	s.mood(from+at(1200), report.Healthy, cost)
	s.calls(from, until, 4_000, func() string { return fmt.Sprintf("user-%02d", s.rng.IntN(60)) })
}

// deletes come in pairs half a load apart, so that the second finds a load under
// way that has read the row before it was changed.
func (s *schedule) deletes(from, until time.Duration) {
	const keys, pairs = 8, 17
	s.phase("deletes", "rows change and their keys are deleted while they are being loaded", from, until)
	key := func() string { return fmt.Sprintf("cart-%d", s.rng.IntN(keys)) }
	s.calls(from, until, 2_400, key)
	for i := range pairs {
		due, deleted := from+at(100)+time.Duration(i)*at(40), fmt.Sprintf("cart-%d", i%keys)
		s.add(report.Step{Due: due, Kind: report.KindDelete, Key: deleted})
		s.add(report.Step{Due: due + cost/2, Kind: report.KindDelete, Key: deleted})
	}
}

func (s *schedule) phase(name, about string, from, until time.Duration) {
	s.phases = append(s.phases, report.Event{
		Kind: report.KindPhase, Name: name, About: about, Due: from, Until: until,
	})
}

// calls adds calls at random times, perSecond of them on average: the gaps are
// exponential, as those of independent callers are.
func (s *schedule) calls(from, until time.Duration, perSecond float64, key func() string) {
	mean := float64(time.Second) / perSecond
	for due := from; due < until; due += time.Duration(-mean * math.Log(1-s.rng.Float64())) {
		wait := patience
		if s.rng.IntN(impatientIn) == 0 {
			wait = impatience
		}
		s.call(due, key(), wait)
	}
}

func (s *schedule) call(due time.Duration, key string, wait time.Duration) {
	s.add(report.Step{Due: due, Kind: report.KindCall, Key: key, Patience: wait})
}

func (s *schedule) mood(due time.Duration, mood report.Mood, cost time.Duration) {
	s.add(report.Step{Due: due, Kind: report.KindMood, Mood: mood, Cost: cost})
}

func (s *schedule) add(step report.Step) { s.steps = append(s.steps, step) }

// busiest is the largest number of calls in any 100 ms: the most that a source
// could be asked, and the top of the chart.
func (s *schedule) busiest() int {
	calls := make([]int, s.length()/chartStep+1)
	most := 0
	for _, step := range s.steps {
		if step.Kind == report.KindCall {
			i := step.Due / chartStep
			calls[i]++
			most = max(most, calls[i])
		}
	}
	return most
}
