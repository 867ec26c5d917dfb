package ristrettoadapter

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	numStripes = 64

	// maxUnsettled bounds the overlay of a stripe: a Set that finds more settles
	// them first. The Loader settles each Set, so that it never gets there.
	maxUnsettled = 64

	// maxTries is how often a dropped write is made, each after a wait for the
	// buffer to drain. Ristretto does not tell "closed" from "full"; with 83 % of
	// all writes dropped, a live cache is taken for a closed one once in 150,000.
	maxTries = 64
)

// store makes writes to a Ristretto cache visible, final and safe. Ristretto
// puts a new key into a buffer and applies it later, which is why three things
// go wrong without it:
//
//  1. Set A, Get: a miss. The overlay answers until A is applied.
//  2. Set A, Set B: both are buffered as new, and Ristretto drops B because it
//     has the key by then. B waits until A is applied.
//  3. Set A, Del: the deletion finds nothing, A is applied and seen, and only
//     then does the buffered deletion take it away. Delete waits for that.
//
// So a key has at most one write at a time. The write owns the key by its
// place in the stripe's map; no lock is held while Ristretto, or a function of
// its user, runs. A hit never comes here.
type store[K Key, S any] struct {
	c    raw[K, S]
	same func(stored, written S) bool

	// left is how long a value is to be held after an instant, and whether it tells
	// that at any time; nil if Ristretto itself knows when a value ends.
	left func(S, time.Time) (left time.Duration, aged bool)

	flusher   *flusher
	seed      maphash.Seed
	stripes   [numStripes]stripe[K, S]
	unsettled atomic.Int64
	tidier    tidier

	// These two tell a reader of two things that no write came between.
	begun, ended atomic.Uint64

	refused, contended, swept atomic.Uint64
}

// raw is what the store needs of a Ristretto cache.
type raw[K Key, S any] interface {
	Get(key K) (S, bool)
	GetTTL(key K) (time.Duration, bool)
	SetWithTTL(key K, value S, cost int64, ttl time.Duration) bool
	Del(key K)
	Wait()
	MaxCost() int64
}

type stripe[K Key, S any] struct {
	mu     sync.Mutex
	writes map[K]*write[S] // guarded by mu
	peak   int             // guarded by mu; the most writes since the map was made
	dues   dues[K]         // guarded by mu
}

// write is a Set or Delete that owns its key: first under way, then, if
// Ristretto buffered it, unsettled. The fields are guarded by the stripe's mu.
type write[S any] struct {
	underWay bool
	free     chan struct{} // closed when it is under way no longer; made by who waits
	refused  bool

	value   S
	found   bool      // value is what Get finds; false for a deletion
	end     time.Time // when value's life ends; zero: no end, or not known here
	overdue bool      // the tidier has seen it before
	number  uint64    // of the wait after which it is applied; set when it is left
}

func newStore[K Key, S any](c raw[K, S], same func(stored, written S) bool) *store[K, S] {
	s := &store[K, S]{c: c, same: same, flusher: newFlusher(c.Wait), seed: maphash.MakeSeed()}
	for i := range s.stripes {
		s.stripes[i].writes = map[K]*write[S]{}
	}
	return s
}

func (s *store[K, S]) stripe(key K) *stripe[K, S] {
	return &s.stripes[maphash.Comparable(s.seed, key)%numStripes]
}

// own makes the caller the only writer of key. It waits for a write under way;
// an unsettled one it settles, or with supersede takes the place of.
func (s *store[K, S]) own(ctx context.Context, key K, supersede bool) (*write[S], error) {
	st := s.stripe(key)
	for {
		st.mu.Lock()
		before := st.writes[key]
		if before == nil || supersede && !before.underWay {
			w := s.takeLocked(st, key, before)
			st.mu.Unlock()
			return w, nil
		}
		var free chan struct{}
		if before.underWay {
			free = before.waitLocked()
		}
		st.mu.Unlock()
		if err := s.waitFor(ctx, st, key, before, free); err != nil {
			return nil, err
		}
	}
}

// tryOwn is own for who can come back later: nil if key has a write.
func (s *store[K, S]) tryOwn(key K) *write[S] {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.writes[key] != nil {
		return nil
	}
	return s.takeLocked(st, key, nil)
}

func (s *store[K, S]) takeLocked(st *stripe[K, S], key K, before *write[S]) *write[S] {
	if before != nil {
		s.unsettled.Add(-1)
	}
	w := &write[S]{underWay: true}
	st.writes[key] = w
	st.peak = max(st.peak, len(st.writes))
	return w
}

func (s *store[K, S]) waitFor(ctx context.Context, st *stripe[K, S], key K, w *write[S], free <-chan struct{}) error {
	if free == nil {
		_, err := s.settle(ctx, st, key, w)
		return err
	}
	select {
	case <-free:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *write[S]) waitLocked() chan struct{} {
	if w.free == nil {
		w.free = make(chan struct{})
	}
	return w.free
}

func (w *write[S]) landLocked() {
	w.underWay = false
	if w.free != nil {
		close(w.free)
	}
}

// release ends w: nothing of it is left in Ristretto's buffer.
func (s *store[K, S]) release(key K, w *write[S]) {
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	w.landLocked()
	st.removeLocked(key)
}

// leave ends w's call and leaves w unsettled.
func (s *store[K, S]) leave(key K, w *write[S]) {
	s.leaveAt(s.stripe(key), key, w, time.Now())
}

func (s *store[K, S]) leaveAt(st *stripe[K, S], key K, w *write[S], now time.Time) {
	s.unsettled.Add(1)
	st.mu.Lock()
	w.number = s.flusher.next()
	w.landLocked()
	st.mu.Unlock()
	s.arm(now, settleAfter)
}

func (st *stripe[K, S]) removeLocked(key K) {
	delete(st.writes, key)
	if len(st.writes) == 0 && st.peak > 4*maxUnsettled {
		st.writes, st.peak = map[K]*write[S]{}, 0 // a map keeps the size of its largest burst
	}
}

// settle waits until w is applied and says whether Ristretto refused it. Any
// number of callers may settle the same write.
func (s *store[K, S]) settle(ctx context.Context, st *stripe[K, S], key K, w *write[S]) (refused bool, err error) {
	if err := s.flusher.flushTo(ctx, w.number); err != nil {
		return false, err
	}
	return s.finish(st, key, w)
}

// finish drops the applied write w from the overlay, unless somebody did
// before. A key that is not there now was refused, or admitted and evicted
// again at once; nobody else wrote it, since w owned it until here.
func (s *store[K, S]) finish(st *stripe[K, S], key K, w *write[S]) (refused bool, err error) {
	there, err := s.has(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.writes[key] == w {
		st.removeLocked(key)
		s.unsettled.Add(-1)
		if w.found && !there && err == nil {
			w.refused = true
			s.refused.Add(1)
			st.dues.forget(key)
		}
	}
	return w.refused, err
}

// settleKey settles what key has unsettled. A write under way is not waited
// for: its caller has not been told yet that it is done.
func (s *store[K, S]) settleKey(ctx context.Context, key K) error {
	st := s.stripe(key)
	st.mu.Lock()
	w := st.writes[key]
	unsettled := w != nil && !w.underWay
	st.mu.Unlock()
	if !unsettled {
		return nil
	}
	refused, err := s.settle(ctx, st, key, w)
	if err == nil && refused {
		err = errRefused
	}
	return err
}

// drain settles the writes of a stripe, with overdue only those that were
// unsettled at the last call with overdue too.
func (s *store[K, S]) drain(ctx context.Context, st *stripe[K, S], overdue bool) error {
	ripe := st.ripe(overdue)
	if len(ripe) == 0 {
		return nil
	}
	var last uint64
	for _, w := range ripe {
		last = max(last, w.number)
	}
	if err := s.flusher.flushTo(ctx, last); err != nil {
		return err
	}
	for key, w := range ripe {
		if _, err := s.finish(st, key, w); err != nil {
			return err
		}
	}
	return nil
}

func (st *stripe[K, S]) ripe(overdue bool) map[K]*write[S] {
	st.mu.Lock()
	defer st.mu.Unlock()
	var ripe map[K]*write[S]
	for key, w := range st.writes {
		if !w.underWay && (w.overdue || !overdue) {
			if ripe == nil {
				ripe = make(map[K]*write[S], len(st.writes))
			}
			ripe[key] = w
		}
		w.overdue = !w.underWay
	}
	return ripe
}

// unsettledValue returns what the overlay has for key.
func (s *store[K, S]) unsettledValue(key K) (value S, end time.Time, ok bool) {
	if s.unsettled.Load() == 0 {
		return value, end, false
	}
	st := s.stripe(key)
	st.mu.Lock()
	defer st.mu.Unlock()
	w := st.writes[key]
	if w == nil || w.underWay || !w.found {
		return value, end, false
	}
	return w.value, w.end, true
}
