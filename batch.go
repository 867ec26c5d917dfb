package corral

import "context"

// BatchCache is the optional interface of a cache that takes many keys in one
// call, and so in one round trip. Every call does for each key what the call for
// one key does; the keys are different ones.
//
// GetMany returns as many entries as keys, entries[i] for keys[i], nil for a
// miss; of a [PlainCache] they are as its Get returns them. SetMany stores
// entries[i] under keys[i]. A [*KeyErrors] says which keys failed and with what;
// the others went well, and what is returned for a key with an error means nothing.
// Any other error, also one that wraps a KeyErrors, is that of every key that this
// does not name. No keys are no error. The slices given are the caller's, and not
// changed. A Loader gives at most 10,000 keys at once, and the whole call one
// [Options].CacheTimeout.
type BatchCache[K comparable, V any] interface {
	Cache[K, V]
	GetMany(ctx context.Context, keys []K) (entries []*Entry[V], err error)
	SetMany(ctx context.Context, keys []K, entries []*Entry[V]) error
	DeleteMany(ctx context.Context, keys []K) error
}

// BatchLeaser is the optional interface of a [Leaser] that takes many keys in one
// call: keys[i] with requests[i] or tokens[i]. It tells errors as [BatchCache]
// does.
type BatchLeaser[K comparable, V any] interface {
	Leaser[K, V]
	AcquireMany(ctx context.Context, keys []K, requests []LeaseRequest[V]) ([]Lease[V], error)
	RenewMany(ctx context.Context, keys []K, tokens []string) error
	FillMany(ctx context.Context, keys []K, tokens []string, entries []*Entry[V]) error
	ReleaseMany(ctx context.Context, keys []K, tokens []string) error
}
