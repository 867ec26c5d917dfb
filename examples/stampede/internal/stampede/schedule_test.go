package stampede

import (
	"slices"
	"testing"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

func TestScheduleIsItsSeed(t *testing.T) {
	if !slices.Equal(newSchedule(7).steps, newSchedule(7).steps) {
		t.Error("one seed drew two schedules")
	}
	if slices.Equal(newSchedule(7).steps, newSchedule(8).steps) {
		t.Error("two seeds drew one schedule")
	}
}

// What each phase costs at least is by its design, whatever the seed: each key
// of the cold start once, the hot key three times, each of the 120 keys twice,
// each of the 60 three times, unless nobody happens to ask for one in time. Each
// of the 34 deletes costs a query, and so does each of the 8 keys at the start.
func TestScheduleLeast(t *testing.T) {
	for seed := range uint64(20) {
		s := newSchedule(seed)
		cold := map[string]bool{}
		for _, step := range s.steps {
			if step.Kind == report.KindCall && step.Due < s.phases[0].Until {
				cold[step.Key] = true
			}
		}
		least := report.Least(ttl, s.phases, s.steps)
		for i, want := range []struct{ from, to int }{{len(cold), len(cold)}, {3, 3}, {240, 240}, {174, 180}, {38, 50}} {
			if least[i] < want.from || least[i] > want.to {
				t.Errorf("seed %d, %s: least is %d, want %d to %d", seed, s.phases[i].Name, least[i], want.from, want.to)
			}
		}
	}
}

func TestScheduleShape(t *testing.T) {
	s := newSchedule(1)
	if !slices.IsSortedFunc(s.steps, func(a, b report.Step) int { return int(a.Due - b.Due) }) {
		t.Error("steps are not in order")
	}
	last := s.steps[len(s.steps)-1]
	if s.length() != at(4500) || last.Due >= s.length() {
		t.Errorf("length %v, last step at %v", s.length(), last.Due)
	}
	until := at(0)
	for _, phase := range s.phases {
		if phase.Due != until || (phase.Until-phase.Due)%chartStep != 0 {
			t.Errorf("phase %q lasts from %v to %v, after %v", phase.Name, phase.Due, phase.Until, until)
		}
		until = phase.Until
	}
	impatient := 0
	for _, step := range s.steps {
		if step.Patience == impatience {
			impatient++
		}
	}
	if share := float64(impatient) / float64(len(s.steps)); share < 0.04 || share > 0.06 {
		t.Errorf("%.3f of the callers are impatient, want 1 in %d", share, impatientIn)
	}
	if top := s.busiest(); top < 600 || top > 800 {
		t.Errorf("the busiest 100 ms has %d calls", top)
	}
}
