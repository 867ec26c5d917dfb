package corral

import (
	"context"
	"time"
)

// Leaser is the optional interface of a cache that several processes share. Of
// all the Loaders that miss a key, one gets its lease and loads; the others wait
// for what it stores. That saves loads; it is no mutual exclusion, and does not
// need to be: what a Loader loads under a lease that it has lost is not stored.
//
// A lease is the right to load a key and to store what the load returned. The
// store holds, beside the key's entry, the token of the attempt that has the
// lease, for LeaseLife unless it is renewed. Set and Delete of the cache end the
// lease of their key, in one step with the write.
//
//   - Acquire asks for the lease of key, in one round trip that also looks at
//     what is stored now: if that has changed, the answer is what it is, whoever
//     has the lease. A second Acquire with the token that has the lease
//     finds it held: clients repeat a command whose reply was lost.
//   - Renew gives the lease its whole life again, [ErrLeaseLost] if token has it
//     no more.
//   - Fill stores e and ends the lease, in one step; with nil it deletes the
//     entry. It changes nothing and returns [ErrLeaseLost] if token has the lease
//     no more, unless the key holds what this Fill would leave there: whoever
//     repeats a Fill that was applied gets nil again. It returns [ErrRefused] if
//     the store would not take e by a policy of its own: then the key holds
//     nothing and the lease has ended.
//   - Release ends the lease if token has it, and is no error if not.
//   - Watch returns a channel, with room for one, that is sent to when the lease
//     of key may have ended, wherever its holder is. It is a hint: one may be
//     missing, or come without a reason, and who waits also asks Acquire now and
//     then. stop must be called.
//
// No user's clock decides over a lease's life, only the store's. Every call is
// bounded like those of [Cache].
type Leaser[K comparable, V any] interface {
	// LeaseLife is how long a lease lasts that is not renewed. Zero says that
	// leases are off: then nothing else is called.
	LeaseLife() time.Duration

	Acquire(ctx context.Context, key K, r LeaseRequest[V]) (Lease[V], error)
	Renew(ctx context.Context, key K, token string) error
	Fill(ctx context.Context, key K, token string, e *Entry[V]) error
	Release(ctx context.Context, key K, token string) error
	Watch(key K) (ended <-chan struct{}, stop func())
}

// LeaseRequest is what a Loader says when it asks for a lease.
type LeaseRequest[V any] struct {
	// Token names this attempt: text that nobody can guess and nobody uses twice.
	Token string

	// Seen is the entry that the Loader found when it looked, nil for none.
	// What is stored now has changed unless it is the same by Version, or, in a
	// [PlainCache], ends no later: there Seen is as its Get returns it.
	Seen *Entry[V]

	// Force asks for the lease whatever is stored.
	Force bool
}

// Lease is the answer to a [LeaseRequest].
type Lease[V any] struct {
	State LeaseState

	// Token is, with LeaseHeld, what to renew, fill and release with: the token of
	// this one grant, where the store tells them apart. An Acquire that a client
	// repeated may arrive once more after a write had ended the lease, and gets it
	// again: whoever loads since before the write must not have it. Empty stands
	// for the request's token.
	Token string

	// Entry is what is stored, with LeaseChanged.
	Entry *Entry[V]

	// Empty says that nothing is stored under the key: an entry that was seen is
	// gone.
	Empty bool

	// Left is what is left of the other's lease, with LeaseBusy; zero if that is
	// not known.
	Left time.Duration
}

// LeaseState says what became of a [LeaseRequest].
type LeaseState uint8

const (
	LeaseHeld    LeaseState = iota // the lease is the caller's, until it fills or releases it
	LeaseBusy                      // another attempt has it
	LeaseChanged                   // the entry is another one than was seen: nobody need load, the lease was not asked for
)

// Layered is the optional interface of a cache that holds, in the memory of this
// process, copies of what a far cache holds. The Loader looks into near outside of
// a flight and reads far, which also fills near, inside of one. It writes the
// layered cache itself.
type Layered[K comparable, V any] interface {
	Layers() (near, far Cache[K, V])
}
