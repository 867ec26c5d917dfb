package fleet

import "github.com/corralcache/corral/internal/bounded"

// Router ranks the shards of one [Topology] for a key's hash. It must be safe for
// concurrent use, and return the same for the same hash in every process.
//
// Rank appends to dst the indices in Topology.Shards of the shards, best first. The
// first is the key's owner. A Router may leave out shards, but not rank none. It
// must not keep dst.
type Router interface {
	Rank(hash uint64, dst []uint16) []uint16
}

// Picker is the optional interface of a [Router] that finds the owner without
// ranking the others: Pick returns what Rank appends first. Every call of a fleet
// asks it. The routers of this package have it.
type Picker interface {
	Pick(hash uint64) uint16
}

// RouterFunc makes the [Router] of a topology, which is valid and has its shards in
// order of their IDs. [Rendezvous], [Ring] and [Jump] return one; see each for what
// moves when the topology changes. There is none that takes the hash modulo the
// number of shards: it would move nearly every key.
type RouterFunc func(Topology) (Router, error)

// route makes the router of t, which is valid.
func (f RouterFunc) route(t Topology) (r Router, err error) {
	defer bounded.Recover("Options.Router", &err)
	if f == nil {
		f = Rendezvous()
	}
	if r, err = f(t); err == nil && r == nil {
		return nil, option("Options.Router", "a function that returned nil", "must return a Router or an error")
	}
	return r, err
}
