package fleet

import (
	"context"
	"slices"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// A lease is asked for by one who has seen nothing, since what is fenced is a miss; and
// the shard answers that something is there. So it is asked again, by one who has seen
// that: then one of all processes gets the lease, and the others what it stores.

// hiddenTries is how often a shard is asked for a lease that answers with what is
// fenced, the last time whatever it holds.
const hiddenTries = 3

// hidesLease reports whether the answer to a request for a lease is an entry that is
// fenced.
func (m *member[K, V]) hidesLease(mark uint64, key K, l corral.Lease[V], err error) bool {
	return err == nil && l.State == corral.LeaseChanged && l.Entry != nil && m.hidesEntry(mark, key, l.Entry)
}

// acquireHidden asks again for the leases of the keys of which the answers since mark are
// fenced, with force whatever is there, and returns the answers to all.
func (m *member[K, V]) acquireHidden(ctx context.Context, mark uint64, keys []K, requests []corral.LeaseRequest[V],
	leases []corral.Lease[V], err error, force bool) ([]corral.Lease[V], error) {
	var hidden batch[K]
	var again []corral.LeaseRequest[V]
	for i, key := range keys {
		if m.hidesLease(mark, key, leases[i], manykeys.Of(err, key)) {
			r := requests[i]
			r.Seen, r.Force = leases[i].Entry, force
			hidden.add(key, "", i)
			again = append(again, r)
		}
	}
	if len(again) == 0 {
		return leases, err
	}
	now, failed := m.acquireOnce(ctx, hidden.keys, again)
	leases = slices.Clone(leases)
	errs := make([]error, len(keys))
	for i, key := range keys {
		errs[i] = manykeys.Of(err, key)
	}
	for j, i := range hidden.at {
		leases[i] = corral.Lease[V]{}
		if errs[i] = manykeys.Of(failed, keys[i]); errs[i] == nil {
			leases[i] = now[j]
		}
	}
	return leases, manykeys.Each(keys, func(i int) error { return errs[i] })
}
