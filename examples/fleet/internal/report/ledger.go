// Package report says what the log of a source comes to.
package report

import "time"

// Grace is for what takes time on a busy machine: how much earlier than its TTL
// says a value may count as expired, by the clock of another process; how long
// before it was killed a process may have had the answer to a load and not stored
// it; how long after its lease a load may reach the source.
const Grace = 50 * time.Millisecond

// Load is a line of the source's log. Times count from the start of the run.
type Load struct {
	Key          string
	Process      int
	Began, Ended time.Duration // Ended is zero for one that did not end
}

// Delete is a Delete of a Loader, from before its call until after.
type Delete struct {
	Key          string
	Began, Ended time.Duration // Ended is zero for one that did not end
}

// Kill is the end of a process.
type Kill struct {
	Process int
	At      time.Duration
}

// Log is what happened, the loads in the order in which they began.
type Log struct {
	TTL     time.Duration
	Loads   []Load
	Deletes []Delete
	Kills   []Kill
}

// Ledger sorts all loads by their reasons. The first three are expiries.
type Ledger struct {
	First     int // the key had no value yet
	Expired   int // its value was older than the TTL
	Deleted   int // it was deleted
	AfterKill int // the load before was that of a process which was killed
	Overtaken int // one more for a Delete: what the load before brought may have been too old to be stored
	Again     int // none of these
}

// Loads is the number of lines in the log.
func (l Ledger) Loads() int { return l.Expiries() + l.AfterKill + l.Overtaken + l.Again }

// Expiries is how often a perfect cache would have had to load.
func (l Ledger) Expiries() int { return l.First + l.Expired + l.Deleted }

// Minus returns what happened since an earlier ledger.
func (l Ledger) Minus(earlier Ledger) Ledger {
	return Ledger{
		First:     l.First - earlier.First,
		Expired:   l.Expired - earlier.Expired,
		Deleted:   l.Deleted - earlier.Deleted,
		AfterKill: l.AfterKill - earlier.AfterKill,
		Overtaken: l.Overtaken - earlier.Overtaken,
		Again:     l.Again - earlier.Again,
	}
}

// Count sorts the loads of a log.
func (l *Log) Count() (sum Ledger) {
	last := map[string]Load{} // by key: the last one that was needed
	used := make([]bool, len(l.Deletes))
	for _, load := range l.Loads {
		before, known := last[load.Key]
		switch {
		case !known:
			sum.First++
		case l.outlived(before, load):
			sum.Expired++
		case l.killed(before, load):
			sum.AfterKill++
		case l.deleted(before, load, used):
			sum.Deleted++
		case l.overtaken(before, load):
			sum.Overtaken++
		default:
			sum.Again++
			continue
		}
		last[load.Key] = load
	}
	return sum
}

// outlived reports whether the value of before was no more fresh when load began.
func (l *Log) outlived(before, load Load) bool {
	return before.Ended != 0 && load.Began >= before.Ended+l.TTL-Grace
}

// killed reports whether the process of before was killed before it can have
// stored its value, and load began after that.
func (l *Log) killed(before, load Load) bool {
	for _, k := range l.Kills {
		unstored := before.Ended == 0 || before.Ended+Grace > k.At
		if k.Process == before.Process && unstored && k.At <= load.Began {
			return true
		}
	}
	return false
}

// deleted reports whether a Delete came between the begin of before and that of
// load. Each is the reason of one load, and marked as used.
func (l *Log) deleted(before, load Load, used []bool) bool {
	for i, d := range l.Deletes {
		over := d.Ended != 0 && d.Ended < before.Began
		if d.Key == load.Key && !used[i] && !over && d.Began <= load.Began {
			used[i] = true
			return true
		}
	}
	return false
}

// overtaken reports whether a Delete may have kept the value of before from being
// stored: it came while before ran, or before had its lease before the Delete, or
// began in the process of the Delete while that ran.
func (l *Log) overtaken(before, load Load) bool {
	for _, d := range l.Deletes {
		began := d.Ended == 0 || before.Began <= d.Ended+Grace
		running := before.Ended == 0 || before.Ended >= d.Began
		if d.Key == load.Key && d.Began <= load.Began && began && running {
			return true
		}
	}
	return false
}
