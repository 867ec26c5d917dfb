package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/counting"
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
	calls[K, V]    // those of a cache
	leasing[K, V]  // those of leases
	scanning[K, V] // those of a corral.Scanner

	hasher    hasher[K]
	pins      pinned[K]
	opts      Options[K]
	opening   OpenFunc[K, V]
	can       abilities
	placed    atomic.Pointer[placement[K, V]] // what is in force
	published atomic.Pointer[Published]       // what placed was made of
	change    atomic.Pointer[Change]          // under way, nil if none is; replaced by who has the turn
	copies    copies[K, V]
	lates     lates[K]
	epoch     *epochLease // nil without Epochs
	wake      wake        // goes on with a change
	ward      *ward       // knows which shards are out
	calm      *ward       // of groups, whose shards are each known to ward

	turns   chan struct{}            // holds one thing while somebody has the turn to replace placed
	open    map[string]*member[K, V] // by ID; guarded by the turn
	leaving leaving[K, V]

	numbers numbers

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
//
// With Options.Epochs t is what the first process publishes. To the others, what is
// published counts: a process that starts with an older or a later t goes by that all
// the same, and one with another t of the same epoch gets an error.
func New[K comparable, V any](ctx context.Context, t Topology, open OpenFunc[K, V], opts Options[K]) (*Fleet[K, V], error) {
	if open == nil {
		return nil, option("New: open", "nil", "required")
	}
	if err := errors.Join(t.Validate(), opts.check()); err != nil {
		return nil, err
	}
	f := &Fleet[K, V]{
		opts:    opts.withDefaults(),
		opening: open,
		turns:   make(chan struct{}, 1),
		open:    map[string]*member[K, V]{},
		ended:   make(chan struct{}),
	}
	f.numbers.routes.computed, f.numbers.routes.pinned = counting.NewCounter(), counting.NewCounter()
	f.opts.Hooks = opts.Hooks.counted(&f.numbers)
	f.ward = newWard(opts.Health, f.healthChanged, f.vitals)
	f.ward.maxLife = opts.MaxLife
	f.calm = newWard(HealthOptions{Off: true, Classify: func(error) Fault { return NoFault }}, func(context.Context, HealthChange) {}, func() []*vitals { return nil })
	f.calls, f.leasing, f.scanning = calls[K, V]{f, whole}, leasing[K, V]{f}, scanning[K, V]{f}
	var err error
	if f.hasher, err = newHasher(opts.KeyBytes, opts.Secret); err != nil {
		return nil, err
	}
	if f.pins, err = newPinned(ctx, opts.Pins, f.opts.Hooks); err != nil {
		return nil, err
	}
	if err = f.begin(ctx, t.sorted()); err != nil {
		f.pins.stop()
		f.ward.stop()
		return nil, errors.Join(err, closeAll(context.WithoutCancel(ctx), slices.Collect(maps.Values(f.open)), opts.Close))
	}
	return f, nil
}

// begin opens the shards of t, or of what was published before.
func (f *Fleet[K, V]) begin(ctx context.Context, t Topology) (err error) {
	p := Published{Revision: 1, Topology: t}
	if !isNil(f.opts.Epochs) {
		f.epoch = newEpochLease(f.opts.Epochs, f.opts.EpochLife, f.adopt, func(ctx context.Context, err error) {
			f.opts.Hooks.changeError(ctx, Shard{}, err)
		})
		asked := f.epoch.now()
		defer func() {
			if err == nil {
				f.epoch.extend(asked)
			}
		}()
		if p, err = bounded.Do(ctx, func(ctx context.Context) (Published, error) { return publishFirst(ctx, f.opts.Epochs, p) }); err != nil {
			return err
		}
	}
	placed, err := f.placement(ctx, p)
	if err != nil {
		return err
	}
	f.can = abilitiesOf(slices.Collect(maps.Values(f.open)))
	f.placed.Store(&placement[K, V]{replaced: make(chan struct{})})
	f.put(p, placed)
	return nil
}

// Topology returns what the fleet consists of, with the shards in order of their
// IDs. previous is what it consisted of before, while keys may still be where that
// had them; nil otherwise.
func (f *Fleet[K, V]) Topology() (current Topology, previous *Topology) {
	p := f.placed.Load()
	current = p.layout.topology.sorted()
	if p.phase == PhaseSwitch || p.phase == PhaseClose {
		before := p.other.topology.sorted()
		previous = &before
	}
	return current, previous
}

// Close refuses further calls, which get [ErrClosed], and closes the shards with
// Options.Close, all at a time. It does not wait for calls under way, but for up to a
// second for leases that are given back: close the Loader first. A change of the topology that is under way goes on in the other
// processes. It returns [*ShardErrors] of what failed, or had not ended with ctx.
// Every further Close waits for the first and returns the same.
func (f *Fleet[K, V]) Close(ctx context.Context) error {
	f.closed.Store(true)
	f.ending.Do(func() {
		f.pins.stop()
		f.wake.end()
		f.ward.stop()
		f.turns <- struct{}{} // whoever has it opens shards, with a context that ends, or nothing that takes time
		if c := f.change.Load(); c != nil {
			f.endChange(c, Published{})
		}
		f.endedAs = closeAll(ctx, append(slices.Collect(maps.Values(f.open)), f.leaving.end()...), f.opts.Close)
		<-f.turns
		close(f.ended)
	})
	<-f.ended
	return f.endedAs
}

// Owner returns the shard that key is on, of several with the same keys the one that
// this process reads. It asks nobody: pins that are not in
// memory are those last seen. It returns the zero Shard for a key that KeyBytes or
// the Router cannot place.
func (f *Fleet[K, V]) Owner(key K) Shard {
	hash, err := f.hasher.hash(key)
	if err != nil {
		return Shard{}
	}
	pin, _ := f.pins.peek(key)
	p := f.placed.Load()
	m, err := p.layout.owner(hash, pin)
	if err != nil {
		return Shard{}
	}
	if m.group != nil {
		if m = m.group.reader(key); m == nil {
			return Shard{}
		}
	}
	if i, known := p.all.at[m.shard.ID]; known {
		return p.all.topology.Shards[i]
	}
	return m.shard
}

// Explanation says why a key is on its shard.
type Explanation struct {
	Epoch   uint64   // of the topology
	Hash    uint64   // of the key's bytes
	Ranking []string // the IDs of the shards, the computed owner first; of groups their names
	Pin     string   // the shard that the key is pinned to; empty for none
	Owner   string   // the shard, or the group, that the key is on

	// Replicas are, where Owner is a group of several shards, their IDs: the key's holder
	// first, then those that it is copied to and deleted at after that.
	Replicas []string

	Out    bool   // Owner is out, and not read
	Gutter string // where the key is kept while Owner is out; empty for nowhere
	Phase  Phase  // of a change of the topology
	Other  string // its owner by the topology that is changed to or from; empty if that is Owner
}

// Explain says why key is on its shard. It asks Options.Pins anew and changes
// nothing. The error is that of the Pins, of KeyBytes or of the Router.
func (f *Fleet[K, V]) Explain(ctx context.Context, key K) (Explanation, error) {
	p := f.placed.Load()
	e := Explanation{Epoch: p.layout.topology.Epoch, Phase: p.phase}
	var err error
	if e.Hash, err = f.hasher.hash(key); err != nil {
		return e, err
	}
	ranked, err := p.layout.rank(e.Hash)
	if err != nil {
		return e, err
	}
	for _, i := range ranked {
		e.Ranking = append(e.Ranking, p.layout.placed[i].ID)
	}
	e.Owner = e.Ranking[0]
	if e.Pin, err = f.pins.ask(ctx, key); err != nil {
		return e, err
	}
	if _, known := p.layout.at[e.Pin]; known {
		e.Owner = e.Pin
	}
	owner := p.layout.members[p.layout.at[e.Owner]]
	e.Out = !owner.healthy()
	if owner.group != nil {
		if e.Replicas, err = owner.group.ids(key); err != nil {
			return e, err
		}
	}
	if f.gutter().used() {
		for _, id := range e.Ranking {
			if id != e.Owner {
				e.Gutter = id
				break
			}
		}
	}
	if p.other != nil {
		other, err := p.other.owner(e.Hash, e.Pin)
		if err != nil {
			return e, err
		}
		if name := p.other.name(other); name != e.Owner {
			e.Other = name
		}
	}
	return e, nil
}

// vitals returns those of the shards that keys are on, and not of those that come or leave.
func (f *Fleet[K, V]) vitals() []*vitals {
	p := f.placed.Load()
	shards := p.layout.topology.Shards
	all := make([]*vitals, len(shards))
	for i, s := range shards {
		all[i] = &p.all.members[p.all.at[s.ID]].vitals
	}
	return all
}

func (f *Fleet[K, V]) healthChanged(ctx context.Context, e HealthChange) {
	f.numbers.changes.Add(1)
	tell(ctx, f, f.opts.Hooks.HealthChange, e)
}

func (h *Hooks) pinsError(ctx context.Context, err error) {
	if h.PinsError != nil {
		h.PinsError(ctx, err)
	}
}

func (h *Hooks) changeError(ctx context.Context, s Shard, err error) {
	if h.ChangeError != nil {
		h.ChangeError(ctx, s, err)
	}
}

func (h *Hooks) listenError(ctx context.Context, s Shard, err error) {
	if h.ListenError != nil {
		h.ListenError(ctx, s, err)
	}
}

// counted returns hooks of errors that are called by n.
func (h Hooks) counted(n *numbers) Hooks {
	if told := h.PinsError; told != nil {
		h.PinsError = func(ctx context.Context, err error) { n.hook(func() { told(ctx, err) }) }
	}
	if told := h.ListenError; told != nil {
		h.ListenError = func(ctx context.Context, s Shard, err error) { n.hook(func() { told(ctx, s, err) }) }
	}
	if told := h.ChangeError; told != nil {
		h.ChangeError = func(ctx context.Context, s Shard, err error) { n.hook(func() { told(ctx, s, err) }) }
	}
	return h
}

// isNil is for caches and Pins that were declared and never set.
func isNil(v any) bool { return stored.IsNil(v) }
