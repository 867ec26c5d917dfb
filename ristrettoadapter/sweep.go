package ristrettoadapter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

const (
	// settleAfter is how long a write stays unsettled, once or twice, if nobody
	// asks to settle it.
	settleAfter = 50 * time.Millisecond

	// tick is the unit in which dead entries are found.
	tick = time.Second

	// forGood is the least life that is not watched.
	forGood = 100 * 365 * 24 * time.Hour

	// sweepBatch bounds the deletions that the sweep puts into Ristretto's buffer
	// before it waits, so that nobody else's write is dropped for them.
	sweepBatch = 1024

	// tidyTimeout bounds a wait for a Ristretto cache that is not moving.
	tidyTimeout = time.Second
)

// tidier runs the store's chores on a timer that is set only while there are
// any. It holds the store weakly: a timer keeps no cache alive.
type tidier struct {
	epoch atomic.Pointer[time.Time] // when ticks began

	mu    sync.Mutex
	timer *time.Timer // guarded by mu

	// at is when the timer fires, in nanoseconds since the epoch; 0 if it is not
	// armed. Changed under mu; what would not make it fire sooner does not take mu.
	at atomic.Int64

	running sync.Mutex    // one run at a time
	settled time.Duration // since the epoch, when a run settled writes; guarded by running
}

// since returns how long the epoch was ago at the instant now.
func (t *tidier) since(now time.Time) time.Duration {
	epoch := t.epoch.Load()
	if epoch == nil {
		first := now // a copy, so that only this one is on the heap
		t.epoch.CompareAndSwap(nil, &first)
		epoch = t.epoch.Load()
	}
	return now.Sub(*epoch)
}

// arm has the chores run d after now, or sooner if they would anyway.
func (s *store[K, S]) arm(now time.Time, d time.Duration) {
	t := &s.tidier
	at := max(1, int64(t.since(now)+d))
	if armed := t.at.Load(); armed != 0 && armed <= at {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if armed := t.at.Load(); armed != 0 && armed <= at {
		return
	}
	t.at.Store(at)
	if t.timer != nil {
		t.timer.Reset(d)
		return
	}
	w := weak.Make(s)
	t.timer = time.AfterFunc(d, func() {
		if s := w.Value(); s != nil {
			s.tidy()
		}
	})
}

// tidy settles what nobody settled, deletes dead entries, forgets evicted ones,
// and sets the timer if that leaves anything to do. Writes that failed wait
// for the next run.
func (s *store[K, S]) tidy() {
	t := &s.tidier
	t.mu.Lock()
	t.at.Store(0) // before anything can be armed from here
	t.mu.Unlock()
	if !t.running.TryLock() {
		s.arm(time.Now(), tidyTimeout)
		return
	}
	defer t.running.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), tidyTimeout)
	defer cancel()
	since := t.since(time.Now())
	settle := since-t.settled >= settleAfter || since < t.settled // else it came for a crowd of listings
	if settle {
		t.settled = since
	}
	now := int64(since / tick)
	for i := range s.stripes {
		st := &s.stripes[i]
		if settle {
			_ = s.drain(ctx, st, true)
		}
		s.sweep(ctx, st, now)
	}
	if s.unsettled.Load() > 0 {
		s.arm(time.Now(), settleAfter)
	}
	s.armForDues(now)
}

func (s *store[K, S]) armForDues(now int64) {
	first, any := int64(0), false
	for i := range s.stripes {
		st := &s.stripes[i]
		st.mu.Lock()
		if at, ok := st.dues.next(); ok && (!any || at < first) {
			first, any = at, true
		}
		st.mu.Unlock()
	}
	if any {
		s.arm(time.Now(), time.Duration(max(1, first-now))*tick)
	}
}

// sweep looks at the keys of a stripe that are due, and through all of them if they
// have become many.
func (s *store[K, S]) sweep(ctx context.Context, st *stripe[K, S], now int64) {
	st.mu.Lock()
	due := st.dues.take(now)
	st.mu.Unlock()
	again := map[K]int64{} // once, however often a key was listed
	for i, key := range due {
		if at := s.inspect(st, key, now); at > now {
			again[key] = at
		}
		if i%sweepBatch == sweepBatch-1 {
			_ = s.flusher.flush(ctx)
		}
	}
	st.mu.Lock()
	for key, at := range again {
		st.dues.list(key, now, at)
	}
	crowded := st.dues.crowded()
	st.mu.Unlock()
	if crowded {
		s.lookThrough(st)
	}
}

// inspect deletes key's entry if it is dead. Else, and while key is being written,
// it returns the tick in which to look again; one that has passed for never.
func (s *store[K, S]) inspect(st *stripe[K, S], key K, now int64) (at int64) {
	if s.writing(st, key) { // asked before Ristretto, to which the write goes
		return now + 1
	}
	if at, over := s.ends(st, key); !over {
		return at
	}
	w := s.tryOwn(key)
	if w == nil {
		return now + 1
	}
	defer s.release(key, w)
	at, over := s.ends(st, key) // of which it may be another entry by now
	if !over {
		return at
	}
	if s.del(key) == nil {
		s.swept.Add(1)
	}
	s.gone(st, key)
	return 0
}

// ends returns the tick in which key's entry is over, or that it is already. The
// entry itself is asked: somebody may have written another one around this adapter.
// One that has no end, or is not there, is over in the tick zero.
func (s *store[K, S]) ends(st *stripe[K, S], key K) (at int64, over bool) {
	value, ok, err := s.get(key)
	if err != nil || !ok {
		s.gone(st, key)
		return 0, false
	}
	now := time.Now()
	left, aged := s.left(value, now)
	switch {
	case !aged:
		st.mu.Lock()
		at, ours := st.dues.ageless[key]
		st.mu.Unlock()
		return at, ours && at < s.tidier.tickAfter(now, 0)
	case left >= forGood:
		return 0, false
	}
	return s.tidier.tickAfter(now, left), left <= 0
}

// lookThrough drops void listings, and those of keys that Ristretto has evicted. If
// a few show that it has hardly evicted any, the others are not looked at: in a
// cache that fills up for the first time that takes a fifth of what a Set does.
func (s *store[K, S]) lookThrough(st *stripe[K, S]) {
	const few = 64
	keep := func(key K) bool { return s.holds(st, key) }
	st.mu.Lock()
	some := st.dues.sample(few)
	full := !st.dues.voided()
	st.mu.Unlock()
	for i := 0; full && i < len(some); i++ {
		full = keep(some[i])
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !full {
		all := st.dues.takeAll()
		st.mu.Unlock()
		thin(all, keep)
		st.mu.Lock()
		st.dues.putBack(all)
	}
	st.dues.limit = 2 * st.dues.count
}

// holds reports whether key has an entry, or may be about to.
func (s *store[K, S]) holds(st *stripe[K, S], key K) bool {
	if s.writing(st, key) { // asked before Ristretto, to which the write goes
		return true
	}
	there, err := s.has(key)
	if err == nil && !there {
		s.gone(st, key)
	}
	return there || err != nil
}

// gone says that key has no entry, as far as that is noted.
func (s *store[K, S]) gone(st *stripe[K, S], key K) {
	st.mu.Lock()
	delete(st.dues.ageless, key)
	st.mu.Unlock()
}

func (s *store[K, S]) writing(st *stripe[K, S], key K) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.writes[key] != nil
}

// track has value looked at when its time is over, seen from the instant now. The
// caller owns key; anew says that it had no value.
func (s *store[K, S]) track(st *stripe[K, S], key K, value S, now time.Time, anew bool) {
	if s.left == nil {
		return
	}
	left, aged := s.left(value, now)
	at, from := s.tidier.tickAfter(now, left), s.tidier.tickAfter(now, 0)-1
	st.mu.Lock()
	if !anew {
		st.dues.forget(key)
	}
	if !aged {
		st.dues.ageFrom(key, at)
	}
	if left >= forGood {
		st.mu.Unlock()
		return
	}
	st.dues.list(key, from, at)
	crowded := st.dues.crowded()
	st.mu.Unlock()
	if crowded {
		s.arm(now, 0)
		return
	}
	s.arm(now, left+tick)
}

// untrack says that key's value is gone. The caller owns key.
func (s *store[K, S]) untrack(key K) {
	st := s.stripe(key)
	st.mu.Lock()
	st.dues.forget(key)
	crowded := st.dues.crowded()
	st.mu.Unlock()
	if crowded {
		s.arm(time.Now(), 0)
	}
}

// tickAfter returns the first tick that is not before left has passed since now.
func (t *tidier) tickAfter(now time.Time, left time.Duration) int64 {
	return int64((t.since(now)+left)/tick) + 1
}
