package redisadapter_test

import (
	"strings"
	"testing"
	"time"
)

// goodHistory is one in which nothing is wrong: two processes, two loads, a
// Delete between them. Times are in seconds.
func goodHistory() *history {
	const s = int64(time.Second)
	return &history{
		loads:   []loadEvent{{0, 1, 1 * s}, {1, 2, 12 * s}},
		fills:   []fillEvent{{span{2 * s, 3 * s}, 0, 1, 10 * s}, {span{13 * s, 14 * s}, 1, 2, 22 * s}},
		deletes: []span{{7 * s, 8 * s}},
		sights: []sight{
			{Process: 0, Version: 1, OpenAt: 3 * s, FirstTo: 4 * s, LastFrom: 6 * s, LastTo: 7 * s, CallFirstTo: 3 * s, CallLastFrom: 6 * s},
			{Process: 1, Version: 2, OpenAt: 14 * s, CallFirstTo: 14 * s, CallLastFrom: 13 * s},
			{Process: 0, Version: 2, FirstTo: 15 * s, LastFrom: 15 * s, LastTo: 16 * s, CallFirstTo: 15 * s, CallLastFrom: 16 * s},
		},
	}
}

func TestHistory_Good(t *testing.T) {
	if faults := goodHistory().faults(); len(faults) > 0 {
		t.Errorf("%q", faults)
	}
	for _, at := range []struct{ last, want int }{{1, 1}, {9, 1}, {11, 2}, {21, 2}, {23, 3}} {
		if n := goodHistory().expiries(int64(at.last) * int64(time.Second)); n != at.want {
			t.Errorf("%d expiries when the last call began at %d, want %d", n, at.last, at.want)
		}
	}
}

// A checker that finds nothing is worth nothing: these histories are wrong.
func TestHistory_Bad(t *testing.T) {
	const s = int64(time.Second)
	for _, tt := range []struct {
		name, want string
		spoil      func(h *history)
	}{
		{"a fill after a Delete", "stored version 1", func(h *history) { h.fills[0].span = span{9 * s, 10 * s} }},
		{"a hit after a Delete", "process 0 found version 1", func(h *history) { h.sights[0].LastFrom = 9 * s }},
		{"a fill of a load that a later Delete should have fenced", "stored version 2", func(h *history) {
			h.deletes = append(h.deletes, span{12*s + 1, 13*s - 1})
		}},
		{"the cache goes back", "process 0 found version 1", func(h *history) {
			h.deletes, h.sights[0].LastFrom = nil, 16*s
		}},
		{"the cache goes back from what was only stored", "process 0 found version 1", func(h *history) {
			h.deletes, h.sights, h.sights[0].LastFrom = nil, h.sights[:1], 16*s
		}},
		{"a caller goes back", "a caller of process 0 got version 1", func(h *history) { h.sights[0].CallLastFrom = 15 * s }},
		{"a caller gets what its process never had", "a caller of process 1 got version 1", func(h *history) {
			h.sights = append(h.sights, sight{Process: 1, Version: 1, CallFirstTo: 15 * s, CallLastFrom: 15 * s})
		}},
		{"a version from nowhere", "nobody loaded", func(h *history) { h.sights[2].Version = 3 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := goodHistory()
			tt.spoil(h)
			if got := strings.Join(h.faults(), "\n"); !strings.Contains(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}

// A process whose clock is ahead sees an expiry early, and nobody else does.
func TestHistory_ClocksApart(t *testing.T) {
	const s = int64(time.Second)
	h := goodHistory()
	h.fills[0].Until = 20 * s // replaced at 14
	for _, at := range []struct{ seen, want int }{{0, 1}, {19, 1}, {12, 2}} {
		h.sights[0].Until = int64(at.seen) * s
		if n := h.expiries(16 * s); n != at.want {
			t.Errorf("%d expiries if a process saw one at %d, want %d", n, at.seen, at.want)
		}
	}
	if apart := h.apart(); apart != 8*time.Second {
		t.Errorf("clocks are %v apart, want 8s", apart)
	}
}

// A second fill for one expiry does not make it two.
func TestHistory_TwoFills(t *testing.T) {
	const s = int64(time.Second)
	h := goodHistory()
	h.fills = append(h.fills, fillEvent{span{14 * s, 15 * s}, 0, 3, 23 * s})
	for _, at := range []struct{ last, want int }{{16, 2}, {22, 2}, {24, 3}} {
		if n := h.expiries(int64(at.last) * s); n != at.want {
			t.Errorf("%d expiries when the last call began at %d, want %d", n, at.last, at.want)
		}
	}
}

// What is allowed: to share a flight that was open, and to be refused.
func TestHistory_OpenFlights(t *testing.T) {
	const s = int64(time.Second)
	h := goodHistory()
	h.deletes = nil
	h.loads = append(h.loads, loadEvent{0, 3, 14 * s})
	h.sights[0].LastFrom, h.sights[0].LastTo, h.sights[0].CallLastFrom = 13*s, 16*s, 15*s
	if faults := h.faults(); len(faults) > 0 {
		t.Errorf("%q", faults)
	}
}
