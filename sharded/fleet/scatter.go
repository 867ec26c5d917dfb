package fleet

import (
	"context"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/manykeys"
)

// part is what of a call with many keys goes to one site.
type part[K comparable] struct {
	keys []K
	at   []int // where they were among all; nil for all of them in their order
}

// those returns what belongs to the keys of a part.
func those[T any](all []T, at []int) []T {
	if at == nil {
		return all
	}
	some := make([]T, len(at))
	for j, i := range at {
		some[j] = all[i]
	}
	return some
}

// partsAtOnce is how many shards are called at a time.
const partsAtOnce = 16

// scatter calls each site with those of the keys that are there, and gathers what
// they return. A part that fails, or is late, is the error of its keys alone.
func scatter[K comparable, V, R any](ctx context.Context, f *Fleet[K, V], keys []K,
	call func(ctx context.Context, s site[K, V], p part[K]) ([]R, error)) ([]R, error) {
	placed, err := f.inForce(ctx)
	if err != nil {
		return make([]R, len(keys)), manykeys.Each(keys, func(int) error { return err })
	}
	return scatterBy(ctx, f, placed, keys, toRead, call)
}

// purpose is what a call with many keys is made for.
type purpose uint8

const (
	toRead       purpose = iota // or about leases
	toWrite                     // lates is told what was left behind
	toWriteAgain                // since the topology changed meanwhile: its keys have been counted
)

// scatterBy is scatter by a placement.
func scatterBy[K comparable, V, R any](ctx context.Context, f *Fleet[K, V], placed *placement[K, V], keys []K, to purpose,
	call func(ctx context.Context, s site[K, V], p part[K]) ([]R, error)) ([]R, error) {
	parts, failed := f.split(ctx, placed, keys, to == toWriteAgain)
	if len(parts) == 1 && failed == nil {
		for s := range parts {
			return call(ctx, s, part[K]{keys: keys})
		}
	}
	return callParts(ctx, f, keys, parts, failed, to, call)
}

// callParts calls each site with its part of keys. failed are errors of others.
func callParts[K comparable, V, R any](ctx context.Context, f *Fleet[K, V], keys []K, parts map[site[K, V]]*part[K], failed manykeys.Failures[K],
	to purpose, call func(ctx context.Context, s site[K, V], p part[K]) ([]R, error)) ([]R, error) {
	ctx, cancel := f.budget(ctx)
	defer cancel()
	answers := make(map[site[K, V]]*answer[R], len(parts))
	room := make(chan struct{}, partsAtOnce)
	var all sync.WaitGroup
	for s, p := range parts {
		a := &answer[R]{err: errExited} // unless the shard returns
		answers[s] = a
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			call := func(ctx context.Context) ([]R, error) { return call(ctx, s, *p) }
			if to == toRead {
				a.results, a.err = bounded.Do(ctx, call)
				return
			}
			left := false
			if a.results, left, a.err = leave(ctx, f, p.keys, call); left {
				s.givenUp(ctx, p.keys, a.err)
			}
		})
	}
	all.Wait()
	results := make([]R, len(keys))
	for s, p := range parts {
		failed = gather(p, answers[s], results, failed)
	}
	return results, failed.Err()
}

// each is scatterBy of a write, which returns an error alone.
func each[K comparable, V any](ctx context.Context, f *Fleet[K, V], placed *placement[K, V], keys []K, to purpose,
	call func(ctx context.Context, s site[K, V], p part[K]) error) error {
	_, err := scatterBy(ctx, f, placed, keys, to, func(ctx context.Context, s site[K, V], p part[K]) ([]struct{}, error) {
		return make([]struct{}, len(p.keys)), call(ctx, s, p)
	})
	return err
}

// split finds the site of each key. failed are the keys that have none.
func (f *Fleet[K, V]) split(ctx context.Context, placed *placement[K, V], keys []K, again bool) (parts map[site[K, V]]*part[K], failed manykeys.Failures[K]) {
	parts = map[site[K, V]]*part[K]{}
	for i, key := range keys {
		s, err := f.routeBy(ctx, placed, key, again)
		if err != nil {
			failed.Add(key, err)
			continue
		}
		addTo(parts, s, key, i)
	}
	return parts, failed
}

// addTo adds the i-th key to the part of a site.
func addTo[K comparable, V any](parts map[site[K, V]]*part[K], s site[K, V], key K, i int) {
	p := parts[s]
	if p == nil {
		p = &part[K]{}
		parts[s] = p
	}
	p.keys, p.at = append(p.keys, key), append(p.at, i)
}

// budget bounds the parts, so that what the others returned is not lost with a
// caller who gave up.
func (f *Fleet[K, V]) budget(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.opts.Timeout > 0 {
		return context.WithTimeoutCause(ctx, f.opts.Timeout, errLate)
	}
	if end, ok := ctx.Deadline(); ok {
		return context.WithTimeoutCause(ctx, time.Until(end)/10*9, errLate)
	}
	return ctx, func() {}
}

var errLate error = &lateError{}

// lateError is a deadline, so that whoever tells slow shards from broken ones can.
type lateError struct{}

func (*lateError) Error() string { return "fleet: the shard was late" }
func (*lateError) Unwrap() error { return context.DeadlineExceeded }

// answer is what a shard made of its part.
type answer[R any] struct {
	results []R
	err     error
}

// gather puts the results where they belong, and adds to failed the keys without.
func gather[K comparable, R any](p *part[K], a *answer[R], results []R, failed manykeys.Failures[K]) manykeys.Failures[K] {
	if manykeys.Partial[K](a.err) {
		if err := manykeys.Fit("fleet", len(p.keys), "results of a shard", len(a.results)); err != nil {
			a.err = err
		}
	}
	for j, key := range p.keys {
		if err := manykeys.Of(a.err, key); err != nil {
			failed.Add(key, err)
		} else {
			results[p.at[j]] = a.results[j]
		}
	}
	return failed
}
