package flight

import "time"

var epoch = time.Now()

// Now returns the monotonic clock in nanoseconds since an instant of this
// process. time.Since reads one clock where time.Now reads two.
func Now() int64 { return int64(time.Since(epoch)) }

// At returns what Now was at an instant.
func At(t time.Time) int64 { return int64(t.Sub(epoch)) }

// Time returns the instant at which Now was at.
func Time(at int64) time.Time { return time.Now().Add(time.Duration(at - Now())) }

// After returns the instant d after at, or never if there is none.
func After(at int64, d time.Duration) int64 {
	if d > time.Duration(never-max(at, 0)) {
		return never
	}
	return at + int64(d)
}

// never is later than every alarm.
const never = 1<<63 - 1
