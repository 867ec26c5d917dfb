package memadapter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/stored"
)

var (
	errNoStore = errors.New("memadapter: the Process belongs to no store: Shared.Process makes one that does")
	errNoDrop  = errors.New("memadapter: Listen needs a function to tell, drop is nil")
)

// Shared is a store that several processes share, in the memory of one: the
// reference for adapters to servers, and the way to test a fleet of Loaders
// without one. Each Loader has a [Process] of its own as its cache. The zero
// value is empty, ready, and has its leases off. All calls are safe for
// concurrent use.
//
// Everything stands under one mutex, so that each call is a step of its own,
// like a server's script. Dead keys are swept as in [Cache], here while the
// others wait.
type Shared[K comparable, V any] struct {
	life time.Duration

	mu       sync.Mutex
	cells    map[K]*cell[V]                   // guarded by mu
	versions uint64                           // guarded by mu; of the last entry that was stored
	grants   uint64                           // guarded by mu; how many leases were granted
	sweepAt  int                              // guarded by mu; so many cells are swept
	watchers map[K]map[chan struct{}]struct{} // guarded by mu
	ears     map[*ear[K]]*Process[K, V]       // guarded by mu; with who listens
}

// cell is what the store holds under a key.
type cell[V any] struct {
	entry *corral.Entry[V] // nil for none; its time may be over
	end   int64            // of the entry, after epoch
	lease lease
}

// NewShared returns an empty store, whose leases last for life unless they are
// renewed. Zero turns leases off; below zero, Check fails.
func NewShared[K comparable, V any](life time.Duration) *Shared[K, V] {
	return &Shared[K, V]{life: life}
}

// Process returns a cache that sees the store as one more process does: it hears
// of what the others write, and not of its own writes. It needs no closing.
func (s *Shared[K, V]) Process() *Process[K, V] { return &Process[K, V]{store: s} }

// Process is a [Shared] as one process sees it, and a far cache: its [corral.Loader]
// reads it inside of flights, as it does a server. Its calls answer at once and
// do not look at their context. It holds nothing itself.
type Process[K comparable, V any] struct {
	store *Shared[K, V]
}

var (
	_ corral.Cache[string, any]  = (*Process[string, any])(nil)
	_ corral.Far                 = (*Process[string, any])(nil)
	_ corral.Checker             = (*Process[string, any])(nil)
	_ corral.Leaser[string, any] = (*Process[string, any])(nil)
	_ corral.Listener[string]    = (*Process[string, any])(nil)
)

// Check returns an error if the life of leases is below zero, or if the Process
// was not made by [Shared.Process].
func (p *Process[K, V]) Check() error {
	switch {
	case p.store == nil:
		return errNoStore
	case p.store.life < 0:
		return fmt.Errorf("memadapter: the life of leases is %v: it must not be below zero", p.store.life)
	}
	return nil
}

// Far returns true.
func (p *Process[K, V]) Far() bool { return true }

// Get returns the entry of key, with its Version, or nil. The error is always
// nil.
func (p *Process[K, V]) Get(_ context.Context, key K) (*corral.Entry[V], error) {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entryLocked(key, now()), nil
}

// Set keeps a copy of e, with a Version of its own, until Keep after its
// LoadedAt, or, if its age is unknown, Keep from now. It ends the lease of key,
// wakes who watches it and tells the other processes. An entry whose time is
// over removes what was there. The error is nil unless e is.
func (p *Process[K, V]) Set(_ context.Context, key K, e *corral.Entry[V]) error {
	if e == nil {
		return errNilEntry
	}
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, e, p)
	return nil
}

// Delete removes the entry of key, if there is one, ends its lease, wakes who
// watches it and tells the other processes. The error is always nil.
func (p *Process[K, V]) Delete(_ context.Context, key K) error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(key, nil, p)
	return nil
}

// setLocked is by's Set of e, or Delete for nil.
func (s *Shared[K, V]) setLocked(key K, e *corral.Entry[V], by *Process[K, V]) {
	s.writeLocked(key, e, lease{})
	s.announceLocked(key, by)
}

// entryLocked returns what is stored under key and not over.
func (s *Shared[K, V]) entryLocked(key K, at int64) *corral.Entry[V] {
	if c := s.cells[key]; c != nil && at < c.end {
		return c.entry
	}
	return nil
}

// writeLocked puts e, or nothing for nil, under key, and l in place of its
// lease: no load that is under way can store after it.
func (s *Shared[K, V]) writeLocked(key K, e *corral.Entry[V], l lease) {
	next := &cell[V]{lease: l}
	if e != nil {
		if life := stored.Left(e, time.Now()); life > 0 {
			s.versions++
			own := *e
			own.Version = s.versions
			next.entry, next.end = &own, endAfter(now(), life)
		}
	}
	s.putLocked(key, next)
}

// putLocked makes c the cell of key. One that holds nothing takes no room.
func (s *Shared[K, V]) putLocked(key K, c *cell[V]) {
	if c.entry == nil && c.lease == (lease{}) {
		delete(s.cells, key)
		return
	}
	if s.cells == nil {
		s.cells = map[K]*cell[V]{}
	}
	s.cells[key] = c
	if len(s.cells) > max(minSweep, s.sweepAt) {
		s.sweepLocked(now())
	}
}

// dead reports whether c holds nothing of use. An end says nothing where there is
// no entry or no lease: in a bubble, zero is in the future.
func (c *cell[V]) dead(at int64) bool {
	return (c.entry == nil || at >= c.end) && (c.lease.attempt == "" || at >= c.lease.end)
}

// sweepLocked removes the cells of which nothing lives, and leaves the store
// alone until it may have doubled.
func (s *Shared[K, V]) sweepLocked(at int64) {
	for key, c := range s.cells {
		if c.dead(at) {
			delete(s.cells, key)
		}
	}
	s.sweepAt = 2 * len(s.cells)
}
