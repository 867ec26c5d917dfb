package corral

import (
	"container/list"
	"context"
	"sync"

	"github.com/corralcache/corral/internal/flight"
)

// slots bound how many loads run at once. A load made inside a load uses that
// one's slot: it runs while its parent waits, and if it had to queue behind
// others that wait likewise, nobody would move.
type slots struct {
	mu    sync.Mutex
	free  int        // guarded by mu
	queue *list.List // of *ticket, the first to come in front; guarded by mu
}

// slot is the right to run a load, shared by a load and those inside it.
type slot struct {
	of   *slots
	refs int // guarded by of.mu
}

// ticket is a flight's place in the queue.
type ticket struct {
	granted chan struct{} // closed once slot is set
	slot    *slot         // guarded by slots.mu until granted
	place   *list.Element // nil when not in the queue; guarded by slots.mu
}

type slotKey struct{ of *slots }

// newSlots returns nil, which bounds nothing, for n of zero.
func newSlots(n int) *slots {
	if n == 0 {
		return nil
	}
	return &slots{free: n, queue: list.New()}
}

// held returns the slot of the load inside which ctx was made, or nil.
func (s *slots) held(ctx context.Context) *slot {
	if s == nil {
		return nil
	}
	held, _ := ctx.Value(slotKey{s}).(*slot)
	return held
}

// enqueue returns a ticket, which may have been granted at once.
func (s *slots) enqueue() *ticket {
	t := &ticket{granted: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		t.grantLocked(&slot{of: s, refs: 1})
		return t
	}
	t.place = s.queue.PushBack(t)
	return t
}

func (t *ticket) grantLocked(s *slot) {
	t.slot, t.place = s, nil
	close(t.granted)
}

// takeSlot waits for the right of flights to load together: a patron's, or one of
// MaxLoads. It returns false if ctx, theirs, ended first.
func (l *Loader[K, V]) takeSlot(ctx context.Context, flights []*flight.Flight[K, ride[K, V]]) (held *slot, ok bool) {
	if l.slots == nil {
		return nil, true
	}
	for _, f := range flights {
		f.Update(func(r *ride[K, V]) { held = l.slots.shareAny(r.patrons) })
		if held != nil {
			return held, true
		}
	}
	t := l.slots.enqueue()
	for _, f := range flights {
		f.Update(func(r *ride[K, V]) {
			for _, patron := range r.patrons { // who came meanwhile
				l.slots.lend(t, patron)
			}
			r.ticket = t
		})
	}
	return l.slots.wait(ctx, t)
}

// lend gives a ticket that still waits a share in a held slot.
func (s *slots) lend(t *ticket, held *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.place == nil || held.refs == 0 {
		return
	}
	s.queue.Remove(t.place)
	held.refs++
	t.grantLocked(held)
}

// share takes a share in a held slot; false if it was given back already.
func (s *slots) share(held *slot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held.refs == 0 {
		return false
	}
	held.refs++
	return true
}

// shareAny takes a share in one of the slots; nil if all were given back.
func (s *slots) shareAny(held []*slot) *slot {
	for _, h := range held {
		if s.share(h) {
			return h
		}
	}
	return nil
}

// wait waits until the ticket is granted or ctx ends, which gives it up.
func (s *slots) wait(ctx context.Context, t *ticket) (*slot, bool) {
	select {
	case <-t.granted:
		return t.slot, true
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.place == nil {
		return t.slot, true // granted in the same instant: the caller gives it back
	}
	s.queue.Remove(t.place)
	t.place = nil
	return nil, false
}

// release gives up one share; the last one passes the slot on.
func (s *slot) release() {
	if s == nil {
		return
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.refs--
	if s.refs > 0 {
		return
	}
	if front := s.of.queue.Front(); front != nil {
		s.of.queue.Remove(front)
		front.Value.(*ticket).grantLocked(&slot{of: s.of, refs: 1})
		return
	}
	s.of.free++
}
