package flight

import (
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// watch rings the alarms of a table's flights with one timer for all of them. A
// timer per flight would cost two allocations and a trip to the runtime's heap
// for an alarm that nearly never rings; this one is armed for the earliest alarm
// and costs the others one atomic load. When it fires it looks through the whole
// table, which it does at most once per alarm length.
type watch struct {
	at    atomic.Int64 // when the timer fires; never if it is not armed
	mu    sync.Mutex
	timer *time.Timer // guarded by mu
}

// arm sees to it that the timer fires at alarm, 0 being never.
func (t *Table[K, V]) arm(alarm int64) {
	if alarm != 0 && alarm < t.watch.at.Load() {
		t.rearm(alarm)
	}
}

func (t *Table[K, V]) rearm(alarm int64) {
	w := &t.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if alarm >= w.at.Load() {
		return
	}
	w.at.Store(alarm)
	wait := max(0, time.Duration(alarm-Now()))
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, weakly(t))
		return
	}
	w.timer.Reset(wait)
}

// weakly returns t.ring such that an armed timer does not keep alive a table that
// nobody uses any more: it may be armed for the length of the longest alarm.
func weakly[K comparable, V any](t *Table[K, V]) func() {
	p := weak.Make(t)
	return func() {
		if t := p.Value(); t != nil {
			t.ring()
		}
	}
}

// ring rings every alarm that is due and arms the timer for the next.
func (t *Table[K, V]) ring() {
	t.watch.at.Store(never)
	t.clock.settle()
	now, next := Now(), int64(never)
	for i := range t.shards {
		due, rest := t.shards[i].due(now)
		next = min(next, rest)
		for _, d := range due {
			t.cfg.Alarm(d.flight, d.phase)
		}
	}
	if next != never {
		t.arm(next)
	}
}

type alarm[K comparable, V any] struct {
	flight *Flight[K, V]
	phase  uint8
}

// due returns the flights whose alarm rings at now, and when the next one will.
func (s *Shard[K, V]) due(now int64) (due []alarm[K, V], next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next = never
	look := func(f *Flight[K, V]) {
		switch {
		case f.alarm == 0:
		case f.alarm <= now:
			due = append(due, alarm[K, V]{f, f.phase})
			f.alarm, f.seen = 0, true
		default:
			next = min(next, f.alarm)
		}
	}
	s.flights.all(look)
	for f := range s.loose.m {
		look(f)
	}
	return due, next
}
