package fleet

import (
	"context"
	"errors"
	"time"
)

// placement says where keys are: everything that a call goes by, in one value that
// never changes. A change of the topology puts one after the other into force.
type placement[K comparable, V any] struct {
	phase  Phase
	layout *layout[K, V] // by which keys are read
	other  *layout[K, V] // by which they may be as well; nil if PhaseSettled
	all    *layout[K, V] // of the shards of both, for what is asked of every shard; routes nothing

	// mixed are the groups whose replicas change, by what they are in layout and in other.
	mixed map[[2]*member[K, V]]*member[K, V]

	begin    time.Time     // when it was put into force here; it was published before
	since    time.Time     // when it had not been published yet
	replaced chan struct{} // closed when it no longer is
	waits    waits[K]
}

// Phase is how far a change of the topology has come. In each, a call that deletes
// a key deletes it wherever a process may find it that is one phase ahead or behind.
type Phase uint8

const (
	// PhaseSettled is when there is no change under way.
	PhaseSettled Phase = iota

	// PhasePrepare reads, and stores, by the old topology, and deletes by both.
	PhasePrepare

	// PhaseSwitch reads and stores by the new topology. What is not there it copies
	// from where it was, and it deletes by both.
	PhaseSwitch

	// PhaseClose reads and stores by the new topology, and deletes by both.
	PhaseClose
)

// String returns "settled", "prepare", "switch" or "close".
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "no phase"
}

var phaseNames = [...]string{"settled", "prepare", "switch", "close"}

// site is where a key is.
type site[K comparable, V any] struct {
	at    *member[K, V]
	other *member[K, V] // its owner by the other topology; nil if that is the same
	phase Phase
	by    *placement[K, V] // that says so; nil where other is
}

// inForce returns by what a call has to go.
func (f *Fleet[K, V]) inForce(ctx context.Context) (*placement[K, V], error) {
	if f.closed.Load() {
		return nil, ErrClosed
	}
	if f.epoch != nil {
		if err := f.epoch.check(ctx); err != nil {
			return nil, err
		}
	}
	return f.placed.Load(), nil
}

// still reports whether p has been in force all the while until now.
func (f *Fleet[K, V]) still(p *placement[K, V]) bool {
	return (f.epoch == nil || f.epoch.valid()) && f.placed.Load() == p // in this order: see epoch.renew
}

// route returns where key is by what is in force.
func (f *Fleet[K, V]) route(ctx context.Context, key K) (site[K, V], error) {
	p, err := f.inForce(ctx)
	if err != nil {
		return site[K, V]{}, err
	}
	return f.routeBy(ctx, p, key, false)
}

// routeBy returns where the key of a call is, and counts it unless the call is made again.
func (f *Fleet[K, V]) routeBy(ctx context.Context, p *placement[K, V], key K, again bool) (site[K, V], error) {
	s, pinned, err := f.locate(ctx, p, key)
	if err == nil && !again {
		f.numbers.routes.add(pinned)
	}
	return s, err
}

func (f *Fleet[K, V]) site(ctx context.Context, p *placement[K, V], key K) (site[K, V], error) {
	s, _, err := f.locate(ctx, p, key)
	return s, err
}

// locate returns where key is, and whether a pin says so.
func (f *Fleet[K, V]) locate(ctx context.Context, p *placement[K, V], key K) (s site[K, V], pinned bool, err error) {
	pin, pinned := f.pins.find(ctx, key)
	if p.other == nil {
		s.at, pinned, err = f.settledOwner(ctx, p, key, pin, pinned)
		return s, pinned, err
	}
	hash, err := f.hasher.hash(key)
	if err != nil {
		return s, false, err
	}
	if s.at, err = p.layout.owner(hash, pin); err != nil {
		return s, false, err
	}
	if pinned {
		_, pinned = p.layout.at[pin]
	}
	other, err := p.other.owner(hash, pin)
	if err != nil || other == s.at {
		return s, pinned, err
	}
	if m := p.mixed[[2]*member[K, V]{s.at, other}]; m != nil {
		s.at = m
		return s, pinned, nil
	}
	return site[K, V]{s.at, other, p.phase, p}, pinned, nil
}

func (f *Fleet[K, V]) settledOwner(ctx context.Context, p *placement[K, V], key K, pin string, isPinned bool) (m *member[K, V], pinned bool, err error) {
	if isPinned {
		if i, known := p.layout.at[pin]; known {
			return p.layout.members[i], true, nil
		}
		return f.repin(ctx, p.layout, key, pin)
	}
	hash, err := f.hasher.hash(key)
	if err != nil {
		return nil, false, err
	}
	m, err = p.layout.pick(hash)
	return m, false, err
}

// repin moves the pin of a shard that is not in the topology to where the key would
// be without one. Of all that do so at a time, one does, and the others do as it
// says. While the topology changes no pin is moved: it says where the key was.
func (f *Fleet[K, V]) repin(ctx context.Context, l *layout[K, V], key K, gone string) (m *member[K, V], pinned bool, err error) {
	hash, err := f.hasher.hash(key)
	if err != nil {
		return nil, false, err
	}
	if m, err = l.pick(hash); err != nil {
		return nil, false, err
	}
	owner, moved, err := f.pins.move(ctx, key, gone, l.name(m))
	switch {
	case err != nil:
		f.opts.Hooks.pinsError(ctx, err)
		return m, false, nil
	case moved:
		f.numbers.repinned.Add(1)
	}
	if i, known := l.at[owner]; known {
		return l.members[i], true, nil
	}
	return m, false, nil
}

// write does what has to be done for a write of key: op where the key is stored, and
// clear where it may be besides. Of the two the owner by the old topology comes
// first: a copy from there, made after that, finds nothing, and one made before
// loses its lease, or is detached, with the second. It returns what each of them came to.
//
// The first one leaves the second as much time as it may take: see [Fleet.share].
func (s site[K, V]) write(ctx context.Context, f *Fleet[K, V], keys []K, op, clear func(ctx context.Context, m *member[K, V]) error, between func() error) []error {
	first := func(m *member[K, V], call func(ctx context.Context, m *member[K, V]) error) error {
		if !m.far { // answers at once
			return call(ctx, m)
		}
		return f.share(ctx, m, keys, 2, func(ctx context.Context) error { return call(ctx, m) })
	}
	switch {
	case s.other == nil:
		return []error{between(), op(ctx, s.at)}
	case s.phase == PhasePrepare:
		return []error{first(s.at, op), between(), clear(ctx, s.other)}
	default:
		return []error{first(s.other, clear), between(), op(ctx, s.at)}
	}
}

// writeOne is write of one key.
func (s site[K, V]) writeOne(ctx context.Context, f *Fleet[K, V], key K, op, clear func(ctx context.Context, m *member[K, V]) error, between func() error) error {
	if s.other == nil { // the way of nearly every write, without a slice
		return errors.Join(between(), op(ctx, s.at))
	}
	return errors.Join(s.write(ctx, f, []K{key}, op, clear, between)...)
}

// mayStop reports whether ctx may end a user's write at one of the key's owners before it
// comes to the other.
func (s site[K, V]) mayStop(ctx context.Context) bool {
	return s.other != nil && ctx.Err() == nil && ofUser(ctx)
}

// stopped fences the keys of such a write at both, if its context has ended meanwhile: which
// of them it has come to, they do not tell.
func (s site[K, V]) stopped(ctx context.Context, keys []K, err error) {
	if err != nil && ctx.Err() != nil {
		s.at.fenceFailed(ctx, keys, err, true)
		s.other.fenceFailed(ctx, keys, err, true)
	}
}
