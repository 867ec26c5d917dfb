package corral

import (
	"context"
	"errors"
	"time"

	"github.com/corralcache/corral/internal/draw"
	"github.com/corralcache/corral/internal/flight"
)

// sight is what a look into the cache came to.
type sight uint8

const (
	unsure sight = iota // the cache failed: to be read as calls do that report it
	known               // the cache told what it holds
	quiet               // a value that is served, and nothing starts
)

// hit looks into a cache that answers on the caller's goroutine. A value that is
// fresh beyond doubt it counts and returns; else, if the cache did not fail, the
// entry, nil for a miss.
func (l *Loader[K, V]) hit(ctx context.Context, key K) (v V, e *Entry[V], seen sight) {
	returned := false
	defer func() {
		if !returned && recover() != nil {
			seen = unsure
		}
	}()
	switch {
	case l.glancer != nil:
		g, err := l.glancer.Glance(ctx, key)
		switch at, ok := g.Value.(V); {
		case err != nil:
		case !g.Quiet:
			e, seen = g.Entry, known
		case ok:
			v, seen = at, quiet
		default:
			v, seen = g.Entry.Value, quiet
		}
	case l.plain != nil:
		v, e, seen = l.hitPlain(ctx, key)
	default:
		if e, seen = l.hitEntry(ctx, key); seen == quiet {
			v = e.Value
		}
	}
	returned = true
	if seen == quiet {
		l.counts.hits.Add()
	}
	return v, e, seen
}

func (l *Loader[K, V]) hitEntry(ctx context.Context, key K) (*Entry[V], sight) {
	e, err := l.front.Get(ctx, key)
	switch {
	case err != nil:
		return nil, unsure
	case e == nil || e.Absent || e.TTL <= 0 || !l.quiet(e.TTL-time.Since(e.LoadedAt), e.TTL, e.LoadTime):
		return e, known
	}
	return e, quiet
}

func (l *Loader[K, V]) hitPlain(ctx context.Context, key K) (V, *Entry[V], sight) {
	v, life, found, err := l.plain.GetValue(ctx, key)
	switch {
	case err != nil:
		return v, nil, unsure
	case !found:
		return v, nil, known
	case !l.quiet(l.left(life), l.opts.TTL, l.counts.meanLoadTime()):
		return v, l.bare(v, life), known
	}
	return v, nil, quiet
}

// quiet reports whether an entry is fresh for so long that no draw asks for an
// early refresh.
func (l *Loader[K, V]) quiet(left, ttl, loadTime time.Duration) bool {
	return left > 0 && (left > ttl/2 || float64(left) > float64(loadTime)*l.reach)
}

// getKnown is GetOrLoad for who knows what the cache holds. It does without the
// key's spot where nothing is to start. Any key has one where hits are quick.
func (l *Loader[K, V]) getKnown(ctx context.Context, key K, load LoadFunc[K, V], e *Entry[V]) (V, error) {
	r, served, due := l.answer(key, e)
	err := r.absence(e)
	if !served || due {
		s, _ := l.table.Locate(key)
		if due {
			l.refresh(ctx, s, key, load, e)
		}
		if !served {
			r, err = l.wait(ctx, s, key, load)
		}
	}
	l.count(ctx, key, &r, err)
	return r.Value, err
}

// left returns how long a plain value with a life is fresh.
func (l *Loader[K, V]) left(life time.Duration) time.Duration {
	if life < 0 {
		return noEnd
	}
	return life - l.windows.longest()
}

// noEnd is the TTL of a plain value without end.
const noEnd = time.Duration(1<<63 - 1)

// lookup is what happens to a call.
func (l *Loader[K, V]) lookup(ctx context.Context, s flight.Spot[K, ride[K, V]], key K, load LoadFunc[K, V]) (Result[V], error) {
	if !l.far || l.layered {
		e, err := l.readNear(ctx, key)
		if err != nil {
			return Result[V]{waited: true}, err
		}
		if r, ok := l.serve(ctx, s, key, load, e); ok {
			return r, r.absence(e)
		}
	}
	return l.wait(ctx, s, key, load)
}

// readNear reads the cache on the caller's goroutine. Only with FailClosed does
// it return the cache's error.
func (l *Loader[K, V]) readNear(ctx context.Context, key K) (*Entry[V], error) {
	if l.layered {
		return l.readLayer(ctx, key), nil
	}
	p := l.rest.allows()
	if p == refused {
		return nil, l.closedBy(errResting)
	}
	read := Event{Op: OpCacheGet, Err: errExited} // unless the cache returns
	defer func() { l.judge(ctx, key, read, p) }()
	var e *Entry[V]
	e, read.Took, read.Err = l.get(ctx, l.front, key)
	return e, l.closedBy(read.Err)
}

// readLayer reads the near layer. It holds copies only: an error of it is a miss,
// and says nothing of the far layer's health.
func (l *Loader[K, V]) readLayer(ctx context.Context, key K) *Entry[V] {
	e, took, err := l.get(ctx, l.front, key)
	if err != nil {
		l.counts.cacheErrors.Add(1)
		l.tell(l.opts.Hooks.CacheError, ctx, key, Event{Op: OpCacheGet, Err: err, Took: took})
	}
	return e
}

// closedBy returns the error of a read that a call must return.
func (l *Loader[K, V]) closedBy(err error) error {
	if l.opts.FailClosed && !errors.Is(err, ErrUndecodable) {
		return err
	}
	return nil
}

// serve answers a call with what the cache held, if that is of use, and starts
// the refresh that is due.
func (l *Loader[K, V]) serve(ctx context.Context, s flight.Spot[K, ride[K, V]], key K, load LoadFunc[K, V], e *Entry[V]) (Result[V], bool) {
	r, served, due := l.answer(key, e)
	if due {
		l.refresh(ctx, s, key, load, e)
	}
	return r, served
}

// answer returns what a call is answered with that found e, whether it is, and
// whether a refresh is due.
func (l *Loader[K, V]) answer(key K, e *Entry[V]) (r Result[V], served, due bool) {
	if e == nil {
		return Result[V]{}, false, false
	}
	age := e.age() // the clock is half of what a hit costs: it is read once
	switch l.windows.state(age, e.TTL, e.Absent) {
	case fresh:
		return e.result(age, SourceHit), true, l.drawsWith(e, e.TTL-age)
	case stale:
		return e.result(age, SourceStale), true, true
	case rescue:
		return e.result(age, SourceStale), l.retries.waits(key), false
	}
	return Result[V]{}, false, false
}

// state returns the state of what the cache held; nothing is expired.
func (l *Loader[K, V]) state(e *Entry[V]) state {
	if e == nil {
		return expired
	}
	return l.windows.state(e.age(), e.TTL, e.Absent)
}

// rescues reports whether an entry may be served in place of a load.
func (l *Loader[K, V]) rescues(e *Entry[V]) bool { return l.state(e) >= rescue && !e.Absent }

// draws reports whether a call of a fresh entry starts its early refresh.
func (l *Loader[K, V]) draws(e *Entry[V]) bool { return l.drawsWith(e, e.TTL-e.age()) }

// drawsWith is draws for an entry that is fresh for left.
func (l *Loader[K, V]) drawsWith(e *Entry[V], left time.Duration) bool {
	ttl := e.TTL
	if e.plain {
		ttl = l.opts.TTL
	}
	if e.Absent || l.quiet(left, ttl, e.LoadTime) {
		return false
	}
	return early(left, ttl, e.LoadTime, l.opts.EarlyExpiry, draw.Unit())
}

// result describes an entry as it is now.
func (l *Loader[K, V]) result(e *Entry[V], source Source) Result[V] {
	return e.result(e.age(), source)
}

// result describes an entry of an age.
func (e *Entry[V]) result(age time.Duration, source Source) Result[V] {
	r := Result[V]{Value: e.Value, Source: source, Age: age, TTL: saturatingSub(e.TTL, age), Stored: true}
	if e.plain || e.LoadedAt.IsZero() {
		r.Age = -1
	}
	return r
}

// absence returns the error of a call that was answered with e.
func (r *Result[V]) absence(e *Entry[V]) error {
	if e != nil && e.Absent {
		return ErrNotFound
	}
	return nil
}

// wait joins or starts the flight of key and waits for it.
func (l *Loader[K, V]) wait(ctx context.Context, s flight.Spot[K, ride[K, V]], key K, load LoadFunc[K, V]) (Result[V], error) {
	start := ride[K, V]{load: load}
	held := start.lentBy(l.slots.held(ctx))
	start.here = l.prompt && ctx.Done() == nil && !flight.Nested(ctx)
	for patient := false; ; {
		if ctx.Err() != nil {
			return Result[V]{waited: true}, context.Cause(ctx)
		}
		f, role, served := l.table.Join(ctx, s, key, start, false, !start.here)
		if role == flight.Served {
			return l.served(served)
		}
		here := start.here && role == flight.Leader
		if here {
			l.readHere(f)
		} else {
			l.board(ctx, f, role, held)
		}
		if r, err, ok := l.await(ctx, f, role, here, &patient); ok {
			return r, err
		}
	}
}

// served is the answer of a flight that serves a newcomer at once.
func (l *Loader[K, V]) served(by ride[K, V]) (Result[V], error) {
	e, source := by.serves(l)
	r := l.result(e, source)
	return r, r.absence(e)
}

// await waits for a flight that the caller has joined or started. It returns false
// if the caller must join again: the flight has nothing to give. A leader who has
// read here may find that it landed.
func (l *Loader[K, V]) await(ctx context.Context, f *flight.Flight[K, ride[K, V]], role flight.Role, here bool, patient *bool) (Result[V], error, bool) {
	var soft <-chan struct{}
	if l.opts.SoftTimeout > 0 && !*patient {
		f.Update(func(r *ride[K, V]) { soft = r.early() })
	}
	ended := flight.Landed
	if !here || f.Await() {
		ended = f.Wait(ctx, role, soft)
	}
	switch {
	case ended == flight.Landed:
		if o, _ := f.Outcome(); role == flight.Queued || o.again {
			return Result[V]{}, nil, false
		}
		r, err := l.landed(f, role)
		if here {
			f.Spare()
		}
		return r, err, true
	case ended == flight.Recursive:
		return Result[V]{waited: true}, ErrRecursiveLoad, true
	case ended == flight.Soon || errors.Is(ctx.Err(), context.DeadlineExceeded):
		now, _ := f.Peek()
		if l.rescues(now.prev) {
			r := l.result(now.prev, SourceStale)
			r.waited, r.stale = true, true
			return r, nil, true
		}
	}
	if ended == flight.Left {
		return l.waited(role), context.Cause(ctx), true
	}
	*patient = true // the stale value expired in this instant
	return Result[V]{}, nil, false
}

// waited is the result of a call that waited in vain.
func (l *Loader[K, V]) waited(role flight.Role) Result[V] {
	r := Result[V]{Source: SourceLoaded, waited: true}
	if role == flight.Waiter {
		r.Source = SourceShared
	}
	return r
}

// landed describes the outcome of a flight to one of its callers.
func (l *Loader[K, V]) landed(f *flight.Flight[K, ride[K, V]], role flight.Role) (Result[V], error) {
	o, err := f.Outcome()
	if o.entry == nil || err != nil && !o.read && !o.stored {
		return l.waited(role), err
	}
	source := o.source
	if source == SourceLoaded && role == flight.Waiter {
		source = SourceShared
	}
	r := l.result(o.entry, source)
	r.waited, r.stale = !o.read, o.prev != nil
	if r.waited && o.failure == nil {
		r.Stored = o.stored
	}
	return r, err
}

// count counts a call once it is answered, and tells the hooks.
func (l *Loader[K, V]) count(ctx context.Context, key K, r *Result[V], err error) {
	l.tally(r)
	l.tellAnswer(ctx, key, r, err)
}

// tally counts a call once it is answered.
func (l *Loader[K, V]) tally(r *Result[V]) {
	if r.waited {
		l.counts.misses.Add(1)
	} else {
		l.counts.hits.Add()
	}
	switch r.Source {
	case SourceStale:
		l.counts.stale.Add()
	case SourceShared:
		l.counts.shared.Add(1)
	}
}

// tellAnswer tells the hooks of a call that is answered.
func (l *Loader[K, V]) tellAnswer(ctx context.Context, key K, r *Result[V], err error) {
	hooks, e := &l.opts.Hooks, Event{Op: OpGetOrLoad, Err: err}
	if r.waited {
		l.tell(hooks.Miss, ctx, key, e)
	}
	switch {
	case r.Source == SourceStale:
		l.tell(hooks.Stale, ctx, key, e)
	case !r.waited && r.Source != SourceShared:
		l.tell(hooks.Hit, ctx, key, e)
	}
}

// tellsAnswers reports whether a hook wants to know of answers.
func (h *Hooks) tellsAnswers() bool { return h.Hit != nil || h.Stale != nil || h.Miss != nil }
