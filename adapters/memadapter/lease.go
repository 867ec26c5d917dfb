package memadapter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
)

var (
	errLeasesOff  = errors.New("memadapter: the leases of this store are off")
	errEmptyToken = errors.New("memadapter: the token of the lease is empty")
)

// lease is who may load a key and store what the load returned.
type lease struct {
	attempt string // the token of the LeaseRequest; empty for no lease
	grant   string // the token of this one grant
	end     int64  // after epoch

	// filled says that the lease has ended with a Fill. It is remembered for
	// another life, so that a Fill whose reply was lost can be repeated.
	filled bool
}

func (l lease) held(at int64) bool { return l.attempt != "" && !l.filled && at < l.end }

// of reports whether token names the lease: that of the grant, which an Acquire
// answered, or of the attempt, for one that got no answer and wants to release.
func (l lease) of(token string) bool {
	return l.attempt != "" && (token == l.grant || token == l.attempt)
}

// left is zero, not known, for a lease without an end.
func (l lease) left(at int64) time.Duration {
	if l.end == noEnd {
		return 0
	}
	return time.Duration(l.end - at)
}

// LeaseLife returns the life that NewShared was given.
func (p *Process[K, V]) LeaseLife() time.Duration { return p.store.life }

// Acquire answers in the order of [corral.LeaseState] backwards: an entry that
// was not seen, another's lease, the lease, with a token of this one grant. It
// returns an error for an empty token and if leases are off.
func (p *Process[K, V]) Acquire(_ context.Context, key K, r corral.LeaseRequest[V]) (corral.Lease[V], error) {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acquireLocked(key, r, now())
}

func (s *Shared[K, V]) acquireLocked(key K, r corral.LeaseRequest[V], at int64) (corral.Lease[V], error) {
	switch {
	case s.life <= 0:
		return corral.Lease[V]{}, errLeasesOff
	case r.Token == "":
		return corral.Lease[V]{}, errEmptyToken
	}
	e, l := s.entryLocked(key, at), s.leaseLocked(key, at)
	switch {
	case e != nil && !r.Force && !same(e, r.Seen):
		return corral.Lease[V]{State: corral.LeaseChanged, Entry: e}, nil
	case l.attempt != "" && l.attempt != r.Token:
		return corral.Lease[V]{State: corral.LeaseBusy, Empty: e == nil, Left: l.left(at)}, nil
	}
	if l.attempt == "" {
		s.grants++
		l = lease{attempt: r.Token, grant: fmt.Sprintf("%s %d", r.Token, s.grants)}
	}
	l.end = endAfter(at, s.life)
	s.leaseToLocked(key, l)
	return corral.Lease[V]{State: corral.LeaseHeld, Token: l.grant, Empty: e == nil}, nil
}

// same reports whether e, as the store holds it, is the entry that was seen.
func same[V any](e, seen *corral.Entry[V]) bool { return seen != nil && seen.Version == e.Version }

// Renew gives the lease of token its whole life from now, or returns
// [corral.ErrLeaseLost].
func (p *Process[K, V]) Renew(_ context.Context, key K, token string) error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewLocked(key, token, now())
}

func (s *Shared[K, V]) renewLocked(key K, token string, at int64) error {
	l := s.leaseLocked(key, at)
	if !l.of(token) {
		return corral.ErrLeaseLost
	}
	l.end = endAfter(at, s.life)
	s.leaseToLocked(key, l)
	return nil
}

// Fill stores e as Set does, or deletes if e is nil, ends the lease of token and
// wakes who watches it. The other processes are not told: nobody takes what they
// have for wrong because it was loaded once more. [corral.ErrLeaseLost] is for a
// token without the lease. A Fill that was applied can be repeated for a life,
// until somebody else writes or leases the key.
func (p *Process[K, V]) Fill(_ context.Context, key K, token string, e *corral.Entry[V]) error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fillLocked(key, token, e, now())
}

func (s *Shared[K, V]) fillLocked(key K, token string, e *corral.Entry[V], at int64) error {
	if s.filledLocked(key, token, at) {
		return nil
	}
	l := s.leaseLocked(key, at)
	if !l.of(token) {
		return corral.ErrLeaseLost
	}
	l.end, l.filled = endAfter(at, s.life), true
	s.writeLocked(key, e, l)
	s.wakeLocked(key)
	return nil
}

// Release ends the lease if token has it, and then wakes who watches it. The
// error is always nil.
func (p *Process[K, V]) Release(_ context.Context, key K, token string) error {
	s := p.store
	s.mu.Lock()
	defer s.mu.Unlock()
	s.releaseLocked(key, token, now())
	return nil
}

func (s *Shared[K, V]) releaseLocked(key K, token string, at int64) {
	if s.leaseLocked(key, at).of(token) {
		s.leaseToLocked(key, lease{})
		s.wakeLocked(key)
	}
}

// leaseLocked returns the lease of key that somebody has, or the zero lease.
func (s *Shared[K, V]) leaseLocked(key K, at int64) lease {
	if c := s.cells[key]; c != nil && c.lease.held(at) {
		return c.lease
	}
	return lease{}
}

// filledLocked reports whether token's lease of key is known to have ended with
// a Fill.
func (s *Shared[K, V]) filledLocked(key K, token string, at int64) bool {
	c := s.cells[key]
	return c != nil && c.lease.filled && c.lease.of(token) && at < c.lease.end
}

// leaseToLocked puts l in place of key's lease and leaves the entry alone.
func (s *Shared[K, V]) leaseToLocked(key K, l lease) {
	next := cell[V]{}
	if c := s.cells[key]; c != nil {
		next = *c
	}
	next.lease = l
	s.putLocked(key, &next)
}
