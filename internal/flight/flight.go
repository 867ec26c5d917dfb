package flight

import (
	"context"
	"sync"
)

// Flight is one load of a key and everybody who waits for it.
type Flight[K comparable, V any] struct {
	shard   *Shard[K, V]
	key     K
	started int64
	ctx     *LoadContext // apart, since a load may keep it
	job     *job         // see job.go; nil before the first Go

	// done is closed once, when the flight is woken. It is made by the first who
	// waits.
	done chan struct{}

	// guarded by shard.mu; value and err do not change once done is closed
	value  V
	err    error
	alarm  int64
	notify *notice
	next   *Flight[K, V] // in its chain
	hash   uint32        // not changed
	state
}

// state is what a flight's shard guards of it beside pointers.
type state struct {
	waiters    int32
	phase      uint8
	mapped     bool // in the shard's map
	woken      bool
	published  bool
	cancelled  bool
	background bool
	lasting    bool // never abandoned
	shared     bool // somebody joined
	seen       bool // somebody else may have a pointer to it
	filling    bool // its outcome is being written; see writes.go
}

// Key returns the key.
func (f *Flight[K, V]) Key() K { return f.key }

// Started returns when the flight started, as [Now] counts.
func (f *Flight[K, V]) Started() int64 { return f.started }

// Background reports whether the flight was started by [Table.Lead].
func (f *Flight[K, V]) Background() bool { return f.background }

// Context returns the context for the flight's load.
func (f *Flight[K, V]) Context() *LoadContext { return f.ctx }

// Values returns a context with the values of the caller that started the flight
// and an end of its own; 0 is none.
func (f *Flight[K, V]) Values(deadline int64) *CallContext {
	c := f.ctx.calls.next()
	c.deadline, c.values, c.node = deadline, f.ctx.values, &f.ctx.node
	return c
}

// ValuesLeft is Values for a call that is left, if alone, when its time is over: it
// is made on a goroutine that nobody waits for, and an alarm goes on without it.
func (f *Flight[K, V]) ValuesLeft(deadline int64, alone bool) *CallContext {
	c := f.Values(deadline)
	c.left = alone
	return c
}

// Deadline returns when the flight's context ends, as [Now] counts; 0 is never.
func (f *Flight[K, V]) Deadline() int64 { return f.ctx.end() }

// Outcome returns what the flight came to; only for who saw it woken.
func (f *Flight[K, V]) Outcome() (V, error) { return f.value, f.err }

// Await reports whether the flight is still to be woken, and prepares to Wait for
// it: a leader that joined without wait then must.
func (f *Flight[K, V]) Await() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if !f.woken && f.done == nil {
		f.done = make(chan struct{})
	}
	return !f.woken
}

// See says that others than the leader will have a pointer to the flight.
func (f *Flight[K, V]) See() {
	f.shard.mu.Lock()
	f.seen = true
	f.shard.mu.Unlock()
}

// Landed reports whether the flight was woken.
func (f *Flight[K, V]) Landed() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.woken
}

// Shared reports whether somebody joined the flight; only for who saw it woken.
func (f *Flight[K, V]) Shared() bool { return f.shared }

// Late reports whether the flight's context has outlived its deadline.
func (f *Flight[K, V]) Late() bool { return f.ctx.late() }

func (f *Flight[K, V]) joinLocked() Role {
	if f.done == nil {
		f.done = make(chan struct{})
	}
	if f.cancelled {
		return Queued
	}
	f.waiters++
	f.shared = true
	f.shard.joined++
	return Waiter
}

func (f *Flight[K, V]) info() Info {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return Info{Time(f.started), int(f.waiters)}
}

// Ended says how a wait ended.
type Ended uint8

const (
	Landed    Ended = iota // the outcome is there
	Left                   // ctx ended first
	Soon                   // the early channel was closed first; the flight is never abandoned now
	Recursive              // the flight waits for the caller's own load
)

// Wait waits until the flight is woken, ctx ends or early is closed. In every
// case but the first the caller has left the flight.
func (f *Flight[K, V]) Wait(ctx context.Context, role Role, early <-chan struct{}) Ended {
	if n := nodeOf(ctx); n != nil {
		if !n.wait(&f.ctx.node) {
			f.leave(role)
			return Recursive
		}
		defer n.unwait(&f.ctx.node)
	}
	switch {
	case early != nil:
		return f.waitEarly(ctx, role, early)
	case ctx.Done() == nil:
		<-f.done
		return Landed
	}
	select { // a case less than waitEarly has: it costs, even with a nil channel
	case <-f.done:
		return Landed
	case <-ctx.Done():
		f.leave(role)
		return Left
	}
}

func (f *Flight[K, V]) waitEarly(ctx context.Context, role Role, early <-chan struct{}) Ended {
	select {
	case <-f.done:
		return Landed
	case <-ctx.Done():
		f.leave(role)
		return Left
	case <-early:
		f.last()
		f.leave(role)
		return Soon
	}
}

// Hold marks the load in which ctx was made as waiting for the flight, until
// release. It reports false if the flight waits for that load already.
func (f *Flight[K, V]) Hold(ctx context.Context) (release func(), ok bool) {
	n := nodeOf(ctx)
	if n == nil {
		return func() {}, true
	}
	if !n.wait(&f.ctx.node) {
		return nil, false
	}
	return sync.OnceFunc(func() { n.unwait(&f.ctx.node) }), true
}

// Inside runs fn, the load of a flight that its leader runs itself, as a wait of
// the load in which ctx was made, which is [Nested].
func (f *Flight[K, V]) Inside(ctx context.Context, fn func()) {
	n := nodeOf(ctx)
	n.wait(&f.ctx.node)
	defer n.unwait(&f.ctx.node)
	fn()
}

// last keeps the flight from being abandoned: who leaves it early wants its
// outcome all the same.
func (f *Flight[K, V]) last() {
	f.shard.mu.Lock()
	f.lasting = true
	f.shard.mu.Unlock()
}

func (f *Flight[K, V]) leave(role Role) {
	if role != Queued {
		f.Leave()
	}
}

// Leave takes one waiter off the flight. If it was the last, the flight may be
// cancelled.
func (f *Flight[K, V]) Leave() {
	f.shard.mu.Lock()
	f.waiters--
	cfg := &f.shard.table.cfg
	may := cfg.CancelAbandoned || cfg.Queue != 0 && f.phase == cfg.Queue
	abandoned := may && f.waiters == 0 && !f.lasting && !f.published
	f.cancelled = f.cancelled || abandoned
	f.shard.mu.Unlock()
	if abandoned {
		f.ctx.Cancel(context.Canceled)
	}
}

// Update changes the flight's value while it is not published.
func (f *Flight[K, V]) Update(change func(v *V)) {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	if !f.published {
		change(&f.value)
	}
}

// Advance moves the flight on from phase from, or an earlier one, to phase to,
// whose alarm rings at alarm (0 is never). It reports false if the flight is past
// from or was woken: somebody else, such as an alarm, has moved it on.
func (f *Flight[K, V]) Advance(from, to uint8, alarm int64) bool {
	f.shard.mu.Lock()
	ok := f.phase <= from && !f.woken
	if ok {
		f.phase, f.alarm = to, alarm
	}
	f.shard.mu.Unlock()
	if ok {
		f.shard.table.arm(alarm)
	}
	return ok
}

// Phase returns the phase the flight is in.
func (f *Flight[K, V]) Phase() uint8 {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.phase
}

// Peek returns the flight's value as it is now, and how many callers wait.
func (f *Flight[K, V]) Peek() (v V, waiters int) {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.value, int(f.waiters)
}

// Abandoned reports whether the flight was cancelled since its last caller left.
func (f *Flight[K, V]) Abandoned() bool {
	if cfg := &f.shard.table.cfg; !cfg.CancelAbandoned && cfg.Queue == 0 {
		return false
	}
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return f.cancelled
}

// Land publishes the outcome and wakes everybody. With keep the flight stays
// mapped, if it is, and serves newcomers until Remove. Land reports whether the
// outcome was shared; ok is false if the flight was woken before and the outcome
// is dropped.
func (f *Flight[K, V]) Land(v V, err error, keep bool) (shared, ok bool) {
	f.shard.mu.Lock()
	if f.woken {
		f.shard.mu.Unlock()
		return f.shared, false
	}
	f.value, f.err, f.published = v, err, true
	notify := f.wakeLocked(keep)
	shared = f.shared
	f.shard.mu.Unlock()
	notify.run()
	return shared, true
}

// Wake wakes everybody if that was not done yet, once the outcome is published.
// last, if it is not nil, changes the value before. With keep the flight stays
// mapped, as in Land; without, it does not even if it was woken before.
func (f *Flight[K, V]) Wake(keep bool, last func(v *V)) {
	f.shard.mu.Lock()
	var notify *notice
	if !f.woken {
		if last != nil {
			last(&f.value)
		}
		notify = f.wakeLocked(keep)
	} else if !keep {
		f.unmapLocked()
	}
	f.shard.mu.Unlock()
	notify.run()
}

func (f *Flight[K, V]) wakeLocked(keep bool) *notice {
	f.woken = true
	f.alarm = 0
	if !keep {
		f.unmapLocked()
	}
	f.shard.loose.drop(f)
	if f.done != nil {
		close(f.done)
	}
	notify := f.notify
	f.notify = nil
	return notify
}

// notice is a list of what to call when a flight is woken.
type notice struct {
	fn   func()
	next *notice
}

func (n *notice) run() {
	for ; n != nil; n = n.next {
		n.fn()
	}
}

// Replace lands the flight with v and, in the same instant, starts a background
// flight of the key with the value next, whose first phase has no alarm: what it
// would bound, this flight did. It returns nil if the flight was detached or
// woken: then nothing is started.
func (f *Flight[K, V]) Replace(v, next V) *Flight[K, V] {
	s := f.shard
	s.mu.Lock()
	if f.woken {
		s.mu.Unlock()
		return nil
	}
	f.value, f.published = v, true
	mapped := f.mapped
	notify := f.wakeLocked(false)
	var g *Flight[K, V]
	if mapped {
		g = s.startLocked(f.ctx.values, f.hash, f.key)
		g.background, g.lasting, g.value, g.alarm = true, true, next, 0
	}
	s.mu.Unlock()
	notify.run()
	return g
}

// Detach takes the flight out of the map, if it is there; its waiters still get
// its outcome.
func (f *Flight[K, V]) Detach() {
	f.shard.mu.Lock()
	if f.mapped {
		f.detachLocked()
	}
	f.shard.mu.Unlock()
}

// Detached reports whether the flight is no longer in the map.
func (f *Flight[K, V]) Detached() bool {
	f.shard.mu.Lock()
	defer f.shard.mu.Unlock()
	return !f.mapped
}

// Remove unmaps the flight if it still is mapped.
func (f *Flight[K, V]) Remove() {
	f.shard.mu.Lock()
	f.unmapLocked()
	f.shard.mu.Unlock()
}

func (f *Flight[K, V]) unmapLocked() {
	if !f.mapped {
		return
	}
	f.mapped = false
	f.shard.flights.drop(f)
	if f.filling {
		f.shard.beginLocked(f.key)
	}
}

// Notify calls fn once the flight is woken, at once if it was.
func (f *Flight[K, V]) Notify(fn func()) {
	f.shard.mu.Lock()
	if !f.woken {
		f.notify = &notice{fn, f.notify}
		f.shard.mu.Unlock()
		return
	}
	f.shard.mu.Unlock()
	fn()
}
