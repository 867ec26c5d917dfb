package fleet

import (
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

const (
	defaultPageMin     = 64
	defaultPageMax     = 4096
	defaultPageLatency = 10 * time.Millisecond
	maxPageLatency     = time.Minute
)

// PageSize says how much a [Fleet.Scan] asks a shard for at a time. The pages of each
// shard begin with Min, and grow or shrink until one takes about Latency. What a page
// asks for is work for a Redis, which serves nobody else meanwhile, and it may have
// fewer items. Whatever the size, a scan leaves nothing out.
type PageSize struct {
	// Min and Max are the bounds, from 1 to corral.MaxScanCount. Zero is 64 and
	// 4,096, or as far as the other one if that is beyond. With both the same, the
	// size never changes.
	Min, Max int

	// Latency is what a page should take. From 8 to 12 tenths of it, the size stays
	// as it is. Zero is 10 ms, and a minute the most.
	Latency time.Duration
}

// complete fills in the zeros, and says what cannot work.
func (p PageSize) complete() (PageSize, error) {
	for name, n := range map[string]int{"Min": p.Min, "Max": p.Max} {
		if n < 0 || n > corral.MaxScanCount {
			return p, option("PageSize."+name, n, fmt.Sprintf("must be 0 to %d", corral.MaxScanCount))
		}
	}
	if p.Latency < 0 || p.Latency > maxPageLatency {
		return p, option("PageSize.Latency", p.Latency, fmt.Sprintf("must be 0 (%v) to %v", defaultPageLatency, maxPageLatency))
	}
	if p.Min > p.Max && p.Max > 0 {
		return p, option("PageSize.Min", p.Min, fmt.Sprintf("must not be above Max, %d", p.Max))
	}
	switch {
	case p.Min == 0 && p.Max == 0:
		p.Min, p.Max = defaultPageMin, defaultPageMax
	case p.Min == 0:
		p.Min = min(defaultPageMin, p.Max)
	case p.Max == 0:
		p.Max = max(defaultPageMax, p.Min)
	}
	if p.Latency == 0 {
		p.Latency = defaultPageLatency
	}
	return p, nil
}

// sizer decides over the size of a shard's pages.
type sizer struct {
	PageSize
	size  int
	trend int // of the last change: 1 up, -1 down
	turns int // changes against the trend, less those that followed it
	holds int // how often growth was held since the turns were none
	hold  int // pages before the size may grow again
}

const (
	// tooManyTurns are an oscillation: the latency has a step between two sizes, or
	// depends on something else.
	tooManyTurns = 3

	// The size then stays with the smaller one for firstHold pages, and twice as many
	// whenever the next try shows the same.
	firstHold = 64
	maxHold   = 4096
)

func newSizer(p PageSize) sizer { return sizer{PageSize: p, size: p.Min} }

// learn takes note of how long a page took, and reports whether the size changes.
func (s *sizer) learn(took time.Duration) bool {
	trend := s.judge(took)
	if trend > 0 && s.hold > 0 {
		s.hold--
		return false
	}
	want := s.want(took)
	if trend == 0 || want == s.size {
		return false
	}
	s.turn(trend)
	s.size = want
	return true
}

// judge says in which direction the size should go.
func (s *sizer) judge(took time.Duration) int {
	switch {
	case took < s.Latency/10*8:
		return 1
	case took > s.Latency/10*12:
		return -1
	}
	return 0
}

// want is the size of which a page would take as long as it should, if the time grows
// with the size; at most twice and at least a quarter of what it is.
func (s *sizer) want(took time.Duration) int {
	want := int64(2 * s.size)
	if took > 0 { // int would not hold it where that has 32 bits
		want = min(want, int64(s.size)*int64(s.Latency)/int64(min(took, 1000*maxPageLatency)))
	}
	return min(max(int(want), s.size/4, s.Min), s.Max)
}

// turn takes note of a change, and holds growth where the size goes up and down.
func (s *sizer) turn(trend int) {
	if s.trend != -trend {
		if s.turns = max(0, s.turns-1); s.turns == 0 {
			s.holds = 0
		}
	} else if s.turns++; s.oscillates() && trend < 0 {
		s.hold = min(firstHold<<s.holds, maxHold)
		s.holds = min(s.holds+1, 8)
	}
	s.trend = trend
}

// oscillates reports whether the size goes up and down.
func (s *sizer) oscillates() bool { return s.turns >= tooManyTurns }
