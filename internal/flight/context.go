package flight

import (
	"context"
	"sync/atomic"
	"time"
)

// Context is what a load or a call of the cache is given: the values of the
// caller's context without its end, and an end of its own. It costs nothing
// until somebody asks when it ends. Only then is it made of the standard
// library's contexts, so that contexts derived from it are as cheap as theirs
// and context.Cause works.
type Context struct {
	// deadline is as Now counts; 0 is none. It is accessed with atomic operations,
	// but for the first store, which would take 6 ns.
	_        [0]atomic.Int64 // aligns it where pointers have 32 bits
	deadline int64
	values   context.Context
	clock    *shared // nil: the deadline is exact
	made     atomic.Pointer[madeContext]
	over     atomic.Bool // End was called
}

type madeContext struct {
	context.Context
	cancel func(cause error)
}

// LoadContext is what a load is given: a Context with a place in the wait-for
// graph.
type LoadContext struct {
	Context
	node  node
	calls *calls // nil: none are made ahead
}

// Value returns the caller's value for key.
func (c *LoadContext) Value(key any) any {
	switch key {
	case nodeKey{}:
		return &c.node
	case ownKey{}:
		return false
	}
	return c.Context.Value(key)
}

// CallContext is what a call made for a flight beside its load is given: a
// Context with the flight's place in the wait-for graph. Such a call, of the cache
// or a hook, that waits for the flight would wait for itself.
type CallContext struct {
	Context
	node *node
	left bool
}

// Left reports whether whoever made the call leaves it when the context ends: what
// makes calls end in time need not see to it again.
func (c *CallContext) Left() bool { return c.left }

// Timed returns how much time is left for a call that nothing but the deadline
// ends, and that nobody leaves before; ok is false for any other.
func (c *CallContext) Timed() (left time.Duration, ok bool) {
	at := c.end()
	if c.left || at == 0 || at == never || c.values.Done() != nil {
		return 0, false
	}
	return time.Duration(at - Now()), true
}

// Value returns the caller's value for key.
func (c *CallContext) Value(key any) any {
	switch key {
	case nodeKey{}:
		return c.node
	case ownKey{}:
		return true
	}
	return c.Context.Value(key)
}

// ownKey finds out whether a flight makes a call by itself.
type ownKey struct{}

// Own reports whether a call with ctx is one that a flight makes beside its load: it
// reads a cache, or writes what was loaded. A write that a user asked for, also in a
// load, is none.
func Own(ctx context.Context) bool {
	own, _ := ctx.Value(ownKey{}).(bool)
	return own
}

// calls are the contexts of the first calls that a flight makes beside its load:
// most flights read the cache, write it and wait until it has settled. Made with
// the load's, in one piece, they cost a third.
type calls struct {
	used atomic.Int32
	made [3]CallContext
}

type contexts struct {
	load  LoadContext
	calls calls
}

// next returns a context that nobody has.
func (c *calls) next() *CallContext {
	if c != nil {
		if n := int(c.used.Add(1)); n <= len(c.made) {
			return &c.made[n-1]
		}
	}
	return new(CallContext)
}

// Deadline returns when the context ends.
func (c *Context) Deadline() (time.Time, bool) {
	c.clock.settle()
	at := c.end()
	if at == 0 || at == never {
		return time.Time{}, false
	}
	return Time(at), true
}

// Done returns a channel that is closed when the context ends.
func (c *Context) Done() <-chan struct{} { return c.make().Done() }

// Err returns why the context ended, nil before.
func (c *Context) Err() error {
	if m := c.made.Load(); m != nil {
		return m.Err()
	}
	if c.over.Load() || c.late() {
		return c.make().Err() // made, it says the same ever after
	}
	return nil
}

// Value returns the caller's value for key.
func (c *Context) Value(key any) any {
	if m := c.made.Load(); m != nil {
		return m.Value(key)
	}
	if c.values.Done() != nil { // else context.Cause would find the caller's
		return context.WithoutCancel(c.values).Value(key)
	}
	return c.values.Value(key)
}

// SetDeadline gives a context that nobody but the flight's leader has seen an
// end.
func (c *Context) SetDeadline(at int64) {
	atomic.StoreInt64(&c.deadline, at)
	if m := c.made.Load(); m != nil {
		ctx, stop := context.WithDeadline(m, Time(at))
		c.made.Store(&madeContext{ctx, func(cause error) { m.cancel(cause); stop() }})
	}
}

// Cancel ends the context with a cause.
func (c *Context) Cancel(cause error) { c.make().cancel(cause) }

// End ends the context when its work is done, unless its deadline has. It marks
// first and looks second, and make does the reverse: one of them sees the other. A
// mark costs less than a pointer to a context that had ended would: the garbage
// collector need not hear of it.
func (c *Context) End() {
	c.over.Store(true)
	if m := c.made.Load(); m != nil {
		c.endMade(m)
	}
}

func (c *Context) endMade(m *madeContext) {
	if !c.late() {
		m.cancel(context.Canceled)
	}
}

func (c *Context) end() int64 { return atomic.LoadInt64(&c.deadline) }

// late reports whether the deadline has passed.
func (c *Context) late() bool {
	c.clock.settle()
	at := c.end()
	return at != 0 && Now() >= at
}

func (c *Context) make() *madeContext {
	if m := c.made.Load(); m != nil {
		return m
	}
	m := c.build()
	if !c.made.CompareAndSwap(nil, m) {
		m.cancel(nil)
		return c.made.Load()
	}
	if c.over.Load() {
		c.endMade(m)
	}
	return m
}

func (c *Context) build() *madeContext {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(c.values))
	if c.over.Load() {
		cancel(context.Canceled)
		return &madeContext{ctx, cancel}
	}
	stop := context.CancelFunc(func() {})
	if at, ok := c.Deadline(); ok {
		ctx, stop = context.WithDeadline(ctx, at)
	}
	return &madeContext{ctx, func(cause error) { cancel(cause); stop() }}
}
