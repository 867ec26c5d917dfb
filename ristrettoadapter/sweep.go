package ristrettoadapter

import (
	"context"
	"sync"
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
	mu    sync.Mutex
	epoch time.Time   // guarded by mu; when ticks began
	timer *time.Timer // guarded by mu
	armed bool        // guarded by mu
	at    time.Time   // guarded by mu; when the timer fires, if armed

	running sync.Mutex // one run at a time
}

func (t *tidier) nowTick() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return int64(time.Since(t.epoch) / tick)
}

// arm has the chores run after d, or sooner if they would anyway.
func (s *store[K, S]) arm(d time.Duration) {
	t := &s.tidier
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Now().Add(d)
	if t.armed && !at.Before(t.at) {
		return
	}
	t.armed, t.at = true, at
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
	if !t.running.TryLock() {
		s.arm(tidyTimeout)
		return
	}
	defer t.running.Unlock()
	t.mu.Lock()
	t.armed = false
	t.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), tidyTimeout)
	defer cancel()
	now := t.nowTick()
	for i := range s.stripes {
		st := &s.stripes[i]
		_ = s.drain(ctx, st, true)
		s.sweep(ctx, st, now)
	}
	if s.unsettled.Load() > 0 {
		s.arm(settleAfter)
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
		s.arm(time.Duration(max(1, first-now)) * tick)
	}
}

// sweep looks at the keys of a stripe that are due, and at all of them if they
// have become many.
func (s *store[K, S]) sweep(ctx context.Context, st *stripe[K, S], now int64) {
	st.mu.Lock()
	due := st.dues.take(now)
	evicted := st.dues.evicted()
	st.mu.Unlock()
	for i, key := range due {
		s.inspect(st, key, now)
		if i%sweepBatch == sweepBatch-1 {
			_ = s.flusher.flush(ctx)
		}
	}
	for _, key := range evicted {
		s.inspect(st, key, now)
	}
	if len(due)+len(evicted) == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.dues.shrink()
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
		s.track(key, value)
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

// track has value looked at when its time is over. The caller owns key.
func (s *store[K, S]) track(key K, value S) {
	if s.left == nil {
		return
	}
	left := s.left(value)
	if left >= forGood {
		s.untrack(key)
		return
	}
	at := s.tidier.tickAfter(left)
	st := s.stripe(key)
	st.mu.Lock()
	st.dues.watch(key, at)
	crowded := st.dues.crowded()
	st.mu.Unlock()
	if crowded {
		s.arm(0)
		return
	}
	s.arm(left + tick)
}

// untrack forgets key. The caller owns it.
func (s *store[K, S]) untrack(key K) {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.dues.forget(key)
}

// tickAfter returns the first tick that is not before left has passed.
func (t *tidier) tickAfter(left time.Duration) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epoch.IsZero() {
		t.epoch = time.Now()
	}
	return int64((time.Since(t.epoch)+left)/tick) + 1
}
