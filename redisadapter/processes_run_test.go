//go:build linux

package redisadapter_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral/internal/redistest"
)

// The tests of this file start 8 processes that share a server, each with 200
// callers of one hot key. The machine's own slowness is the only clock there is:
// what they assert is counted, but for the longest wait.

const (
	fleetSize    = 8
	fleetCallers = 200
	fleetTTL     = 300 * time.Millisecond
	fleetLoad    = 40 * time.Millisecond
	fleetLease   = 2 * time.Second

	// bound is how long anybody may wait who was not stopped: for a lease to run
	// out whose holder died, and for the load of the next one.
	bound = fleetLoad + fleetLease + 500*time.Millisecond
)

func herdOf(t *testing.T, change func(*childPlan)) *herd {
	t.Helper()
	plan := childPlan{
		Addr: redistest.Start(t), Callers: fleetCallers, TTL: fleetTTL, Load: fleetLoad, Lease: fleetLease,
	}
	change(&plan)
	return startHerd(t, fleetSize, plan)
}

// wantEquation wants what was counted to add up: a fill for each expiry, and a
// load for each, but for those of processes that were killed or lost their lease
// to its end.
func (f *herd) wantEquation(t *testing.T, takeovers int) {
	t.Helper()
	f.reported(t)
	expiries := f.expiries(f.last(func(c *childCount) int64 { return c.LastFrom }))
	if len(f.fills) != expiries {
		t.Errorf("%d fills were accepted for %d expiries:\n%s", len(f.fills), expiries, f.story())
	}
	took := f.sum(func(c *childCount) int { return int(c.Stats.Takeovers) })
	if took != takeovers && (took < takeovers || f.stall() < fleetLease/2) { // a holder that cannot run cannot renew
		t.Errorf("%d takeovers, want %d", took, takeovers)
	}
	if want := expiries + f.kills + took; len(f.loads) != want {
		t.Errorf("%d loads for %d expiries, %d kills and %d takeovers", len(f.loads), expiries, f.kills, took)
	}
	f.wantNoFaults(t)
	t.Logf("%d expiries, %d fills, %d loads, %d kills, %d takeovers, %d calls, %d flights waited for another process's; clocks apart by %v",
		expiries, len(f.fills), len(f.loads), f.kills, took,
		f.sum(func(c *childCount) int { return c.Calls }),
		f.sum(func(c *childCount) int { return int(c.Stats.LeaseWaits) }), f.apart())
}

// wantNoFaults wants the history to be one that may be.
func (f *herd) wantNoFaults(t *testing.T) {
	t.Helper()
	faults := f.faults()
	for i, fault := range faults {
		if i == 10 {
			t.Errorf("and %d more", len(faults)-i)
			break
		}
		t.Error(fault)
	}
}

// stall is for how long a process could not run that was not stopped.
func (f *herd) stall() (stall time.Duration) {
	for _, m := range f.members {
		if m.count != nil && !m.frozen {
			stall = max(stall, time.Duration(m.count.StalledNs))
		}
	}
	return stall
}

// wantBound wants no caller to have waited for longer than the bound, but those
// whose process was stopped, and but for what the machine stalled.
func (f *herd) wantBound(t *testing.T) {
	t.Helper()
	longest, stall := time.Duration(0), f.stall()
	for pid, m := range f.members {
		if m.count == nil || m.frozen {
			continue
		}
		waited := time.Duration(m.count.LongestNs)
		if longest = max(longest, waited); waited > bound+stall {
			t.Errorf("a caller of process %d waited for %v, want at most %v and %v for a machine that stalled", pid, waited, bound, stall)
		}
	}
	t.Logf("the longest wait was %v, the longest stall of the machine %v", longest, stall)
}

// G1, G9: the holder of the lease is killed, and another process takes over.
func TestProcesses_OneLoadForEachExpiry(t *testing.T) {
	f := herdOf(t, func(p *childPlan) { p.Traps = []int64{8} })
	f.trap = (*herd).kill
	f.run(t, 21)
	f.wantEquation(t, 0)
	f.wantBound(t)
}

// With StaleFor nobody waits, not even for the process that was killed.
func TestProcesses_NobodyWaitsWithStaleFor(t *testing.T) {
	f := herdOf(t, func(p *childPlan) {
		p.StaleFor = time.Minute
		p.Traps = []int64{5}
	})
	f.trap = (*herd).kill
	f.run(t, 21)
	f.wantEquation(t, 0)
	f.wantBound(t)
	if at := f.last(func(c *childCount) int64 { return c.WaitedFrom }); at >= f.fills[0].Until {
		t.Errorf("a call waited that began %v after the first value was no longer fresh", time.Duration(at-f.fills[0].Until))
	}
}

// G2: the holder is stopped for longer than its lease. What it loaded is refused.
func TestProcesses_HolderIsStopped(t *testing.T) {
	f := herdOf(t, func(p *childPlan) { p.Traps = []int64{4} })
	f.trap = (*herd).freeze
	f.run(t, 12)
	f.wantEquation(t, 1)
	f.wantBound(t)
}

// G2, G3, W1: Deletes all the time, while one holder is stopped and one is
// killed.
func TestProcesses_Deletes(t *testing.T) {
	f := herdOf(t, func(p *childPlan) {
		p.Deletes = true
		p.Traps = []int64{15, 40}
	})
	f.trap = func(f *herd, m *member) {
		if f.kills == 0 {
			f.kill(m)
		} else {
			f.freeze(m)
		}
	}
	f.run(t, 50)
	f.reported(t)
	f.wantBound(t)
	f.wantNoFaults(t)
	if len(f.deletes) < 20 {
		t.Errorf("only %d Deletes", len(f.deletes))
	}
	t.Logf("%d fills, %d loads, %d Deletes, %d calls", len(f.fills), len(f.loads), len(f.deletes),
		f.sum(func(c *childCount) int { return c.Calls }))
}
