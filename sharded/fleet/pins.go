package fleet

import (
	"context"
	"errors"
	"iter"
	"unicode/utf8"

	"github.com/corralcache/corral/internal/bounded"
)

// ErrPinsFull is what Pins return for a key when they hold as many as they may. No
// pin makes room for another: it says where somebody's values are.
var ErrPinsFull = errors.New("fleet: no room for another pin")

// Pins are the exceptions: keys that are kept where they are told, such as large
// tenants and hot keys, while the place of all others is computed. A fleet reads
// them from memory; it asks a Pins that is elsewhere for its Version once a second,
// while there are calls, and for the pins when that has changed.
//
// The first to pin a key wins, whoever asks later gets what the first one said; from
// then on a pin changes by compare and set. Every call is bounded by its context and
// safe for concurrent use. A shard's ID that a [Shard] could not have is a
// [*corral.OptionError].
//
// A pin that is made, moved or taken away leaves the values of its key where they
// are: pin keys before they are used, or Delete them in between.
type Pins[K comparable] interface {
	// Get returns the shard that key is pinned to.
	Get(ctx context.Context, key K) (shard string, ok bool, err error)

	// GetOrPin returns the shard that key is pinned to. If there is none it pins key
	// to shard, and pinned is true: of all that race, for one.
	GetOrPin(ctx context.Context, key K, shard string) (owner string, pinned bool, err error)

	// TryPin pins key to new if it is pinned to old, or, where old is empty, not at
	// all. owner is what key is pinned to afterwards, empty for no pin.
	TryPin(ctx context.Context, key K, old, new string) (owner string, ok bool, err error)

	// Unpin takes the pin of key away if it is old, and says whether it did.
	Unpin(ctx context.Context, key K, old string) (bool, error)

	// All visits every pin, in no order. What changes meanwhile may be seen or not.
	// An error is the last thing it yields.
	All(ctx context.Context) iter.Seq2[Pin[K], error]

	// Compact takes away the pins that keep returns false for, unless they change
	// meanwhile, and returns how many that were.
	Compact(ctx context.Context, keep func(Pin[K]) bool) (int, error)

	// Version is another one after each change, at the latest when the call that
	// made the change returns.
	Version(ctx context.Context) (uint64, error)
}

// Pin is a key and the ID of the shard where it is kept.
type Pin[K comparable] struct {
	Key   K
	Shard string
}

// checkShard returns an error for a text that is no shard's ID.
func checkShard(argument, id string) error {
	if id == "" || len(id) > maxIDBytes || !utf8.ValidString(id) {
		return option("Pins: "+argument, id, "must be a shard's ID: 1 to 255 bytes of UTF-8")
	}
	return nil
}

// CompactPins is Compact of pins that can be listed and taken away one by one, for who
// makes [Pins]. A panic of keep is an error; removed are those until then.
func CompactPins[K comparable](ctx context.Context, p Pins[K], keep func(Pin[K]) bool) (removed int, err error) {
	defer bounded.Recover("keep", &err)
	for pin, err := range p.All(ctx) {
		if err != nil {
			return removed, err
		}
		if keep(pin) {
			continue
		}
		ok, err := p.Unpin(ctx, pin.Key, pin.Shard)
		if err != nil {
			return removed, err
		}
		if ok {
			removed++
		}
	}
	return removed, nil
}
