package fleet

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/corralcache/corral"
)

// OpenFunc opens the cache of a shard. It is called once for each, for several at a
// time, and should give up when ctx ends, as it does with [Fleet.Close], which waits for
// that: use ctx for the opening alone. What it opens is closed by [Options].Close.
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

	// Zone is where this process is: of shards with the same keys it reads the one in its
	// zone. Processes may have different ones. Empty is nowhere in particular, and reads
	// the first in the key's rank.
	Zone string

	// Timeout is how long a shard may take for its part of a call with many keys
	// that are on several. Keys of a shard that is late get an error, and the others
	// their results. Zero is 9/10 of what is left until the context's deadline, if
	// it has one.
	Timeout time.Duration

	// MaxLife is the longest that anything is kept: an entry with a longer Keep is
	// kept so long, and so is a bare value. It is how long [Fleet.Apply] has keys
	// looked for where they were, since then nothing is left there. All processes need
	// the same. Zero keeps entries as long as they say, and forbids Apply.
	MaxLife time.Duration

	// Epochs is where the processes of the fleet learn of changes of the topology. Nil
	// is for a fleet that one process alone uses, or that never changes.
	Epochs Epochs

	// EpochLife is how long a process goes by what it last learnt from Epochs: a
	// process that cannot reach them for so long stops using the shards, see
	// [ErrEpochUnknown]. It asks, when it is used, after a third of that. At least
	// 100 ms and at most an hour, zero is 5 s; all processes need the same.
	EpochLife time.Duration

	// Health says when a shard is out, and is not read for a while. The zero value is
	// after three failures in a row.
	Health HealthOptions

	// Hooks are told what no caller is.
	Hooks Hooks

	// Close closes what [OpenFunc] opened, once for each shard: when the Fleet is
	// closed, or could not be made. Nil closes nothing.
	Close func(ctx context.Context, s Shard, cache any) error
}

// Hooks are functions that are told of events, each nil where nobody needs to know.
// They are called concurrently and under no lock, and waited for; none may call
// [Fleet.Close]. One that panics, or ends its goroutine, is counted in Stats.HookPanics.
type Hooks struct {
	// PinsError is told that Options.Pins could not be read, or a pin of a shard
	// that is gone could not be moved. The fleet goes by the pins that it knows.
	PinsError func(ctx context.Context, err error)

	// ListenError is told that a shard no longer hears of other processes' writes
	// ([corral.Listener]). It is made to listen again, unless err is a
	// [*corral.OptionError].
	ListenError func(ctx context.Context, s Shard, err error)

	// ChangeError is told what goes wrong about a change of the topology and is no
	// caller's error: that nothing could be copied from a shard or to it, or that a
	// shard which is left could not be closed; and, with the zero Shard, that the
	// Epochs could not be read.
	ChangeError func(ctx context.Context, s Shard, err error)

	// HealthChange is told that a shard is in another state, or out, or no longer: of
	// one shard's changes one after the other, in the order in which they were. A call
	// that makes a change while another is told does not wait.
	HealthChange func(ctx context.Context, e HealthChange)

	// ShardCall is told of every call of a shard that a Broadcast or a Scan made.
	ShardCall func(ctx context.Context, e ShardCall)

	// PageSizing is told when a Scan changes how much it asks a shard for.
	PageSizing func(ctx context.Context, e PageSizing)

	// End is told of the end of every Broadcast and Migrate, of every loop over a Scan, and
	// of every one over a Merge that [Fleet.Observe] has counted.
	End func(ctx context.Context, e End)
}

const (
	defaultEpochLife = 5 * time.Second
	minEpochLife     = 100 * time.Millisecond
	maxEpochLife     = time.Hour
)

func (o *Options[K]) check() error {
	switch {
	case len(o.Zone) > maxIDBytes || !utf8.ValidString(o.Zone):
		return option("Options.Zone", fmt.Sprintf("%q", o.Zone), fmt.Sprintf("must be UTF-8 of at most %d bytes", maxIDBytes))
	case o.Timeout < 0:
		return option("Options.Timeout", o.Timeout, "must not be below 0")
	case o.MaxLife < 0:
		return option("Options.MaxLife", o.MaxLife, "must not be below 0")
	case o.EpochLife != 0 && (o.EpochLife < minEpochLife || o.EpochLife > maxEpochLife):
		return option("Options.EpochLife", o.EpochLife, fmt.Sprintf("must be 0 (%v) or from %v to %v", defaultEpochLife, minEpochLife, maxEpochLife))
	}
	return o.Health.check()
}

func (o Options[K]) withDefaults() Options[K] {
	if o.EpochLife == 0 {
		o.EpochLife = defaultEpochLife
	}
	return o
}
