package fleet

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// lentMark begins the token of a lease that was got in the gutter. It goes back there,
// however the key's own shard is by then.
const lentMark = tokenMark + "gutter:"

// lent returns the gutter's own token.
func lent(token string) (own string, ok bool) { return strings.CutPrefix(token, lentMark) }

// acquireLent asks the gutter for leases, as far as it has room for what is loaded under
// them.
func (f *Fleet[K, V]) acquireLent(ctx context.Context, m *member[K, V], keys []K, requests []corral.LeaseRequest[V]) ([]corral.Lease[V], error) {
	n := f.takes(m, len(keys))
	leases := make([]corral.Lease[V], len(keys))
	var err error = ErrUnhealthy
	if n > 0 {
		var got []corral.Lease[V]
		got, err = m.acquireMany(ctx, keys[:n], requests[:n])
		copy(leases, got)
	}
	unused := 0
	for i := range n {
		if manykeys.Of(err, keys[i]) != nil {
			continue // it may have been granted
		}
		if leases[i].State != corral.LeaseHeld {
			unused++
			continue
		}
		f.numbers.gutter.fills.Add(1)
		leases[i].Token = lentMark + cmp.Or(leases[i].Token, requests[i].Token)
	}
	if unused > 0 {
		m.lent.giveBack(f.gutter().Fills, unused)
	}
	return leases, manykeys.Each(keys, func(i int) error {
		if i >= n {
			return ErrUnhealthy
		}
		return manykeys.Of(err, keys[i])
	})
}

// orLent returns leases, or those of the gutter for keys whose shard is out.
func (l leasing[K, V]) orLent(ctx context.Context, keys []K, requests []corral.LeaseRequest[V], leases []corral.Lease[V], err error) ([]corral.Lease[V], error) {
	return atGutter(ctx, l.fleet, keys, leases, err, toRead, func(ctx context.Context, m *member[K, V], p part[K]) ([]corral.Lease[V], error) {
		return l.fleet.acquireLent(ctx, m, p.keys, those(requests, p.at))
	})
}

// atLent calls the gutter with a lease that was got there. Where the key has another
// one now, that knows nothing of it.
func (l leasing[K, V]) atLent(ctx context.Context, key K, call func(m *member[K, V]) error) error {
	m := l.fleet.gutterOf(ctx, key)
	if m == nil || m.leaser == nil {
		return corral.ErrLeaseLost
	}
	return call(m)
}

// splitLent calls the gutter with those of the tokens that were got there, and the site
// s with the others.
func (l leasing[K, V]) splitLent(ctx context.Context, s site[K, V], p part[K], tokens []string,
	call func(ctx context.Context, s site[K, V], p part[K], tokens []string, lent bool) error) error {
	if !slices.ContainsFunc(tokens, func(token string) bool { _, ok := lent(token); return ok }) {
		return call(ctx, s, p, tokens, false)
	}
	var own part[K]
	var ownTokens []string
	var errs []error
	for i, key := range p.keys {
		at := i
		if p.at != nil {
			at = p.at[i]
		}
		token, ok := lent(tokens[i])
		if !ok {
			own.keys, own.at, ownTokens = append(own.keys, key), append(own.at, at), append(ownTokens, tokens[i])
			continue
		}
		one := part[K]{[]K{key}, []int{at}}
		err := l.atLent(ctx, key, func(m *member[K, V]) error {
			return call(ctx, site[K, V]{at: m}, one, []string{token}, true)
		})
		errs = append(errs, only(key, manykeys.Of(err, key)))
	}
	if len(own.keys) > 0 {
		errs = append(errs, manykeys.Join(own.keys, call(ctx, s, own, ownTokens, false)))
	}
	return manykeys.Join(p.keys, errs...)
}

// only is err as that of one key.
func only[K comparable](key K, err error) error {
	return manykeys.Each([]K{key}, func(int) error { return err })
}
