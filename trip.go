package corral

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

const (
	// tripKeys is for how many keys the cache is called at once: what one call
	// takes must fit into CacheTimeout.
	tripKeys = 10_000

	// tripCalls is how many calls for one key a trip makes at once.
	tripCalls = 16

	// tripSteps is how many calls for one key of a near cache are bounded
	// together: each takes less time than a goroutine that watches it.
	tripSteps = 1000
)

// trip is a call of the cache for several keys: one call where the cache can, else
// one for each key.
type trip[K comparable, V any] struct {
	l      *Loader[K, V]
	op     Op
	keys   []K
	bound  func() (ctx context.Context, end func()) // for one call
	caller context.Context                          // whose end says nothing of the cache
	tell   func(i int, e Event)                     // tells of a key's error, when the trip is over: a hook may write other keys of it
	always bool                                     // also while the cache rests
	layer  bool                                     // of copies: its errors say nothing of the cache
	single bool                                     // its calls are of one key each, though they are bounded together
	then   func(i int)                              // a key's call returned, maybe after the trip; nil for none
}

// travel makes a trip, with one only if many is nil: got[i] is what the cache
// answered for keys[i], errs[i] its error.
func travel[K comparable, V, T any](t *trip[K, V], many func(ctx context.Context, from, to int) ([]T, error), one func(ctx context.Context, i int) (T, error)) (got []T, errs []error) {
	n := len(t.keys)
	got, errs = make([]T, n), make([]error, n)
	step := tripKeys
	switch {
	case many != nil:
	case t.l.far:
		step, many = 1, func(ctx context.Context, from, _ int) ([]T, error) {
			v, err := one(ctx, from)
			return []T{v}, err
		}
	default:
		step, t.single = tripSteps, true
	}
	atOnce := 1
	if step == 1 {
		atOnce = tripCalls
	}
	hops := (n + step - 1) / step
	failures := make([][]failure, hops)
	inParallel(hops, atOnce, func(i int) {
		from, to := i*step, min((i+1)*step, n)
		over := from // the calls of the keys before it have returned
		part, err, failed := hop(t, from, to, func(ctx context.Context) ([]T, error) {
			if many != nil {
				return many(ctx, from, to)
			}
			return oneByOne(ctx, t, &over, to, one)
		}, func() { t.returned(over, to) })
		copy(got[from:to], part)
		copy(errs[from:to], err)
		failures[i] = failed
	})
	for _, failed := range failures {
		for _, f := range failed {
			t.tell(f.i, f.Event)
		}
	}
	return got, errs
}

// noAnswer makes a call that tells nothing but errors one for travel.
func noAnswer(call func(ctx context.Context, from, to int) error) func(ctx context.Context, from, to int) ([]struct{}, error) {
	if call == nil {
		return nil
	}
	return func(ctx context.Context, from, to int) ([]struct{}, error) {
		return make([]struct{}, to-from), call(ctx, from, to)
	}
}

// failure is what a hook is to be told of the trip's i-th key.
type failure struct {
	i int
	Event
}

// hop is one call of a trip, for the keys from from to before to.
func hop[K comparable, V, T any](t *trip[K, V], from, to int, call func(context.Context) ([]T, error), then func()) (got []T, errs []error, failed []failure) {
	p := usual
	if !t.always {
		p = t.l.rest.allows()
	}
	if p == refused {
		then()
		return nil, perKey(t.keys[from:to], errResting), nil
	}
	ctx, end := t.bound()
	start := time.Now()
	t.l.life.again() // for Close: the call may outlive its time
	got, err := bounded.DoThen(ctx, call, func() {
		then()
		t.l.life.leave()
	})
	end()
	errs = perKey(t.keys[from:to], err)
	if len(got) != to-from {
		misfit(errs, len(got))
	}
	return got, errs, t.judge(from, errs, time.Since(start), p)
}

// returned says that the calls of these keys have.
func (t *trip[K, V]) returned(from, to int) {
	for i := from; t.then != nil && i < to; i++ {
		t.then(i)
	}
}

// oneByOne makes the call of each key in turn, from that at over to before to.
func oneByOne[K comparable, V, T any](ctx context.Context, t *trip[K, V], over *int, to int, one func(ctx context.Context, i int) (T, error)) ([]T, error) {
	got := make([]T, 0, to-*over)
	failed := map[K]error{}
	for *over < to {
		v, err := protect(func() (T, error) { return one(ctx, *over) })
		if err != nil {
			failed[t.keys[*over]] = err
		}
		got = append(got, v)
		t.returned(*over, *over+1)
		*over++
	}
	return got, keyErrors(failed)
}

// misfit gives an error to each key of a call that went well and did not answer
// for each.
func misfit(errs []error, got int) {
	for i, err := range errs {
		if err == nil {
			errs[i] = fmt.Errorf("corral: the cache gave %d answers for %d keys", got, len(errs))
		}
	}
}

// judge records how a call of the cache went, and returns what of it is worth
// telling. A call of several keys counts once if any of them failed; but a cache
// that served any key is not one to let rest.
func (t *trip[K, V]) judge(from int, errs []error, took time.Duration, p pass) (failures []failure) {
	counts := &t.l.counts.cacheErrors
	var failed, served, counted bool
	for i, err := range errs {
		v, count := t.l.blame(t.caller, err)
		failed = failed || v == failing
		served = served || v == healthy
		if count == nil {
			continue
		}
		if counted = counted || count == counts; count != counts || t.single {
			count.Add(1)
		}
		failures = append(failures, failure{from + i, Event{Op: t.op, Err: err, Took: took}})
	}
	overall := unknown
	switch {
	case served:
		overall = healthy
	case failed:
		overall = failing
	}
	if !t.layer {
		t.l.rest.done(overall, p)
	}
	if counted && !t.single {
		counts.Add(1)
	}
	return failures
}

// inParallel calls do with each number below n, at most so many at once.
func inParallel(n, atOnce int, do func(i int)) {
	if atOnce == 1 || n == 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(n, atOnce) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	workers.Wait()
}
