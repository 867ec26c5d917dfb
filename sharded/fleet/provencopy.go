package fleet

import (
	"context"
	"errors"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/manykeys"
)

// What is read of a shard is served for a moment though it may have come back old: until it
// has said, once a second, which incarnation it is. What is copied from it is at another
// shard then, of which nobody would ever doubt it. So a copy waits until the shard that it
// was read from has said, after that, that it is the one that it was. Those who copy at the
// same time wait for the same answer.

// errUnsteady is the error of a shard of which something is fenced anew whenever it is read.
var errUnsteady = errors.New("fleet: what is fenced of the shard changes all the time")

// provenTries is how often a shard is read for a copy until nothing was fenced meanwhile.
const provenTries = 3

// proven calls read, which may be for a copy as soon as the shard has said that it still is
// the one that it was, and again if it is not. read reports whether it has found anything.
func (m *member[K, V]) proven(ctx context.Context, read func() (found bool)) error {
	for range provenTries {
		turns := m.turns()
		if !read() {
			return nil
		}
		for _, one := range m.shards() {
			if one.vitals.out() {
				continue // it was not read
			}
			if err := one.identify(ctx); err != nil {
				return err
			}
		}
		if m.turns() == turns {
			return nil
		}
	}
	return errUnsteady
}

// turns is how often something was fenced.
func (m *member[K, V]) turns() (n uint64) {
	for _, one := range m.shards() {
		n += one.fence.last()
	}
	return n
}

// acquireToCopy is acquireMany of keys that are copied if they are found.
func (m *member[K, V]) acquireToCopy(ctx context.Context, keys []K, requests []corral.LeaseRequest[V]) (leases []corral.Lease[V], err error) {
	failed := m.proven(ctx, func() (found bool) {
		leases, err = m.acquireSome(ctx, keys, requests)
		for i := range leases {
			found = found || leases[i].State == corral.LeaseChanged && manykeys.Of(err, keys[min(i, len(keys)-1)]) == nil
		}
		return found
	})
	if failed != nil {
		return make([]corral.Lease[V], len(keys)), manykeys.Each(keys, func(int) error { return failed })
	}
	return leases, err
}
