package corral

import (
	"math"
	"time"
)

// state says what may be done with an entry.
type state uint8

const (
	expired state = iota // nothing
	rescue               // serve it if a load fails: past StaleFor, within StaleIfError
	stale                // serve it and refresh it
	fresh                // serve it
)

// source returns what a call is told that is served an entry in this state.
func (s state) source() Source {
	if s == fresh {
		return SourceHit
	}
	return SourceStale
}

// windows are the two of RFC 5861; both begin when freshness ends.
type windows struct {
	staleFor, staleIfError time.Duration
}

// state returns the state of an entry of an age. The instant at which a window
// ends is outside of it.
func (w windows) state(age, ttl time.Duration, absent bool) state {
	over := saturatingSub(age, ttl)
	switch {
	case over < 0:
		return fresh
	case absent:
		return expired
	case over < w.staleFor:
		return stale
	case over < w.staleIfError:
		return rescue
	}
	return expired
}

// longest returns how long after the end of freshness an entry has a use.
func (w windows) longest() time.Duration { return max(w.staleFor, w.staleIfError) }

// longestPlain bounds the windows of plain values: 100 years. The end of their
// freshness is told by what is left of a life that holds TTL and windows; a sum
// that does not fit into a Duration would tell nothing.
const longestPlain = 100 * 365 * 24 * time.Hour

// forPlain returns the windows of a cache of plain values.
func (w windows) forPlain() windows {
	return windows{min(w.staleFor, longestPlain), min(w.staleIfError, longestPlain)}
}

// age returns how old the entry is. One whose age is not known has just ceased
// to be fresh.
func (e *Entry[V]) age() time.Duration {
	if e.LoadedAt.IsZero() {
		return max(0, e.TTL)
	}
	return max(0, time.Since(e.LoadedAt))
}

// Early expiry is XFetch: Vattani, Chierichetti, Lowenstein, "Optimal
// Probabilistic Cache Stampede Prevention", VLDB 2015. An entry with left to
// live is refreshed now if left <= −Δ·β·ln(U), Δ being its load time and U
// uniform in (0,1]. The lead is at most half the TTL: a load that takes longer
// than the TTL would otherwise be repeated without end.

// greatestDraw is the greatest −ln(U) of a U with 53 random bits.
const greatestDraw = 53 * math.Ln2

// Quiet returns how long after LoadedAt the entry is served and nothing starts:
// it is fresh, and no draw with EarlyExpiry up to 1 asks for its refresh. It is
// zero for an absent entry and for one of unknown age.
func (e *Entry[V]) Quiet() time.Duration {
	if e.Absent || e.LoadedAt.IsZero() || e.TTL <= 0 {
		return 0
	}
	lead := min(float64(max(0, e.LoadTime))*greatestDraw, float64(e.TTL)/2)
	return e.TTL - time.Duration(math.Ceil(lead))
}

// early reports whether the draw u asks for a refresh.
func early(left, ttl, loadTime time.Duration, beta, u float64) bool {
	lead := -float64(loadTime) * beta * math.Log(u)
	return float64(left) <= min(lead, float64(ttl)/2)
}

// jittered shortens ttl by the share jitter·u of it, u being in [0,1). It stays
// above zero if it was.
func jittered(ttl time.Duration, jitter, u float64) time.Duration {
	cut := time.Duration(float64(ttl) * jitter * u)
	return max(ttl-cut, min(ttl, 1))
}

func saturatingAdd(a, b time.Duration) time.Duration {
	sum := a + b
	if a > 0 && b > 0 && sum < 0 {
		return math.MaxInt64
	}
	return sum
}

func saturatingSub(a, b time.Duration) time.Duration {
	diff := a - b
	if a >= 0 && b < 0 && diff < 0 {
		return math.MaxInt64
	}
	return diff
}
