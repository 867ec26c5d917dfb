package flight

import (
	"sync"
	"sync/atomic"
	"time"
)

// shared is a read of the clock that flights share which start within a
// millisecond of it. A read is a quarter of what Group.Do costs, and a table that
// reads it for every flight is slower than x/sync's Do.
//
// Only busy tables share one. While a read is shared a timer is armed that ends
// it: nothing runs in a table where nothing starts.
//
// The timer may be late, if the process was paused or has too few processors. A
// flight that started when it was overdue has a start that is too early, and could
// time out the moment it began. So flights that shared an overdue read start when
// that is found out: by the timer, or by whoever asks for their time before.
type shared struct {
	at     atomic.Int64         // the read; 0 if none is shared
	move   func(from, to int64) // moves flights that started at from; nil: share nothing
	moving atomic.Bool          // while move is called

	mu    sync.Mutex // guards what follows; after it comes a shard's lock
	since int64      // the first of reads
	reads int        // made for flights within sharing
	timer *time.Timer
}

const (
	sharing = time.Millisecond
	busy    = 16                    // reads within sharing, from which on they are shared
	overdue = 50 * time.Millisecond // a busy processor lets a timer wait for 20 ms
)

// now returns when a flight starts that does so now.
func (s *shared) now() int64 {
	if at := s.at.Load(); at != 0 {
		return at
	}
	now := Now()
	// The shard is locked: waiting for mu could be for ever, and a read that is not
	// counted does no harm.
	if s.move != nil && s.mu.TryLock() {
		s.countLocked(now)
		s.mu.Unlock()
	}
	return now
}

func (s *shared) countLocked(now int64) {
	if s.reads == 0 || now-s.since >= int64(sharing) {
		s.since, s.reads = now, 0
	}
	s.reads++
	if s.reads < busy || s.at.Load() != 0 {
		return
	}
	s.at.Store(now)
	if s.timer == nil {
		s.timer = time.AfterFunc(sharing, s.end)
		return
	}
	s.timer.Reset(sharing)
}

// end ends the sharing of a read.
func (s *shared) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at.Load()
	if at == 0 {
		return
	}
	if now := Now(); now-at >= int64(overdue) {
		s.moving.Store(true)
		defer s.moving.Store(false)
		s.at.Store(0) // before: no flight that starts now is missed
		s.move(at, now)
	}
	s.at.Store(0)
}

// settle must come before any look at the time of a flight. No lock may be held.
func (s *shared) settle() {
	if s == nil {
		return
	}
	at := s.at.Load() // before moving, which end sets first
	if s.moving.Load() || at != 0 && Now()-at >= int64(overdue) {
		s.end() // waits for the one under way
	}
}

// move makes the flights that started at from, and are in their first phase, start
// at to.
func (t *Table[K, V]) move(from, to int64) {
	for i := range t.shards {
		t.shards[i].move(from, to)
	}
}

func (s *Shard[K, V]) move(from, to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := After(from, s.table.cfg.First)
	look := func(f *Flight[K, V]) {
		if f.started != from || f.alarm != first {
			return
		}
		f.started, f.alarm = to, After(to, s.table.cfg.First)
		atomic.CompareAndSwapInt64(&f.ctx.deadline, first, f.alarm)
	}
	s.flights.all(look)
	for f := range s.loose.m {
		look(f)
	}
}
