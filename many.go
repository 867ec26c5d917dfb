package corral

import (
	"context"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
)

// GetOrLoadMany returns the values of keys, from the cache or from load, which
// gets those that the cache has not and nobody else loads. The cache is read for
// all of them at once if it can be ([BatchCache]). What was said of
// [Loader.GetOrLoad] holds for each key: batches, single calls and refreshes that
// want a key at the same time share one load of it; a key's absence, error or stale
// value is its own. A load that panics is a panic for each of its keys.
//
// The map holds what there is, and the [*KeyErrors] the error of every other key
// but those that are absent. If ctx ends first, what is there by then is returned,
// and [context.Cause](ctx) as the error of the rest. Order and duplicates of keys
// mean nothing. Without keys the map is empty. A key that no map finds again, such
// as NaN, fails with [ErrInvalidKey]; for one that no map can hold either, the error
// is that, beside the KeyErrors of the others if there are any. Only a call that is
// refused, with a nil context or load or after [Loader.Close], returns no map. The
// hooks are told of the answers when all of them are there.
//
// With [Options].MaxBatch several loads are made, some of them at once, and the
// failure of one is that of its keys only. A load may return values that it was
// not asked for: up to 10,000 of them are stored, under keys that hold nothing and
// nobody loads, unless this Loader was called to Set or Delete any key meanwhile. A
// cache that gives leases ([Leaser]) does not store them.
func (l *Loader[K, V]) GetOrLoadMany(ctx context.Context, keys []K, load BulkLoadFunc[K, V]) (map[K]V, error) {
	if err := l.refuses(ctx, load != nil); err != nil {
		return nil, err
	}
	q := &query[K, V]{l: l, ctx: ctx, load: load, got: make(map[K]V, len(keys))}
	wanted := q.unique(keys)
	if !l.far || l.layered {
		wanted = q.look(wanted)
	}
	q.wait(wanted)
	for _, a := range q.told {
		l.tellAnswer(ctx, a.key, &a.r, a.err)
	}
	return q.got, q.failed.error()
}

// query is a call of GetOrLoadMany.
type query[K comparable, V any] struct {
	l      *Loader[K, V]
	ctx    context.Context
	load   BulkLoadFunc[K, V]
	got    map[K]V // zero values too, for keys without an answer
	failed faults[K]
	due    []seen[K, V]
	told   []answered[K, V] // what the hooks are to know, at the end: one may ask for these keys, or end the goroutine
}

// answered is what came of a key.
type answered[K comparable, V any] struct {
	key K
	r   Result[V]
	err error
}

// unique returns each valid key once.
func (q *query[K, V]) unique(keys []K) []K {
	wanted := make([]K, 0, len(keys))
	var none V
	for _, key := range keys {
		if q.l.table.Odd() {
			if _, ok := q.l.table.Locate(key); !ok {
				q.failed.refuse(key)
				continue
			}
		}
		if _, twice := q.got[key]; !twice {
			q.got[key] = none
			wanted = append(wanted, key)
		}
	}
	return wanted
}

// answer notes what came of a key.
func (q *query[K, V]) answer(key K, r Result[V], err error) {
	q.l.tally(&r)
	if q.l.opts.Hooks.tellsAnswers() {
		q.told = append(q.told, answered[K, V]{key, r, err})
	}
	if err == nil {
		q.got[key] = r.Value
		return
	}
	delete(q.got, key)
	if !says(err, ErrNotFound) {
		q.failed.add(key, err)
	}
}

// look answers the keys that the cache serves, starts the refreshes that are due,
// and returns the keys that are left.
func (q *query[K, V]) look(wanted []K) (left []K) {
	if q.l.frontMany != nil {
		left = q.lookMany(wanted)
	} else {
		left = q.lookEach(wanted)
	}
	if len(q.due) > 0 {
		q.l.refreshMany(q.ctx, q.load, q.due)
	}
	return left
}

func (q *query[K, V]) lookEach(wanted []K) []K {
	l, left := q.l, wanted[:0]
	for _, key := range wanted {
		var v V
		var e *Entry[V]
		var err error
		seen := unsure
		if l.quick && !l.rest.troubled.Load() {
			v, e, seen = l.hit(q.ctx, key)
		}
		if seen == quiet {
			q.got[key] = v
			continue
		}
		if seen == unsure {
			e, err = l.readNear(q.ctx, key)
		}
		if !q.serve(key, e, err) {
			left = append(left, key)
		}
	}
	return left
}

func (q *query[K, V]) lookMany(wanted []K) []K {
	left := wanted[:0]
	for len(wanted) > 0 {
		part := wanted[:min(tripKeys, len(wanted))]
		wanted = wanted[len(part):]
		entries, errs := q.l.readNearMany(q.ctx, part)
		now, hits := time.Now(), uint64(0)
		for i, key := range part {
			if q.l.opts.Hooks.Hit == nil && q.l.plainlyFresh(entries[i], now) {
				q.got[key] = entries[i].Value
				hits++
				continue
			}
			var err error
			if errs != nil && !q.l.layered { // a near layer's error is a miss
				err = q.l.closedBy(errs[i])
			}
			if !q.serve(key, entries[i], err) {
				left = append(left, key)
			}
		}
		q.l.counts.hits.AddN(hits)
	}
	return left
}

// plainlyFresh reports whether an entry is served and nothing starts, as hit does
// for one key. The clock is read once for all.
func (l *Loader[K, V]) plainlyFresh(e *Entry[V], now time.Time) bool {
	if e == nil || e.Absent || e.TTL <= 0 {
		return false
	}
	ttl := e.TTL
	if e.plain {
		ttl = l.opts.TTL
	}
	return l.quiet(saturatingSub(e.TTL, now.Sub(e.LoadedAt)), ttl, e.LoadTime)
}

// serve answers a key with what the cache held, if that is of use.
func (q *query[K, V]) serve(key K, e *Entry[V], err error) bool {
	if err != nil {
		q.answer(key, Result[V]{waited: true}, err)
		return true
	}
	r, served, due := q.l.answer(key, e)
	if due {
		q.due = append(q.due, seen[K, V]{key, e})
	}
	if served {
		q.answer(key, r, r.absence(e))
	}
	return served
}

// readNearMany reads a cache that takes several keys on the caller's goroutine.
// errs is nil if all went well.
func (l *Loader[K, V]) readNearMany(ctx context.Context, keys []K) (entries []*Entry[V], errs []error) {
	t := &trip[K, V]{l: l, op: OpCacheGet, keys: keys, caller: ctx, layer: l.layered,
		tell: func(i int, e Event) { l.tell(l.opts.Hooks.CacheError, ctx, keys[i], e) }}
	p := usual
	if !l.layered {
		p = l.rest.allows()
	}
	if p == refused {
		return make([]*Entry[V], len(keys)), perKey(keys, errResting)
	}
	err := errExited // unless the cache returns
	start := time.Now()
	defer func() {
		if err == nil && len(entries) == len(keys) {
			if !l.layered {
				l.rest.done(healthy, p)
			}
			return
		}
		errs = perKey(keys, err)
		if len(entries) != len(keys) {
			misfit(errs, len(entries))
			entries = make([]*Entry[V], len(keys))
		}
		for i, err := range errs {
			if err != nil {
				entries[i] = nil
			}
		}
		for _, f := range t.judge(0, errs, time.Since(start), p) {
			t.tell(f.i, f.Event)
		}
	}()
	entries, err = protect(func() ([]*Entry[V], error) { return l.getMany(ctx, l.frontMany, keys) })
	return entries, nil
}

// protect calls the cache and makes its panic an error.
func protect[T any](call func() (T, error)) (got T, err error) {
	defer bounded.Recover("the cache", &err)
	return call()
}

// wait joins or starts the flights of keys and waits for them.
func (q *query[K, V]) wait(wanted []K) {
	left := make([]waiting[K, V], len(wanted))
	for i, key := range wanted {
		left[i].key = key
	}
	for len(left) > 0 {
		var all []waiting[K, V]
		for len(left) > 0 {
			var queued []waiting[K, V]
			for _, w := range q.join(left) {
				if w.role == flight.Queued {
					queued = append(queued, w)
				} else {
					all = append(all, w)
				}
			}
			left = q.await(queued) // first: these have yet to start
		}
		left = q.await(all)
	}
}

// waiting is a key whose flight the call waits for.
type waiting[K comparable, V any] struct {
	key     K
	f       *flight.Flight[K, ride[K, V]]
	role    flight.Role
	patient bool // see Loader.await
}

// join joins or starts the flight of each key. Those that it starts fly together.
// All are registered before any is waited for: two calls that want the same keys
// never wait for each other to begin.
func (q *query[K, V]) join(wanted []waiting[K, V]) []waiting[K, V] {
	l, joined := q.l, wanted[:0]
	start := ride[K, V]{party: new(party)}
	held := start.lentBy(l.slots.held(q.ctx))
	c := &crew[K, V]{l: l, load: q.load, values: q.ctx}
	for _, w := range wanted {
		if q.ctx.Err() != nil {
			q.answer(w.key, Result[V]{waited: true}, context.Cause(q.ctx))
			continue
		}
		at, _ := l.table.Locate(w.key)
		var served ride[K, V]
		w.f, w.role, served = l.table.Join(q.ctx, at, w.key, start, false, true)
		switch w.role {
		case flight.Served:
			r, err := l.served(served)
			q.answer(w.key, r, err)
			continue
		case flight.Leader:
			c.flights = append(c.flights, w.f)
		default:
			l.board(q.ctx, w.f, w.role, held)
		}
		joined = append(joined, w)
	}
	if len(c.flights) > 0 {
		c = c.of(c.flights)
		c.launch(c.fly)
	}
	return joined
}

// await waits for flights and returns those that must be joined again.
func (q *query[K, V]) await(joined []waiting[K, V]) (again []waiting[K, V]) {
	for _, w := range joined {
		ctx := q.ctx
		if ctx.Err() != nil && w.f.Landed() { // what is there is given
			ctx = context.WithoutCancel(ctx)
		}
		if r, err, ok := q.l.await(ctx, w.f, w.role, false, &w.patient); ok {
			q.answer(w.key, r, err)
		} else {
			again = append(again, w)
		}
	}
	return again
}
