package corral

import (
	"context"
	"time"
)

// Cache is the port: the store behind a [Loader], seen as three calls. An
// adapter implements it over a store that its user already has; what such an
// adapter must do is written down as tests in adapters/adaptertest, which
// anybody can run over their own.
//
//   - Get returns nil and nil for a miss. The entry it returns is shared and is
//     never written to by anyone.
//   - Set stores the entry whole and does not interpret it. After Set returned
//     nil, Get finds the entry, unless the store refused it or evicted it by a
//     policy of its own. Once e.Keep has passed since e.LoadedAt the store gives
//     its memory back, in its own time; a Loader takes what Get returns until
//     then for expired. After Set of an entry whose Keep has passed the key holds
//     nothing.
//   - Delete of a key that is not there is no error. After Delete returned nil,
//     Get does not find the entry.
//   - A call returns soon after its context ended. A store in memory, which
//     answers at once, need not look at it.
//   - All calls are safe for concurrent use. An error says what the store said;
//     a value that cannot be read is [ErrUndecodable], one that the store would
//     not take [ErrRefused].
//
// What a store can do beyond that it says with the optional interfaces below,
// which [New] looks for once. A wrapper forwards exactly those that the caches
// inside it have: PlainCache, Far and [BatchCache] if all have it, the others if
// any has. It may take many keys where the caches inside do not, one by one. See
// also [Leaser] and [Layered].
type Cache[K comparable, V any] interface {
	Get(ctx context.Context, key K) (*Entry[V], error)
	Set(ctx context.Context, key K, e *Entry[V]) error
	Delete(ctx context.Context, key K) error
}

// Entry is a value with its times, or the record that the source has none. It
// is immutable once it was handed to a Cache.
type Entry[V any] struct {
	// Value is what the source returned; the zero value if Absent.
	Value V

	// LoadedAt is when the load that produced Value returned. In the process
	// that loaded it, it carries the monotonic clock, so that a step of the wall
	// clock neither expires nor revives an entry. The zero time says that the
	// age is unknown; such an entry is stale.
	LoadedAt time.Time

	// LoadTime is how long that load took: the Δ of early expiry.
	LoadTime time.Duration

	// TTL is how long after LoadedAt the entry is fresh.
	TTL time.Duration

	// Keep is how long after LoadedAt the store holds the entry: TTL and the
	// longer one of the stale windows.
	Keep time.Duration

	// Absent says that the source has no value for the key.
	Absent bool

	// plain marks an entry made of a bare value, whose LoadedAt is only the
	// instant at which it was read.
	plain bool

	// Version is by what the cache whose Get returned the entry knows it again;
	// zero if it does not. It means nothing to anybody else, and Set ignores it.
	Version uint64
}

// PlainCache is the optional interface of a cache that holds bare values, such
// as other programs write and read, instead of entries. The value and what is
// left of its life travel in registers: a hit allocates no entry.
//
// GetValue returns ok false for a miss. A life below zero says that the value
// has no end. SetValue stores value for life; after a life of zero or less the
// key holds nothing. Get returns a value with a zero LoadedAt and what is left of
// its life as Keep; Set with an absent entry deletes the key.
type PlainCache[K comparable, V any] interface {
	Cache[K, V]
	GetValue(ctx context.Context, key K) (value V, life time.Duration, ok bool, err error)
	SetValue(ctx context.Context, key K, value V, life time.Duration) error
}

// Glancer is the optional interface of a cache in memory that can say of an entry
// that it is far from its end without looking at it: what most hits need stands
// with the key, which saves them a miss of the processor's caches. A Loader calls
// Glance in place of Get, unless EarlyExpiry is above 1. After an error or a panic
// of it the Loader asks Get. A type that embeds such a cache to change its Get has to
// change Glance too.
type Glancer[K comparable, V any] interface {
	Glance(ctx context.Context, key K) (Glance[V], error)
}

// Glance is what a [Glancer] tells of a key.
type Glance[V any] struct {
	Entry *Entry[V] // what Get returns
	Value any       // Entry.Value if the cache has it at hand, as a V; else nil
	Quiet bool      // Entry.Quiet has not passed since Entry.LoadedAt
}

// Far is the optional interface of a cache of which a call costs a round trip.
// If Far returns true, the Loader reads it only inside a flight, so that
// concurrent readers of a key share one call.
type Far interface {
	Far() bool
}

// Prompt is the optional interface of a [Far] cache of which Get, and GetValue, sees
// to it that it returns when its context's deadline has passed, whatever the store
// and the way to it do. If Prompt returns true, a Loader reads the cache on the
// goroutine of a caller whose own context cannot end, which saves waking another
// one: nobody but the cache then ends a read that hangs.
type Prompt interface {
	Prompt() bool
}

// Settler is the optional interface of a cache that buffers its writes. Settle
// returns once the last Set of key is applied; [ErrRefused] if the store's own
// policy then turned it away. The Loader calls it after the waiters were woken.
type Settler[K comparable] interface {
	Settle(ctx context.Context, key K) error
}

// Checker is the optional interface of a cache that can tell that it was put
// together wrongly: no client, no way to turn a key into text. [New] calls
// Check and returns its error.
type Checker interface {
	Check() error
}

// Listener is the optional interface of a cache that hears of writes by other
// processes. Listen calls drop with the keys that it hears of, until ctx ends or
// it can no longer hear. It calls drop without a key when it begins to hear, and
// when it may have missed something: any key may have been written before. The
// Loader runs it from [New] to [Loader.Close], again after a pause unless it
// returned an [*OptionError], and detaches the flights of dropped keys. It does
// not for a cache that gives leases and is not [Layered]: those tell what it
// needs, and a subscription for each Loader is a burden to a server.
type Listener[K comparable] interface {
	Listen(ctx context.Context, drop func(keys ...K)) error
}
