package redisadapter_test

import (
	"fmt"
	"slices"
	"time"
)

// history is what several processes did with one key, on one clock: nanoseconds
// that all of them read alike. Values are versions: the source gives each load a
// number of its own, counting up.
type history struct {
	loads   []loadEvent
	fills   []fillEvent
	deletes []span
	sights  []sight
}

// span is when a call began and when it had returned.
type span struct{ From, To int64 }

// loadEvent is a load. Of one whose process was killed, only the beginning is
// known.
type loadEvent struct {
	Process int
	Version int64
	From    int64
}

// fillEvent is a fill that was accepted, and when its value ceases to be fresh.
type fillEvent struct {
	span
	Process int
	Version int64
	Until   int64
}

// sight is when a process had to do with a version.
type sight struct {
	Process int
	Version int64

	// Its calls of the cache which returned the version; FirstTo is zero if none
	// did.
	FirstTo, LastFrom, LastTo int64

	// Until is when the process takes the version to cease to be fresh, the earliest
	// that it ever thought; zero if it never read it. Each process counts the
	// server's time with an offset of its own.
	Until int64

	// When a flight that had the version, loaded or read, was last seen to be open;
	// zero for never.
	OpenAt int64

	// The calls of its callers which returned the version; CallFirstTo is zero if
	// none did.
	CallFirstTo, CallLastFrom int64
}

const (
	// skew is by how much the times of one process may be wrong, which are taken a
	// moment before or after they are reasoned with.
	skew = int64(20 * time.Millisecond)

	// landing is how long a flight may be open after it was last seen to be: until it
	// lands or, if it waits for another process's load, asks again, in a process
	// that shares a slow machine with seven others.
	landing = int64(500 * time.Millisecond)
)

// expiries counts how often a load was due until the last call began. That is
// once for the first call, which finds nothing, and once for each accepted fill
// whose value ceased to be fresh, as the first process saw it, before that call
// and before another value was stored over it. A value that was stored over a
// fresh one makes a fill more than there are expiries.
func (h *history) expiries(last int64) (n int) {
	fills := slices.SortedFunc(slices.Values(h.fills), func(a, b fillEvent) int { return int(a.To - b.To) })
	for i, f := range fills {
		until := h.until(f)
		replaced := i+1 < len(fills) && fills[i+1].To < until-skew
		if until < last && !replaced {
			n++
		}
	}
	return n + 1
}

// until is when the first process saw that what was filled was no longer fresh.
func (h *history) until(f fillEvent) int64 {
	until := f.Until
	for _, s := range h.sights {
		if s.Version == f.Version && s.Until != 0 {
			until = min(until, s.Until)
		}
	}
	return until
}

// story tells of the fills, in milliseconds since the first.
func (h *history) story() (story string) {
	ms := func(at int64) int64 { return (at - h.fills[0].From) / int64(time.Millisecond) }
	began := map[int64]int64{}
	for _, l := range h.loads {
		began[l.Version] = l.From
	}
	for _, f := range h.fills {
		story += fmt.Sprintf("process %d: version %d, loaded from %d, filled from %d to %d, fresh until %d",
			f.Process, f.Version, ms(began[f.Version]), ms(f.From), ms(f.To), ms(f.Until))
		for _, s := range h.sights {
			if s.Version == f.Version && s.Until != 0 && s.Until < f.Until-skew {
				story += fmt.Sprintf(", to process %d until %d", s.Process, ms(s.Until))
			}
		}
		story += "\n"
	}
	return story
}

// apart is by how much the processes disagreed on that at the most.
func (h *history) apart() (apart time.Duration) {
	for _, f := range h.fills {
		apart = max(apart, time.Duration(f.Until-h.until(f)))
	}
	return apart
}

// faults says what the history shows that may not be.
//
//   - Nothing older than a Delete is stored after it: no process fills, nor finds
//     in the cache, in a call that began after the Delete had returned, a value
//     whose load began before the Delete did.
//   - The cache does not go back: no call of it that began after another had
//     returned a newer version, or after that was stored, returns an older one.
//   - Callers do not go back but by an open flight: a caller who began after any
//     caller had got a newer version gets an older one only from a flight that was
//     still open when the caller began, as one is that waits for another process
//     and has a stale value meanwhile.
//   - Every version is some load's.
func (h *history) faults() (faults []string) {
	began := map[int64]int64{}
	for _, l := range h.loads {
		began[l.Version] = l.From
	}
	for _, s := range h.sights {
		if _, ok := began[s.Version]; !ok {
			faults = append(faults, fmt.Sprintf("process %d has version %d, which nobody loaded", s.Process, s.Version))
		}
	}
	faults = append(faults, h.afterDeletes(began)...)
	return append(faults, h.backwards()...)
}

// afterDeletes finds what was stored after a Delete and is older.
func (h *history) afterDeletes(began map[int64]int64) (faults []string) {
	for _, d := range h.deletes {
		for _, f := range h.fills {
			if began[f.Version] < d.From && f.From > d.To {
				faults = append(faults, fmt.Sprintf(
					"process %d stored version %d, of a load from %d, at %d: after the Delete of %d to %d",
					f.Process, f.Version, began[f.Version], f.From, d.From, d.To))
			}
		}
		for _, s := range h.sights {
			if s.FirstTo != 0 && began[s.Version] < d.From && s.LastFrom > d.To {
				faults = append(faults, fmt.Sprintf(
					"process %d found version %d, of a load from %d, at %d: after the Delete of %d to %d",
					s.Process, s.Version, began[s.Version], s.LastFrom, d.From, d.To))
			}
		}
	}
	return faults
}

// backwards finds caches and callers that went back to older versions.
func (h *history) backwards() (faults []string) {
	stored, returned := map[int64]int64{}, map[int64]int64{} // when first
	for _, f := range h.fills {
		first(stored, f.Version, f.To)
	}
	for _, s := range h.sights {
		first(stored, s.Version, s.FirstTo)
		first(returned, s.Version, s.CallFirstTo)
	}
	for _, s := range h.sights {
		if v, ok := newerBefore(stored, s.Version, s.LastFrom); ok && s.FirstTo != 0 {
			faults = append(faults, fmt.Sprintf("process %d found version %d at %d, when %d had been there since %d",
				s.Process, s.Version, s.LastFrom, v, stored[v]))
		}
		open := max(s.LastTo, s.OpenAt) + landing
		if v, ok := newerBefore(returned, s.Version, s.CallLastFrom); ok && s.CallLastFrom > open {
			faults = append(faults, fmt.Sprintf("a caller of process %d got version %d at %d, when %d had been returned at %d and no flight was open since %d",
				s.Process, s.Version, s.CallLastFrom, v, returned[v], open))
		}
	}
	return faults
}

// first notes that something happened at a time, zero for not at all.
func first(at map[int64]int64, version, when int64) {
	if old, ok := at[version]; when != 0 && (!ok || when < old) {
		at[version] = when
	}
}

// newerBefore returns a version above v that happened before a time.
func newerBefore(at map[int64]int64, v, before int64) (int64, bool) {
	for newer, when := range at {
		if newer > v && when < before {
			return newer, true
		}
	}
	return 0, false
}
