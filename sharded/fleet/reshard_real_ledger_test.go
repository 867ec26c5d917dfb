package fleet_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// realLedger is what processes did that share a fleet, on one clock: nanoseconds that
// all of them read alike.
type realLedger struct {
	loads   []realLoad
	deletes []realDelete
	sights  []realSight
	owners  map[string]realOwners // of each key
	dead    string                // the shard that was down
	kill    realSpan              // from before until after its end
	back    int64                 // when every process read it again
}

// realSeen is a value: the source gives each load a number of its own, counting up.
type realSeen struct {
	Key     string
	Version int64
}

// realLoad is a load. Asked is when its process asked for the lease under which it ran.
type realLoad struct {
	realSeen
	Process     int
	Asked, From int64
}

// realDelete is a Delete, with the error that it came to.
type realDelete struct {
	Process  int
	Key      string
	From, To int64
	Err      string
}

// realSight is when the last call of a process began that got a version; and the last
// one that shared no flight which had begun before it.
type realSight struct {
	realSeen
	Process             int
	LastFrom, LastAlone int64
}

type realSpan struct{ From, To int64 }

// realOwners are where a key is by the old topology and by the new one.
type realOwners struct{ from, to string }

// landing is for how long a flight may serve who comes after it was seen to be open: it
// has woken its callers, and is about to go.
const landing = int64(20e6)

// stale returns the values that were served though they were older than a Delete which
// had returned nil before the call began. In another process than that of the Delete a
// call may share the flight that was open.
func (l *realLedger) stale() (faults []string) {
	began := map[int64]int64{}
	for _, load := range l.loads {
		began[load.Version] = load.From
	}
	for _, s := range l.sights {
		from, known := began[s.Version]
		if !known {
			faults = append(faults, fmt.Sprintf("process %d got version %d of %s, which nobody loaded", s.Process, s.Version, s.Key))
		}
		for _, d := range l.deletes {
			last := s.LastFrom
			if d.Process != s.Process {
				last = s.LastAlone - landing
			}
			if d.Key == s.Key && d.Err == "" && from < d.From && d.To < last {
				faults = append(faults, fmt.Sprintf("process %d got version %d of %s, of a load %d µs before a Delete of process %d, %d µs after that",
					s.Process, s.Version, s.Key, (d.From-from)/1000, d.Process, (last-d.To)/1000))
				break
			}
		}
	}
	return faults
}

// needless returns the loads that a value in the cache would have spared. Of each key
// the first has a reason, and every other one that comes after a Delete, which may have
// had its effect since the load before began; or after the end of the key's shard.
func (l *realLedger) needless() (faults []realLoad) {
	last := map[string]realLoad{}
	loads := slices.SortedFunc(slices.Values(l.loads), func(a, b realLoad) int { return cmp.Compare(a.From, b.From) })
	for _, load := range loads {
		before, again := last[load.Key]
		last[load.Key] = load
		if again && !l.deleted(before, load) && !l.lost(before, load) {
			faults = append(faults, load)
		}
	}
	return faults
}

// around tells what befell a load's key in the 50 ms before it and after it.
func (l *realLedger) around(load realLoad) (story string) {
	const near = 50e6
	for _, o := range l.loads {
		if at := o.From - load.From; o.Key == load.Key && at > -near && at < near {
			story += fmt.Sprintf(" load %d of process %d at %d µs, asked at %d;", o.Version, o.Process, at/1000, (o.Asked-load.From)/1000)
		}
	}
	for _, d := range l.deletes {
		if from, to := d.From-load.From, d.To-load.From; d.Key == load.Key && to > -near && from < near {
			story += fmt.Sprintf(" Delete of process %d from %d to %d µs %s;", d.Process, from/1000, to/1000, d.Err)
		}
	}
	return story
}

func (l *realLedger) deleted(before, load realLoad) bool {
	return slices.ContainsFunc(l.deletes, func(d realDelete) bool {
		return d.Key == load.Key && d.From <= load.From && d.To >= before.Asked
	})
}

// lost reports whether what before had stored may have gone with its shard. A key that
// moves from there is stored where it belongs now; one that does not is stored again
// when the shard is back, and until then everybody loads.
func (l *realLedger) lost(before, load realLoad) bool {
	on := l.owners[load.Key]
	switch {
	case on.from != l.dead || load.From < l.kill.From:
		return false
	case on.to == l.dead:
		return before.From < l.back
	default:
		return before.From < l.kill.To
	}
}

// A checker that finds nothing is worth nothing: some of these histories are wrong.
func TestReshard_RealLedger(t *testing.T) {
	on := map[string]realOwners{"stays": {"a", "a"}, "dead": {"b", "b"}, "leaves": {"b", "e"}}
	load := func(key string, version, from int64) realLoad {
		return realLoad{realSeen{key, version}, 1, from * 1e9, from * 1e9}
	}
	sight := func(process int, key string, version, last, alone int64) realSight {
		return realSight{realSeen{key, version}, process, last * 1e9, alone * 1e9}
	}
	del := func(process int, key string, from, to int64, err string) realDelete {
		return realDelete{process, key, from * 1e9, to * 1e9, err}
	}
	for _, tt := range []struct {
		name            string
		loads           []realLoad
		deletes         []realDelete
		sights          []realSight
		needless, stale int
	}{
		{name: "one load", loads: []realLoad{load("stays", 1, 10)}, sights: []realSight{sight(1, "stays", 1, 90, 90)}},
		{name: "a load too many", loads: []realLoad{load("stays", 1, 10), load("stays", 2, 60)}, needless: 1},
		{name: "after a Delete", loads: []realLoad{load("stays", 1, 10), load("stays", 2, 60)}, deletes: []realDelete{del(1, "stays", 20, 21, "")}},
		{name: "after one that failed", loads: []realLoad{load("stays", 1, 10), load("stays", 2, 60)}, deletes: []realDelete{del(1, "stays", 20, 21, "x")}},
		{name: "one Delete, two loads after it", loads: []realLoad{load("stays", 1, 10), load("stays", 2, 60), load("stays", 3, 70)}, deletes: []realDelete{del(1, "stays", 20, 21, "")}, needless: 1},
		{name: "one Delete, a load during it", loads: []realLoad{load("stays", 1, 10), load("stays", 2, 60), load("stays", 3, 70)}, deletes: []realDelete{del(1, "stays", 20, 65, "")}},
		{name: "one Delete, a lease before it", loads: []realLoad{load("stays", 1, 10), {realSeen{"stays", 2}, 1, 20e9, 22e9}, load("stays", 3, 70)}, deletes: []realDelete{del(1, "stays", 20, 21, "")}},
		{name: "a Delete of another key", loads: []realLoad{load("stays", 1, 10), load("stays", 2, 60)}, deletes: []realDelete{del(1, "dead", 20, 21, "")}, needless: 1},
		{name: "on the dead shard", loads: []realLoad{load("dead", 1, 10), load("dead", 2, 60), load("dead", 3, 65), load("dead", 4, 85)}},
		{name: "on the dead shard, twice after its return", loads: []realLoad{load("dead", 1, 10), load("dead", 2, 85), load("dead", 3, 86)}, needless: 1},
		{name: "on the dead shard, before its end", loads: []realLoad{load("dead", 1, 10), load("dead", 2, 40)}, needless: 1},
		{name: "moved from the dead shard", loads: []realLoad{load("leaves", 1, 10), load("leaves", 2, 60)}},
		{name: "moved from the dead shard, twice", loads: []realLoad{load("leaves", 1, 10), load("leaves", 2, 60), load("leaves", 3, 61)}, needless: 1},
		{name: "served after its Delete", loads: []realLoad{load("stays", 1, 10)}, deletes: []realDelete{del(1, "stays", 20, 21, "")}, sights: []realSight{sight(1, "stays", 1, 22, 0)}, stale: 1},
		{name: "served after a Delete that failed", loads: []realLoad{load("stays", 1, 10)}, deletes: []realDelete{del(1, "stays", 20, 21, "x")}, sights: []realSight{sight(1, "stays", 1, 22, 22)}},
		{name: "served after another's Delete, by a flight", loads: []realLoad{load("stays", 1, 10)}, deletes: []realDelete{del(2, "stays", 20, 21, "")}, sights: []realSight{sight(1, "stays", 1, 22, 20)}},
		{name: "served after another's Delete", loads: []realLoad{load("stays", 1, 10)}, deletes: []realDelete{del(2, "stays", 20, 21, "")}, sights: []realSight{sight(1, "stays", 1, 22, 22)}, stale: 1},
		{name: "loaded during the Delete", loads: []realLoad{load("stays", 1, 20)}, deletes: []realDelete{del(1, "stays", 20, 21, "")}, sights: []realSight{sight(1, "stays", 1, 22, 22)}},
		{name: "from nowhere", sights: []realSight{sight(1, "stays", 1, 22, 22)}, stale: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := &realLedger{loads: tt.loads, deletes: tt.deletes, sights: tt.sights, owners: on, dead: "b", kill: realSpan{50e9, 51e9}, back: 80e9}
			if got := l.needless(); len(got) != tt.needless {
				t.Errorf("needless are %v, want %d", got, tt.needless)
			}
			if got := l.stale(); len(got) != tt.stale {
				t.Errorf("stale are %s, want %d", strings.Join(got, ", "), tt.stale)
			}
		})
	}
}
