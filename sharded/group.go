package sharded

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// Options says how a [Group] works. The zero value works.
type Options[K comparable] struct {
	// Shards is the number of locks that the flights are spread over, rounded up
	// to a power of two, at most 65536. Zero chooses from GOMAXPROCS.
	Shards int

	// Shard replaces the hash by which a key is sent to its shard; the low bits
	// count. Nil uses a hash with a seed of the group's own, so that nobody who
	// chooses keys can aim at one shard. A call for a key on which Shard panics
	// gets [ErrInvalidKey].
	Shard func(K) uint64

	// Timeout is how long a load may run before its callers get
	// [ErrLoadTimeout]; the context that it was given ends then. Zero is 30 s. Of a
	// second or more it is exact for a load that starts alone. Where more than 15
	// start within a millisecond, it may end a millisecond early, and 50 ms if the
	// process is so short of processors that its timers are as late.
	Timeout time.Duration

	// CancelAbandoned cancels the context of a load once every caller has left
	// it. A caller that comes then waits until that load has returned and starts
	// its own. Without it a load runs to its end, whoever waits.
	CancelAbandoned bool
}

// defaultTimeout is the Timeout of zero.
const defaultTimeout = 30 * time.Second

// Flight tells of a load that is running.
type Flight struct {
	Since   time.Time // when it started, as exact as [Options].Timeout
	Waiters int       // callers that wait for it, the one that started it included
}

// Result is what a [Group.DoChan] call came to.
type Result[V any] struct {
	Value  V
	Shared bool // the value was given to more than one caller
	Err    error
}

// Group runs at most one load per key at a time and gives its result to
// everybody who asked meanwhile. A result is never handed to a caller that came
// after the load had returned. All methods are safe for concurrent use.
//
// Callers share the value: if it is a pointer, slice or map they share what is
// behind it.
//
// [NewGroup] makes one. Every call of the zero Group returns an error.
type Group[K comparable, V any] struct {
	table *flight.Table[K, V]
	err   error // what is wrong with the Options; every call returns it
}

// NewGroup returns a Group. Options that cannot work make every call of the
// group return an error that says which.
func NewGroup[K comparable, V any](opts Options[K]) *Group[K, V] {
	timeout := opts.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &Group[K, V]{
		err: opts.check(),
		table: flight.NewTable(flight.Config[K, V]{
			Shards:          opts.Shards,
			Shard:           opts.Shard,
			CancelAbandoned: opts.CancelAbandoned,
			First:           timeout,
			Deadline:        true,
			Rough:           true,
			Alarm:           timedOut[K, V],
			Fly:             fly[K, V],
		}),
	}
}

func (o *Options[K]) check() error {
	if o.Shards < 0 || o.Shards > flight.MaxShards {
		return fmt.Errorf("sharded: Options.Shards is %d: it may be 0 to %d", o.Shards, flight.MaxShards)
	}
	if o.Timeout < 0 {
		return fmt.Errorf("sharded: Options.Timeout is %v: it may not be negative", o.Timeout)
	}
	return nil
}

// Do runs fn for key, or waits for the fn of another caller that is running for
// it, and returns its result. shared says that the result went to more than one
// caller.
//
// If ctx ends, Do returns [context.Cause](ctx) at once; fn goes on. If it had
// ended before, fn is not started. fn is given a context with the values of ctx,
// not its end, that ends after [Options].Timeout or when fn has returned. If fn
// panics, everybody gets a [*PanicError], if it calls [runtime.Goexit],
// [ErrGoexit]. A call made inside an fn with the context that it was given gets
// [ErrRecursiveLoad] if it would wait for that very fn.
//
// If ctx can end, fn runs on a goroutine of its own. If it cannot, fn runs on
// the caller's, which saves the start of one; an fn that outlives the timeout
// then keeps its caller until it returns.
func (g *Group[K, V]) Do(ctx context.Context, key K, fn func(context.Context) (V, error)) (v V, shared bool, err error) {
	s, err := g.locate(ctx, key, fn != nil)
	if err != nil {
		return v, false, err
	}
	wait := ctx.Done() != nil
	for {
		if wait && ctx.Err() != nil { // a load for nobody would be started
			return v, false, context.Cause(ctx)
		}
		f, role, _ := g.table.Join(ctx, s, key, v, false, false)
		if role == flight.Leader && !wait {
			if flight.Nested(ctx) {
				v, err = callInside(ctx, f, fn)
			} else {
				v, err = call(f, fn)
			}
			return f.Finish(v, err)
		}
		if role == flight.Leader {
			f.Go(fn)
			if f.Yield(ctx) {
				return f.Collect(role)
			}
		}
		switch f.Wait(ctx, role, nil) {
		case flight.Left:
			return v, false, context.Cause(ctx)
		case flight.Recursive:
			return v, false, ErrRecursiveLoad
		}
		if role != flight.Queued {
			return f.Collect(role)
		}
	}
}

// locate returns the spot of key, or what is wrong with the call.
func (g *Group[K, V]) locate(ctx context.Context, key K, fn bool) (s flight.Spot[K, V], err error) {
	switch {
	case g.table == nil:
		return s, errors.New("sharded: the Group was not made with NewGroup")
	case g.err != nil:
		return s, g.err
	case ctx == nil:
		return s, errors.New("sharded: the context is nil")
	case !fn:
		return s, errors.New("sharded: the function is nil")
	}
	s, ok := g.table.Locate(key)
	if !ok {
		return s, ErrInvalidKey
	}
	return s, nil
}

// fly runs the load of f, on a goroutine of its own, and lands f.
func fly[K comparable, V any](f *flight.Flight[K, V]) {
	v, err := call(f, f.Work().(func(context.Context) (V, error)))
	f.Land(v, err, false)
}

// call calls fn and returns what f is to land with, however fn ends.
func call[K comparable, V any](f *flight.Flight[K, V], fn func(context.Context) (V, error)) (v V, err error) {
	returned := false
	defer func() {
		if !returned {
			err = crash(f, recover())
		}
	}()
	v, err = fn(f.Context())
	returned = true
	if err != nil && f.Late() { // the context ended an instant before the alarm rang
		err = ErrLoadTimeout
	}
	f.Context().End()
	return v, err
}

// callInside is call for a ctx that was made inside another load.
func callInside[K comparable, V any](ctx context.Context, f *flight.Flight[K, V], fn func(context.Context) (V, error)) (v V, err error) {
	f.Inside(ctx, func() { v, err = call(f, fn) })
	return v, err
}

// crash returns the error of a load that panicked with value. If it called
// runtime.Goexit, which nothing stops, crash lands the flight: nobody else will.
func crash[K comparable, V any](f *flight.Flight[K, V], value any) error {
	f.Context().End()
	if value != nil {
		return &PanicError{Value: value, Stack: debug.Stack()}
	}
	var none V
	f.Land(none, ErrGoexit, false)
	return ErrGoexit
}

// timedOut lands a flight whose load ran for too long. Its late result will be
// dropped.
func timedOut[K comparable, V any](f *flight.Flight[K, V], _ uint8) {
	var none V
	f.Land(none, ErrLoadTimeout, false)
}

// DoChan is [Group.Do] that returns at once, with a channel that receives the
// result exactly once, also when ctx ends first. fn always runs on a goroutine of
// its own. The channel is never closed.
func (g *Group[K, V]) DoChan(ctx context.Context, key K, fn func(context.Context) (V, error)) <-chan Result[V] {
	c := &channel[V]{results: make(chan Result[V], 1)}
	s, err := g.locate(ctx, key, fn != nil)
	if err != nil {
		c.send(Result[V]{Err: err})
		return c.results
	}
	g.watch(ctx, s, key, fn, c)
	return c.results
}

// Forget makes the next call for key start a load of its own, though one may be
// running. Who waits for that one still gets its result.
func (g *Group[K, V]) Forget(key K) {
	if g.table == nil {
		return
	}
	if s, ok := g.table.Locate(key); ok {
		g.table.Detach(s, key)
	}
}

// InFlight yields the key of every load that is running and can be joined. What
// it tells of one was true at a moment during the iteration.
func (g *Group[K, V]) InFlight() iter.Seq2[K, Flight] {
	return func(yield func(K, Flight) bool) {
		if g.table == nil {
			return
		}
		for key, info := range g.table.InFlight() {
			if !yield(key, Flight(info)) {
				return
			}
		}
	}
}

// Shard tells how one shard of a [Group] is loaded, to tune Options.Shards.
type Shard struct {
	InFlight int    // loads running now
	Started  uint64 // loads started since NewGroup
	Joined   uint64 // callers that joined one since NewGroup
}

// Shards returns the load of every shard.
func (g *Group[K, V]) Shards() []Shard {
	if g.table == nil {
		return nil
	}
	loads := g.table.Loads()
	shards := make([]Shard, len(loads))
	for i, load := range loads {
		shards[i] = Shard(load)
	}
	return shards
}
