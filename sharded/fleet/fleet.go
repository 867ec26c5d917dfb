package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/stored"
)

// Fleet is many caches as one: each key is on one shard, which [Options] place it
// on. Make it with [New]. All calls are safe for concurrent use.
//
// What a Fleet can do is what its shards can do, which is known only when they are
// open. [corral.New] finds out by [Fleet.AsCache]; give that to whoever else looks
// for optional interfaces. The methods of an ability that the shards lack do
// nothing, or return an [*AbilityError] where there is something to be lost.
type Fleet[K comparable, V any] struct {
	calls[K, V]   // those of a cache
	leasing[K, V] // those of leases

	hasher  hasher[K]
	pins    pinned[K]
	layout  *layout[K, V]
	opts    Options[K]
	closed  atomic.Bool
	ending  sync.Once
	ended   chan struct{} // closed when every shard is
	endedAs error         // what Close returns; read after ended
}

// New opens the shards of t and returns them as one cache. It returns a
// [*corral.OptionError] for a topology or options that cannot work, an
// [*AbilityError] for shards that do not go together, and [*ShardErrors] for what
// open and the shards' own Check returned; then it closes those that were opened.
//
// Shards go together if all or none hold bare values ([corral.PlainCache]), all or
// none are [corral.Layered], and all or none give leases.
func New[K comparable, V any](ctx context.Context, t Topology, open OpenFunc[K, V], opts Options[K]) (*Fleet[K, V], error) {
	if open == nil {
		return nil, option("New: open", "nil", "required")
	}
	if err := errors.Join(t.Validate(), opts.check()); err != nil {
		return nil, err
	}
	f := &Fleet[K, V]{opts: opts, ended: make(chan struct{})}
	f.calls, f.leasing = calls[K, V]{f, whole}, leasing[K, V]{f}
	var err error
	if f.hasher, err = newHasher(opts.KeyBytes, opts.Secret); err != nil {
		return nil, err
	}
	t = t.sorted()
	router, err := opts.Router.route(t)
	if err != nil {
		return nil, err
	}
	if f.pins, err = newPinned(ctx, opts.Pins, opts.Hooks); err != nil {
		return nil, err
	}
	if f.layout, err = openLayout(ctx, t, router, open, opts.Close); err != nil {
		f.pins.stop()
		return nil, err
	}
	return f, nil
}

// Topology returns what the fleet consists of, with the shards in order of their
// IDs. previous is what it consisted of before, while keys may still be where that
// had them; nil otherwise.
func (f *Fleet[K, V]) Topology() (current Topology, previous *Topology) {
	current = f.layout.topology
	current.Shards = slices.Clone(current.Shards)
	return current, nil
}

// Close refuses further calls, which get [ErrClosed], and closes the shards with
// Options.Close, all at a time. It does not wait for calls under way: close the
// Loader first. It returns [*ShardErrors] of what failed, or had not ended with ctx.
// Every further Close waits for the first and returns the same.
func (f *Fleet[K, V]) Close(ctx context.Context) error {
	f.closed.Store(true)
	f.ending.Do(func() {
		f.pins.stop()
		f.endedAs = closeAll(ctx, f.layout.members, f.opts.Close)
		close(f.ended)
	})
	<-f.ended
	return f.endedAs
}

// Owner returns the shard that key is on. It asks nobody: pins that are not in
// memory are those last seen. It returns the zero Shard for a key that KeyBytes or
// the Router cannot place.
func (f *Fleet[K, V]) Owner(key K) Shard {
	if id, ok := f.pins.peek(key); ok {
		if i, known := f.layout.at[id]; known {
			return f.layout.members[i].shard
		}
	}
	m, err := f.computed(key)
	if err != nil {
		return Shard{}
	}
	return m.shard
}

// Explanation says why a key is on its shard.
type Explanation struct {
	Epoch   uint64   // of the topology
	Hash    uint64   // of the key's bytes
	Ranking []string // the IDs of the shards, the computed owner first
	Pin     string   // the shard that the key is pinned to; empty for none
	Owner   string   // the shard that the key is on
}

// Explain says why key is on its shard. It asks Options.Pins anew and changes
// nothing. The error is that of the Pins, of KeyBytes or of the Router.
func (f *Fleet[K, V]) Explain(ctx context.Context, key K) (Explanation, error) {
	e := Explanation{Epoch: f.layout.topology.Epoch}
	var err error
	if e.Hash, err = f.hasher.hash(key); err != nil {
		return e, err
	}
	ranked, err := f.layout.rank(e.Hash)
	if err != nil {
		return e, err
	}
	for _, i := range ranked {
		e.Ranking = append(e.Ranking, f.layout.topology.Shards[i].ID)
	}
	e.Owner = e.Ranking[0]
	if e.Pin, err = f.pins.ask(ctx, key); err != nil {
		return e, err
	}
	if _, known := f.layout.at[e.Pin]; known {
		e.Owner = e.Pin
	}
	return e, nil
}

// route returns the shard that key is on.
func (f *Fleet[K, V]) route(ctx context.Context, key K) (*member[K, V], error) {
	if f.closed.Load() {
		return nil, ErrClosed
	}
	if id, ok := f.pins.find(ctx, key); ok {
		if i, known := f.layout.at[id]; known {
			return f.layout.members[i], nil
		}
		return f.repin(ctx, key, id)
	}
	return f.computed(key)
}

func (f *Fleet[K, V]) computed(key K) (*member[K, V], error) {
	hash, err := f.hasher.hash(key)
	if err != nil {
		return nil, err
	}
	return f.layout.pick(hash)
}

// repin moves the pin of a shard that is not in the topology to where the key would
// be without one. Of all that do so at a time, one does, and the others do as it
// says.
func (f *Fleet[K, V]) repin(ctx context.Context, key K, gone string) (*member[K, V], error) {
	m, err := f.computed(key)
	if err != nil {
		return nil, err
	}
	owner, err := f.pins.move(ctx, key, gone, m.shard.ID)
	if err != nil {
		f.opts.Hooks.pinsError(ctx, err)
		return m, nil
	}
	if i, known := f.layout.at[owner]; known {
		return f.layout.members[i], nil
	}
	return m, nil
}

func (h *Hooks) pinsError(ctx context.Context, err error) {
	if h.PinsError == nil {
		return
	}
	var panicked error
	defer bounded.Recover("Hooks.PinsError", &panicked)
	h.PinsError(ctx, err)
}

func (h *Hooks) listenError(ctx context.Context, s Shard, err error) {
	if h.ListenError == nil {
		return
	}
	var panicked error
	defer bounded.Recover("Hooks.ListenError", &panicked)
	h.ListenError(ctx, s, err)
}

// isNil is for caches and Pins that were declared and never set.
func isNil(v any) bool { return stored.IsNil(v) }
