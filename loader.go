package corral

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
	"github.com/corralcache/corral/sharded"
)

// Loader reads values through a cache, and loads those that the cache has not.
// At any moment at most one load of a key runs, whoever asks for it. What
// happens to a call:
//
//  1. A fresh value is served. Nothing starts, but for a refresh ahead of time
//     with [Options].EarlyExpiry.
//  2. A stale value is served at once, and one refresh runs in the background.
//  3. Else one load runs and everybody who asks waits for it, each on a context
//     of its own. It is stored unless a Delete or Set of the key came meanwhile.
//
// A failing cache is a miss. All methods are safe for concurrent use. Callers
// share the values: if V is a pointer, slice or map they share what is behind it.
type Loader[K comparable, V any] struct {
	cache   Cache[K, V]
	front   Cache[K, V]      // what calls look into: cache, or the near layer
	back    Cache[K, V]      // what flights read: cache, or the far layer
	plain   PlainCache[K, V] // nil if cache holds entries
	settler Settler[K]       // nil if cache buffers nothing
	glancer Glancer[K, V]    // nil if calls use Get of front
	far     bool
	prompt  bool // a caller that cannot be called off may read back by itself
	layered bool

	leaser    Leaser[K, V] // nil if cache gives no leases
	leaseLife time.Duration

	cacheMany, frontMany, backMany BatchCache[K, V]  // nil where cache, front or back takes one key at a time
	leaserMany                     BatchLeaser[K, V] // nil if leaser does

	quick   bool // a hit needs nothing but the cache
	reach   float64
	windows windows
	opts    Options

	table      *flight.Table[K, ride[K, V]]
	settling   settling[K, V]
	life       life
	rest       rest
	retries    retries[K]
	slots      *slots
	refreshing atomic.Int64
	wrote      atomic.Uint64 // Sets, Deletes and drops that have begun
	counts     *counts
}

// Flight tells of a load that is running.
type Flight = sharded.Flight

// New returns a Loader over cache. It returns an [*OptionError] for options that
// cannot work, and the error of a cache that knows that it cannot ([Checker]).
// The Loader starts no goroutine until it loads, but for a cache that is a
// [Listener], and never closes the cache.
func New[K comparable, V any](cache Cache[K, V], opts Options) (*Loader[K, V], error) {
	if v := reflect.ValueOf(cache); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, &OptionError{"the cache", cache, "it may not be nil"}
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	cache, err := able(cache)
	if err != nil {
		return nil, err
	}
	if err := checked(cache); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	l := &Loader[K, V]{
		cache:   cache,
		front:   cache,
		back:    cache,
		reach:   opts.EarlyExpiry * greatestDraw,
		windows: windows{opts.StaleFor, opts.StaleIfError},
		opts:    opts,
		life:    life{idle: make(chan struct{})},
		retries: retries[K]{min: opts.RetryMin, max: opts.RetryMax},
		slots:   newSlots(opts.MaxLoads),
		counts:  newCounts(),
	}
	l.discover(cache)
	var queue uint8
	if l.slots != nil || l.leaser != nil {
		queue = phaseQueue
	}
	l.table = flight.NewTable(flight.Config[K, ride[K, V]]{
		Shards:          opts.Shards,
		CancelAbandoned: opts.CancelAbandoned,
		Queue:           queue,
		First:           opts.CacheTimeout,
		Calls:           true,
		Alarm:           l.alarm,
		Ready:           l.ready,
	})
	if listener, ok := cache.(Listener[K]); ok && (l.layered || l.leaser == nil) {
		l.listen(listener)
	}
	l.quick = (!l.far || l.layered) && !l.table.Odd() && opts.Hooks.Hit == nil
	return l, nil
}

// discover looks for what the cache can beyond the port. What a layered one does
// with many keys is many calls, if its far layer takes one at a time: then the
// Loader makes them, each with a time of its own.
func (l *Loader[K, V]) discover(cache Cache[K, V]) {
	if l.plain, _ = cache.(PlainCache[K, V]); l.plain != nil {
		l.windows = l.windows.forPlain()
	}
	l.settler, _ = cache.(Settler[K])
	if f, ok := cache.(Far); ok {
		l.far = f.Far()
	}
	if c, ok := cache.(Layered[K, V]); ok {
		l.front, l.back = c.Layers()
		l.layered = true
	}
	if le, ok := cache.(Leaser[K, V]); ok {
		if l.leaseLife = le.LeaseLife(); l.leaseLife > 0 {
			l.leaser = le
			l.leaserMany, _ = cache.(BatchLeaser[K, V])
		}
	}
	if g, ok := l.front.(Glancer[K, V]); ok && l.opts.EarlyExpiry <= 1 {
		l.glancer = g
	}
	if p, ok := l.back.(Prompt); ok && l.far {
		l.prompt = p.Prompt()
	}
	l.cacheMany, _ = l.cache.(BatchCache[K, V])
	l.frontMany, _ = l.front.(BatchCache[K, V])
	l.backMany, _ = l.back.(BatchCache[K, V])
	if l.layered && l.backMany == nil {
		l.cacheMany, l.leaserMany = nil, nil
	}
}

// checked asks a cache that can tell whether it was put together wrongly.
func checked[K comparable, V any](cache Cache[K, V]) (err error) {
	defer bounded.Recover("the cache", &err)
	if c, ok := cache.(Checker); ok {
		return c.Check()
	}
	return nil
}

// GetOrLoad returns the value of key, from the cache or from load, which is
// called at most once however many callers ask. The errors of a load are
// returned as they are to everyone who waited for it. If ctx ends first,
// GetOrLoad returns [context.Cause](ctx) and the load goes on.
//
// A load in a variable made once costs a hit nothing; a method value or closure
// written at the call is allocated there.
func (l *Loader[K, V]) GetOrLoad(ctx context.Context, key K, load LoadFunc[K, V]) (V, error) {
	if l.quick && ctx != nil && load != nil && !l.rest.troubled.Load() && !l.life.closed() {
		v, e, seen := l.hit(ctx, key)
		switch seen {
		case quiet:
			return v, nil
		case known:
			return l.getKnown(ctx, key, load, e)
		}
	}
	r, err := l.Lookup(ctx, key, load)
	return r.Value, err
}

// Lookup is [Loader.GetOrLoad] that tells where the value came from.
func (l *Loader[K, V]) Lookup(ctx context.Context, key K, load LoadFunc[K, V]) (Result[V], error) {
	s, err := l.admit(ctx, key, load != nil)
	if err != nil {
		return Result[V]{}, err
	}
	r, err := l.lookup(ctx, s, key, load)
	l.count(ctx, key, &r, err)
	return r, err
}

// Refresh loads key even if its value is fresh, or joins the load that runs, and
// returns the value. Unlike GetOrLoad it never returns a stale value for a load
// that failed. The load goes on if ctx ends.
func (l *Loader[K, V]) Refresh(ctx context.Context, key K, load LoadFunc[K, V]) (V, error) {
	var none V
	s, err := l.admit(ctx, key, load != nil)
	if err != nil {
		return none, err
	}
	start := ride[K, V]{load: load, insist: true}
	held := start.lentBy(l.slots.held(ctx))
	for {
		if ctx.Err() != nil {
			return none, context.Cause(ctx)
		}
		f, role, _ := l.table.Join(ctx, s, key, start, true, true)
		l.board(ctx, f, role, held)
		switch f.Wait(ctx, role, nil) {
		case flight.Left:
			return none, context.Cause(ctx)
		case flight.Recursive:
			return none, ErrRecursiveLoad
		}
		r, err := f.Outcome()
		switch {
		case role == flight.Queued || r.read || r.again: // no load ran: try again
		case err != nil:
			return none, err
		case r.failure != nil:
			return none, r.failure
		default:
			return r.entry.Value, nil
		}
	}
}

// InFlight yields the key of every load that is running and can be joined. What
// it tells of one was true at a moment during the iteration.
func (l *Loader[K, V]) InFlight() iter.Seq2[K, Flight] {
	return func(yield func(K, Flight) bool) {
		for key, info := range l.table.InFlight() {
			if !yield(key, Flight(info)) {
				return
			}
		}
	}
}

// Stats returns what was counted so far.
func (l *Loader[K, V]) Stats() Stats { return l.counts.snapshot() }

// Close refuses new calls with [ErrClosed], cancels background refreshes that
// nobody waits for, and waits until every other load has landed and every call of
// the cache has returned. If ctx ends first it cancels the loads, gives their
// callers ErrClosed, and returns [context.Cause](ctx) without waiting for those
// that ignore their context.
// Close may be called several times; each waits in the same way. It does not
// close the cache: stop what calls the Loader, then close the Loader, then the
// cache, then the source.
func (l *Loader[K, V]) Close(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	l.life.close()
	l.settleNow()
	l.cancel(func(f *flight.Flight[K, ride[K, V]]) bool {
		_, waiters := f.Peek()
		return f.Background() && waiters == 0
	})
	err := l.life.wait(ctx)
	if err != nil {
		l.cancel(func(*flight.Flight[K, ride[K, V]]) bool { return true })
	}
	l.life.over.Store(true)
	return err
}

// cancel cancels every flight that which says and gives its callers ErrClosed.
func (l *Loader[K, V]) cancel(which func(*flight.Flight[K, ride[K, V]]) bool) {
	for f := range l.table.All() {
		if which(f) {
			f.Land(ride[K, V]{}, ErrClosed, false)
			f.Context().Cancel(ErrClosed)
		}
	}
}

var (
	errNilContext = errors.New("corral: the context is nil")
	errNilLoad    = errors.New("corral: the load is nil")
)

// refuses returns why a call is refused whatever its key, nil if it is not.
func (l *Loader[K, V]) refuses(ctx context.Context, load bool) error {
	switch {
	case ctx == nil:
		return errNilContext
	case !load:
		return errNilLoad
	case l.life.closed():
		return ErrClosed
	}
	return nil
}

// admit returns the spot of key, or why the call is refused.
func (l *Loader[K, V]) admit(ctx context.Context, key K, load bool) (s flight.Spot[K, ride[K, V]], err error) {
	if err := l.refuses(ctx, load); err != nil {
		return s, err
	}
	s, ok := l.table.Locate(key)
	if !ok {
		return s, ErrInvalidKey
	}
	return s, nil
}
