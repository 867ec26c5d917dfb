package layered

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// epoch is where this package counts time from, by the monotonic clock.
var epoch = time.Now()

// instant returns the time as a number that grows, above zero also before epoch,
// as in a testing/synctest bubble. It counts in quarters of a nanosecond, so that
// what happens within one has numbers too; it reaches 73 years to either side.
func instant() uint64 { return uint64(time.Since(epoch))<<2 + 1<<63 }

// deaf is the value of trusted while nothing is heard.
const deaf = math.MaxUint64

// era says which copies near may serve. A near cache cannot be emptied through
// the port; instead a copy's Version is the instant at which its fill was
// registered, and after a gap what was registered before is dead.
//
// A fill takes the time before it looks at floor, a turn before it raises floor.
// So a fill that got a Version above a turn's floor either saw that floor or
// began after the turn had taken its time, which is after the gap.
type era struct {
	trusted atomic.Uint64 // copies of a greater Version are served
	floor   atomic.Uint64 // copies up to this Version are dead

	mu      sync.Mutex
	hearers int // how many Listens hear; guarded by mu
}

// now returns the Version of a fill that begins.
func (e *era) now() uint64 {
	at := instant()
	return max(at, e.floor.Load()+1)
}

// turn begins a new era: every copy that there is dies. In it copies are served
// as long as their entries live if hearing, else briefly.
func (e *era) turn(hearing bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.turnLocked(hearing)
}

func (e *era) turnLocked(hearing bool) {
	floor := e.now()
	e.floor.Store(floor)
	if hearing {
		e.trusted.Store(floor)
	} else {
		e.trusted.Store(deaf)
	}
}

// forget begins a new era of the same kind.
func (e *era) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.turnLocked(e.hearers > 0)
}

// heard begins an era in which announcements are heard, by one Listen more if it
// is the first time for it.
func (e *era) heard(first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if first {
		e.hearers++
	}
	e.turnLocked(true)
}

// lost ends what heard began. As long as another Listen hears, nothing is missed.
func (e *era) lost() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hearers--; e.hearers == 0 {
		e.turnLocked(false)
	}
}

// lives reports whether a copy of a Version may be made.
func (e *era) lives(version uint64) bool { return version > e.floor.Load() }

// serves reports whether a copy may be served that is not above trusted.
func (e *era) serves(version uint64, briefly time.Duration) bool {
	if !e.lives(version) {
		return false
	}
	return e.trusted.Load() != deaf || time.Duration(instant()>>2-version>>2) < briefly
}
