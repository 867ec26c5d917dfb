package corral

import "context"

// Incarnate is the optional interface of a [Far] cache that can tell whether its
// store still is the one that it was. A store that comes back from a snapshot, or a
// replica that took over before it had heard of everything, holds what was deleted
// since. A Loader does not ask for it; whoever decides whether a store may be read
// again, as a fleet does, asks before.
//
// Incarnation returns a text that changes when the store may have lost writes that it
// had confirmed, and never becomes again what it was before. It is the same for all
// who ask, costs a round trip, and means nothing in itself. An empty text says that
// the cache has no way to tell, now and later; an error, that it could not this time.
type Incarnate interface {
	Incarnation(ctx context.Context) (string, error)
}
