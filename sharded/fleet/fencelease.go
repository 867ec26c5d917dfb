package fleet

import (
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

// insist makes requests for leases ask for them whatever is stored under keys that are
// fenced by themselves: when it was loaded says nothing.
func (m *member[K, V]) insist(keys []K, requests []corral.LeaseRequest[V]) []corral.LeaseRequest[V] {
	requests = slices.Clone(requests)
	for i, key := range keys {
		if i < len(requests) && m.fence.has(key) {
			requests[i].Seen, requests[i].Force = nil, true
			m.cleanSoon()
		}
	}
	return requests
}

// hidesLease reports whether the answer to a request for a lease is an entry that is
// fenced.
func (m *member[K, V]) hidesLease(key K, l corral.Lease[V], err error) bool {
	return err == nil && l.State == corral.LeaseChanged && l.Entry != nil && m.hides(key, l.Entry.LoadedAt)
}

// acquireHidden asks again for the leases of the keys of which the answers are fenced,
// and returns the answers to all.
func (m *member[K, V]) acquireHidden(keys []K, requests []corral.LeaseRequest[V], leases []corral.Lease[V], err error,
	ask func([]K, []corral.LeaseRequest[V]) ([]corral.Lease[V], error)) ([]corral.Lease[V], error) {
	var hidden batch[K]
	var again []corral.LeaseRequest[V]
	for i, key := range keys {
		if m.hidesLease(key, leases[i], manykeys.Of(err, key)) {
			r := requests[i]
			r.Seen = leases[i].Entry
			hidden.add(key, "", i)
			again = append(again, r)
		}
	}
	if len(again) == 0 {
		return leases, err
	}
	now, failed := ask(hidden.keys, again)
	leases = slices.Clone(leases)
	errs := make([]error, len(keys))
	for i, key := range keys {
		errs[i] = manykeys.Of(err, key)
	}
	for j, i := range hidden.at {
		if errs[i] = manykeys.Of(failed, keys[i]); errs[i] == nil {
			leases[i] = now[j]
		} else {
			leases[i] = corral.Lease[V]{}
		}
	}
	return leases, manykeys.Each(keys, func(i int) error { return errs[i] })
}
