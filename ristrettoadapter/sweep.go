package ristrettoadapter

import (
	"context"
	"math"
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

	running sync.Mutex // one run at a time
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

func (t *tidier) nowTick() int64 { return int64(t.since(time.Now()) / tick) }

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
	now := t.nowTick()
	for i := range s.stripes {
		st := &s.stripes[i]
		_ = s.drain(ctx, st, true)
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

// sweep looks at the keys of a stripe that are due, and at all of them if they
// have become many and some are gone.
func (s *store[K, S]) sweep(ctx context.Context, st *stripe[K, S], now int64) {
	st.mu.Lock()
	due := st.dues.take(now)
	crowded := st.dues.crowded()
	st.mu.Unlock()
	for i, key := range due {
		s.inspect(st, key, now)
		if i%sweepBatch == sweepBatch-1 {
			_ = s.flusher.flush(ctx)
		}
	}
	if crowded {
		s.forgetEvicted(st, now)
	}
	if !crowded && len(due) == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.dues.shrink()
}

// forgetEvicted forgets the keys that Ristretto has not any more. If a few show
// that it has hardly evicted any, the others are not looked at: in a cache that
// fills up for the first time that takes a fifth of what a Set does.
func (s *store[K, S]) forgetEvicted(st *stripe[K, S], now int64) {
	const sample = 64
	for _, n := range []int{sample, math.MaxInt} {
		gone := 0
		st.mu.Lock()
		keys := st.dues.any(n)
		st.mu.Unlock()
		for _, key := range keys {
			if there, err := s.has(key); err == nil && !there {
				s.inspect(st, key, now)
				gone++
			}
		}
		if gone == 0 {
			return
		}
	}
}

// inspect deletes key's entry if it is dead and forgets key if it has none. A
// key that is being written is looked at later.
func (s *store[K, S]) inspect(st *stripe[K, S], key K, now int64) {
	w := s.tryOwn(key)
	if w == nil {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.dues.postpone(key, now)
		return
	}
	defer s.release(key, w)
	if there, err := s.has(key); err != nil || !there {
		s.untrack(key)
		return
	}
	if !st.isDue(key, now) {
		return
	}
	// The entry itself is asked: somebody may have written another one around
	// this adapter.
	value, ok, err := s.get(key)
	switch {
	case err != nil || !ok:
		s.untrack(key)
	case !s.dead(value):
		s.track(st, key, value, time.Now())
	case s.del(key) == nil:
		s.swept.Add(1)
		s.untrack(key)
	}
}

func (st *stripe[K, S]) isDue(key K, now int64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	at, ok := st.dues.at[key]
	return ok && at <= now
}

// track has value looked at when its time is over, seen from the instant now. The
// caller owns key.
func (s *store[K, S]) track(st *stripe[K, S], key K, value S, now time.Time) {
	if s.left == nil {
		return
	}
	left := s.left(value, now)
	if left >= forGood {
		s.untrack(key)
		return
	}
	at := s.tidier.tickAfter(now, left)
	st.mu.Lock()
	st.dues.watch(key, at)
	crowded := st.dues.crowded()
	st.mu.Unlock()
	if crowded {
		s.arm(now, 0)
		return
	}
	s.arm(now, left+tick)
}

// untrack forgets key. The caller owns it.
func (s *store[K, S]) untrack(key K) {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.dues.forget(key)
}

// tickAfter returns the first tick that is not before left has passed since now.
func (t *tidier) tickAfter(now time.Time, left time.Duration) int64 {
	return int64((t.since(now)+left)/tick) + 1
}
