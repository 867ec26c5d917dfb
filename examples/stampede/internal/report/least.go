package report

import "time"

// Step is one thing that the schedule does.
type Step struct {
	Due      time.Duration
	Kind     Kind // KindCall, KindDelete or KindMood
	Key      string
	Patience time.Duration // call
	Mood     Mood          // mood
	Cost     time.Duration // mood: what a query takes from now on
}

// Least counts the queries of a perfect cache, computed from the schedule
// alone: one for a call that finds its key missing, deleted or older than its
// TTL, shared by everyone who asks while it runs, and none while the source
// cannot answer. The result has one number for each phase.
//
// It is a yardstick, not a bound that no cache can pass: a cache that serves
// stale values for longer asks less.
func Least(ttl time.Duration, phases []Event, steps []Step) []int {
	least := make([]int, len(phases))
	fresh := map[string]time.Duration{} // until when the perfect cache has the key
	mood, cost := Healthy, time.Duration(0)
	for _, step := range steps {
		switch step.Kind {
		case KindMood:
			mood, cost = step.Mood, step.Cost
		case KindDelete:
			delete(fresh, step.Key)
		case KindCall:
			until, ok := fresh[step.Key]
			if ok && step.Due < until || mood == Failing {
				continue
			}
			fresh[step.Key] = step.Due + cost + ttl
			if i := phaseAt(phases, step.Due); i >= 0 {
				least[i]++
			}
		}
	}
	return least
}

// phaseAt returns the index of the phase in which t lies. What comes after the
// end belongs to the last phase: a query may arrive a little late.
func phaseAt(phases []Event, t time.Duration) int {
	for i, phase := range phases {
		if t < phase.Until {
			return i
		}
	}
	return len(phases) - 1
}
