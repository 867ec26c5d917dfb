package fleet

import (
	"context"
	"time"

	"github.com/corralcache/corral"
)

// OpenFunc opens the cache of a shard. It is called once for each, for several at a
// time, and should give up when ctx ends. What it opens is closed by [Options].Close.
type OpenFunc[K comparable, V any] func(ctx context.Context, s Shard) (corral.Cache[K, V], error)

// Options of a [Fleet]. The zero value is ready to use for keys that are text or
// numbers.
type Options[K comparable] struct {
	// KeyBytes appends to dst the bytes that place a key, and returns the result,
	// of which it keeps nothing. Two keys with the same bytes are on one shard. Nil
	// is for keys whose kind is string, the text itself, or integer, its decimal
	// digits. See also [AppendHashTag].
	KeyBytes func(dst []byte, key K) []byte

	// Router ranks the shards for a key's hash; nil is [Rendezvous].
	Router RouterFunc

	// Pins are the keys that are kept where they are told; nil is for none.
	Pins Pins[K]

	// Secret hashes keys with SipHash-2-4 in place of XXH64, so that strangers who
	// choose keys cannot choose them all of one shard. All processes need the same
	// one; with another, keys are elsewhere. Nil is for none.
	Secret *[16]byte

	// Timeout is how long a shard may take for its part of a call with many keys
	// that are on several. Keys of a shard that is late get an error, and the others
	// their results. Zero is 9/10 of what is left until the context's deadline, if
	// it has one.
	Timeout time.Duration

	// Hooks are told what no caller is.
	Hooks Hooks

	// Close closes what [OpenFunc] opened, once for each shard: when the Fleet is
	// closed, or could not be made. Nil closes nothing.
	Close func(ctx context.Context, s Shard, cache any) error
}

// Hooks are functions that are told of events, each nil where nobody needs to know.
// They are called concurrently and under no lock. A panic in one is recovered.
type Hooks struct {
	// PinsError is told that Options.Pins could not be read, or a pin of a shard
	// that is gone could not be moved. The fleet goes by the pins that it knows.
	PinsError func(ctx context.Context, err error)

	// ListenError is told that a shard no longer hears of other processes' writes
	// ([corral.Listener]). It is made to listen again, unless err is a
	// [*corral.OptionError].
	ListenError func(ctx context.Context, s Shard, err error)
}

func (o *Options[K]) check() error {
	if o.Timeout < 0 {
		return option("Options.Timeout", o.Timeout, "must not be below 0")
	}
	return nil
}
