package ristrettoadapter

import (
	"context"
	"time"
)

// life is how long Ristretto itself is to hold a value.
type life struct {
	ttl time.Duration // 0: no end
	end time.Time     // the same as an instant; zero: no end
}

// noLife is what Ristretto is told of a value whose end it is not to know.
var noLife life

// put writes value at the instant now and waits for nothing if it can. Refused
// values that can be told at once are an error, and what was there before is
// deleted: the caller knows that it is out of date.
func (s *store[K, S]) put(ctx context.Context, key K, value S, cost int64, l life, now time.Time) error {
	st := s.stripe(key)
	w := s.takeFree(st, key)
	if w == nil {
		if err := s.makeRoom(ctx, st); err != nil {
			return err
		}
		var err error
		if w, err = s.own(ctx, key, false); err != nil {
			return err
		}
	}
	if cost > s.c.MaxCost() {
		return s.refuse(ctx, key, w)
	}
	there, err := s.has(key)
	if err == nil {
		err = s.push(ctx, key, value, cost, l.ttl)
	}
	if err != nil {
		s.release(key, w)
		return err
	}
	if there {
		return s.replaced(ctx, key, w, value, l, now)
	}
	s.buffered(st, key, w, value, l, now)
	return nil
}

// takeFree makes the caller the only writer of key if nobody is another and there
// is room in the stripe; else it returns nil.
func (s *store[K, S]) takeFree(st *stripe[K, S], key K) *write[S] {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.writes) >= maxUnsettled || st.writes[key] != nil {
		return nil
	}
	return s.takeLocked(st, key, nil)
}

// makeRoom settles the stripe's writes if nobody else does.
func (s *store[K, S]) makeRoom(ctx context.Context, st *stripe[K, S]) error {
	st.mu.Lock()
	full := len(st.writes) >= maxUnsettled
	st.mu.Unlock()
	if !full {
		return nil
	}
	return s.drain(ctx, st, false)
}

// push writes until Ristretto does not drop the write.
func (s *store[K, S]) push(ctx context.Context, key K, value S, cost int64, ttl time.Duration) error {
	for range maxTries {
		taken, err := s.set(key, value, cost, ttl)
		if taken || err != nil {
			return err
		}
		s.contended.Add(1)
		if err := s.flusher.flush(ctx); err != nil {
			return err
		}
	}
	return errDropped
}

// replaced ends the write of a key that was there. Such a write is visible at
// once, unless ShouldUpdate refused it or the key was evicted meanwhile.
func (s *store[K, S]) replaced(ctx context.Context, key K, w *write[S], value S, l life, now time.Time) error {
	stored, ok, err := s.get(key)
	switch {
	case err != nil:
		s.release(key, w)
		return err
	case !ok:
		s.buffered(s.stripe(key), key, w, value, l, now)
		return nil
	case !s.same(stored, value):
		return s.refuse(ctx, key, w)
	}
	s.track(s.stripe(key), key, value, now, false)
	s.release(key, w)
	return nil
}

func (s *store[K, S]) buffered(st *stripe[K, S], key K, w *write[S], value S, l life, now time.Time) {
	s.track(st, key, value, now, true)
	w.value, w.end, w.found = value, l.end, true
	s.leaveAt(st, key, w, now)
}

func (s *store[K, S]) refuse(ctx context.Context, key K, w *write[S]) error {
	s.refused.Add(1)
	if err := s.erase(ctx, key, w); err != nil {
		return err
	}
	return errRefused
}

// remove deletes key, with what is still buffered of it.
func (s *store[K, S]) remove(ctx context.Context, key K) error {
	w, err := s.own(ctx, key, true)
	if err != nil {
		return err
	}
	return s.erase(ctx, key, w)
}

// erase deletes what key holds. It always waits: a buffered write of somebody
// who uses the Ristretto cache directly would show up after it too.
func (s *store[K, S]) erase(ctx context.Context, key K, w *write[S]) error {
	s.untrack(key)
	if err := s.del(key); err != nil {
		s.release(key, w)
		return err
	}
	if err := s.flusher.flush(ctx); err != nil {
		s.leave(key, w) // its deletion is still buffered, and would take a new value with it
		return err
	}
	s.release(key, w)
	return nil
}

// missed is asked after Ristretto had no value, and looks a second time:
//
//  1. Get looks into Ristretto, which has buffered the value.
//  2. The value is applied and leaves the overlay.
//  3. Get looks into the overlay.
//
// The second look does not count as one: to Ristretto's metrics and admission
// policy it is no read.
func (s *store[K, S]) missed(key K) (value S, left time.Duration, ok bool, err error) {
	if value, end, ok := s.unsettledValue(key); ok {
		if end.IsZero() {
			return value, -1, true, nil
		}
		left := time.Until(end)
		return value, left, left > 0, nil
	}
	left, ok, err = s.lifeOf(key)
	if err == nil && ok {
		value, ok, err = s.get(key)
	}
	return value, left, ok, err
}

// The calls of Ristretto, with its panics as errors.

func (s *store[K, S]) get(key K) (value S, ok bool, err error) {
	defer guard(&err)
	value, ok = s.c.Get(key)
	return value, ok, nil
}

func (s *store[K, S]) has(key K) (ok bool, err error) {
	defer guard(&err)
	_, ok = s.c.GetTTL(key)
	return ok, nil
}

// lifeOf is ttl.
func (s *store[K, S]) lifeOf(key K) (left time.Duration, ok bool, err error) {
	defer guard(&err)
	left, ok = s.ttl(key)
	return left, ok, nil
}

// ttl returns what is left of the value's life, below zero if it has no end. It is
// for who has a guard; a second one costs a hit 3 ns of 260.
func (s *store[K, S]) ttl(key K) (left time.Duration, ok bool) {
	left, ok = s.c.GetTTL(key)
	if ok && left == 0 {
		// No end, or the very nanosecond of the end, which passes.
		if left, ok = s.c.GetTTL(key); ok && left == 0 {
			return -1, true
		}
	}
	return left, ok && left > 0 // below zero it ended while Ristretto looked
}

func (s *store[K, S]) set(key K, value S, cost int64, ttl time.Duration) (taken bool, err error) {
	defer guard(&err)
	s.begun.Add(1)
	defer s.ended.Add(1)
	return s.c.SetWithTTL(key, value, cost, ttl), nil
}

func (s *store[K, S]) del(key K) (err error) {
	defer guard(&err)
	s.begun.Add(1)
	defer s.ended.Add(1)
	s.c.Del(key)
	return nil
}
