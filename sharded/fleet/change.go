package fleet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

var (
	// ErrChanging is what [Fleet.Apply] gets while the topology changes.
	ErrChanging = errors.New("fleet: the topology is changing")

	// ErrAborted is what a change has come to that [Change.Abort] ended.
	ErrAborted = errors.New("fleet: the change was aborted")

	// ErrEpochUnknown is what calls get in a process that could not reach
	// [Options].Epochs for Options.EpochLife: where keys are it cannot know. A Loader
	// serves what it loads, and stores nothing.
	ErrEpochUnknown = errors.New("fleet: the topology in force is unknown")

	// ErrTooLate is what [Change.Abort] gets of a change that closes, or has ended, or
	// ejects a zone: that has missed deletes.
	ErrTooLate = errors.New("fleet: the change is too far to be aborted")
)

// Change is a change of the topology under way, see [Fleet.Apply]. All calls are safe
// for concurrent use.
type Change struct {
	plan  Plan
	done  chan struct{} // closed when it has ended
	err   error         // read after done
	abort func(ctx context.Context) error
}

// Plan returns what changes.
func (c *Change) Plan() Plan { return c.plan }

// Done returns a channel that is closed when the change has ended: when nothing is
// looked for any more where it was.
func (c *Change) Done() <-chan struct{} { return c.done }

// Err returns nil until Done, and then too if the change has come to its end;
// [ErrAborted] if Abort ended it, [ErrClosed] if the fleet was closed before.
func (c *Change) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Abort puts the old topology into force again, and returns when every process goes
// by it. What was copied, loaded or set since Apply is not looked for any more, so
// that it costs loads, and entries may be served that had been refreshed since; one
// that was deleted or set is not. The change has ended after another
// Options.MaxLife, and until then there can be no other. A change that closes is too
// far to be aborted, and so is one that ejects a zone, where nobody deletes any more:
// [ErrTooLate].
func (c *Change) Abort(ctx context.Context) error { return c.abort(ctx) }

// Apply puts the topology t into force, while the fleet is in use, without sending
// what moves to the source: for Options.MaxLife after it, a key that is not where it
// belongs now is looked for where it was, and brought over. It returns when every
// process goes by t; [Change.Done] tells when all is over.
//
// A zone that had replicas, and of which t has no shard, is ejected: from then on it is
// not read, and once Apply has returned nobody deletes there either.
//
// With Options.Epochs all processes of the fleet change together, in three phases:
// see [Phase]. Each is published and lasts, for every process to follow or to stop
// using the shards, Options.EpochLife and a tenth of it. Without Epochs the fleet of
// this process changes alone, at once.
//
// It opens the shards that are new; if one cannot be opened, or does not go together
// with the others, nothing has changed. Shards with an ID that stays are kept as they
// are open. The other errors are a [*corral.OptionError] for a topology that is not
// valid, not later than the one in force, gives a shard another address or meets a
// fleet without MaxLife; [ErrChanging] during another change; that of the Epochs; or
// what ended ctx: then the old topology stays or, where there is a Change too, the
// change goes on; [ErrAborted] if others have given the change up meanwhile. Apply of the
// topology that is being changed to goes on with that change, also if another process
// began it and has ended. Where the one that began it gives up while it is prepared, Apply
// begins it anew; and if ctx of this one ends, it leaves the change to the other.
func (f *Fleet[K, V]) Apply(ctx context.Context, t Topology) (*Change, error) {
	if f.opts.MaxLife == 0 {
		return nil, option("Options.MaxLife", f.opts.MaxLife, "must be above 0 to change the topology")
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	now, err := f.latest(ctx)
	if err != nil {
		return nil, err
	}
	t = t.sorted()
	joins := now.Phase != PhaseSettled
	if joins {
		if now.Aborted || now.Topology.Digest() != t.Digest() {
			return nil, ErrChanging
		}
	} else if now, err = f.prepare(ctx, now, t); err != nil {
		return nil, err
	}
	from := now.Previous
	if now.Phase == PhasePrepare {
		if err = f.switchOver(ctx, now, joins); err != nil {
			return nil, err
		}
		if p := f.published.Load(); joins && p.Phase == PhaseSettled && p.Revision == now.Revision+1 {
			return f.Apply(ctx, t) // who began it has given up, and we have not
		}
	}
	c, err := f.changeTo(t, from)
	if err != nil {
		return nil, err
	}
	return c, f.await(ctx)
}

// changeTo returns the change to t, which others may have brought to its end meanwhile, or
// given up.
func (f *Fleet[K, V]) changeTo(t Topology, from *Topology) (*Change, error) {
	if c := f.change.Load(); c != nil && c.plan.To.Digest() == t.Digest() {
		return c, nil
	}
	now := f.published.Load()
	settled := &now.Topology
	if now.Previous != nil {
		settled = now.Previous // the next change has begun
	}
	if settled.Digest() != t.Digest() {
		return nil, ErrAborted
	}
	c := f.newChange(*from, t)
	close(c.done)
	return c, nil
}

func (f *Fleet[K, V]) newChange(from, to Topology) *Change {
	c := &Change{done: make(chan struct{})}
	c.plan, _ = NewPlan(from, to) // both are valid
	c.abort = func(ctx context.Context) error { return f.abort(ctx, c) }
	return c
}

// latest returns what is in force, after a look at the Epochs.
func (f *Fleet[K, V]) latest(ctx context.Context) (Published, error) {
	if f.closed.Load() {
		return Published{}, ErrClosed
	}
	if f.epoch != nil {
		if err := f.epoch.renew(ctx); err != nil {
			return Published{}, err
		}
	}
	return *f.published.Load(), nil
}

// prepare opens what is new and publishes that t is to come.
func (f *Fleet[K, V]) prepare(ctx context.Context, now Published, t Topology) (Published, error) {
	if err := now.Topology.permits(t); err != nil {
		return now, err
	}
	if err := f.openFor(ctx, t); err != nil {
		return now, err
	}
	next := now.next(PhasePrepare)
	next.Previous, next.Topology = &now.Topology, t
	ok, err := f.publish(ctx, next)
	if err == nil && !ok {
		err = ErrChanging
	}
	if err != nil {
		f.closeUnused()
		return now, err
	}
	return next, nil
}

// permits returns why t cannot come after the topology before.
func (before Topology) permits(t Topology) error {
	if t.Epoch <= before.Epoch {
		return option("Topology.Epoch", t.Epoch, fmt.Sprintf("must be above %d, that of the topology in force", before.Epoch))
	}
	shards := map[string]Shard{}
	for _, s := range before.Shards {
		shards[s.ID] = s
	}
	for i, s := range t.Shards {
		was, stays := shards[s.ID]
		field := fmt.Sprintf("Topology.Shards[%d].", i)
		switch {
		case !stays:
		case was.Addr != s.Addr:
			return option(field+"Addr", fmt.Sprintf("%q", s.Addr),
				fmt.Sprintf("must be %q as before: another server is another shard, with an ID of its own", was.Addr))
		case was.group() != s.group():
			return option(field+"Group", fmt.Sprintf("%q", s.Group),
				fmt.Sprintf("must be %q as before: the shard holds the keys of that group", was.group()))
		case was.Zone != "" && was.Zone != s.Zone:
			return option(field+"Zone", fmt.Sprintf("%q", s.Zone), fmt.Sprintf("must be %q as before", was.Zone))
		}
	}
	return nil
}

// switchOver publishes the switch when every process has prepared. If ctx ends before
// that, nobody has read by the new topology, and the old one can stay. A call that joins a
// change does not take it back: who began it is still at it, or it is given up by itself.
func (f *Fleet[K, V]) switchOver(ctx context.Context, now Published, joins bool) error {
	err := f.await(ctx)
	next := now.next(PhaseSwitch)
	if err != nil {
		if joins {
			return err
		}
		next.Aborted = true
		next = next.next(PhaseSettled)
		next.Revision = now.Revision + 1
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.opts.EpochLife)
		defer cancel()
		_, failed := f.publish(bound, next)
		return errors.Join(err, failed)
	}
	ok, err := f.publish(ctx, next)
	if err == nil && !ok {
		_, err = f.latest(ctx) // somebody else has gone on
	}
	return err
}

// await waits until every process goes by what was published last.
func (f *Fleet[K, V]) await(ctx context.Context) error {
	if f.epoch == nil {
		return nil
	}
	timer := time.NewTimer(f.epoch.grace())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-f.ended:
		return ErrClosed
	}
}

// publish publishes what follows the last publication, and puts it into force here.
func (f *Fleet[K, V]) publish(ctx context.Context, next Published) (ok bool, err error) {
	if f.epoch == nil {
		return f.adopted(ctx, next, next.Revision-1)
	}
	asked := f.epoch.now()
	ok, err = bounded.Do(ctx, func(ctx context.Context) (bool, error) {
		return f.epoch.epochs.Publish(ctx, next.Revision-1, next)
	})
	if err != nil {
		return false, fmt.Errorf("fleet: Options.Epochs: %w", err)
	}
	if ok {
		if err = f.adopt(ctx, next); err == nil {
			f.epoch.extend(asked)
		}
	}
	return ok, err
}

// adopt puts p into force, unless it is.
func (f *Fleet[K, V]) adopt(ctx context.Context, p Published) error {
	_, err := f.adopted(ctx, p, 0)
	return err
}

// adopted is adopt and, if after is not zero, only of what follows that revision.
func (f *Fleet[K, V]) adopted(ctx context.Context, p Published, after uint64) (ok bool, err error) {
	if err := f.turn(ctx); err != nil {
		return false, err
	}
	defer f.endTurn()
	now := f.published.Load()
	switch {
	case f.closed.Load():
		return false, ErrClosed
	case after != 0 && after != now.Revision: // also if it is the next one, which is another's
		return false, nil
	case p.Revision == now.Revision:
		return true, nil
	case p.Revision < now.Revision:
		return false, fmt.Errorf("%w: revision %d was published after revision %d", ErrEpochUnknown, p.Revision, now.Revision)
	}
	placed, err := f.placement(ctx, p)
	if err != nil {
		return false, err
	}
	f.put(p, placed)
	return true, nil
}

// placement returns what p says, with all its shards open.
func (f *Fleet[K, V]) placement(ctx context.Context, p Published) (*placement[K, V], error) {
	placed := &placement[K, V]{phase: p.Phase, begin: time.Now(), replaced: make(chan struct{})}
	placed.since = placed.begin
	if f.epoch != nil {
		placed.since = f.epoch.asked()
	}
	var err error
	if placed.layout, err = f.lay(ctx, p.Topology); err != nil || p.Phase == PhaseSettled {
		if err == nil {
			placed.all = f.flat(p.Topology, placed.layout)
			placed.own()
		}
		return placed, err
	}
	if placed.other, err = f.lay(ctx, *p.Previous); err != nil {
		return nil, err
	}
	all := p.Topology
	for _, s := range p.Previous.Shards {
		if _, stays := placed.layout.at[s.ID]; !stays {
			all.Shards = append(slices.Clip(all.Shards), s)
		}
	}
	placed.all = f.flat(all.sorted(), nil)
	f.mix(placed, p)
	placed.own()
	if p.Phase == PhasePrepare {
		placed.layout, placed.other = placed.other, placed.layout
	}
	return placed, nil
}

// put puts placed into force. The caller has the turn.
func (f *Fleet[K, V]) put(p Published, placed *placement[K, V]) {
	change := f.change.Load()
	if change == nil && (p.Phase == PhaseSwitch || p.Phase == PhaseClose) {
		change = f.newChange(*p.Previous, p.Topology)
		f.change.Store(change)
	}
	before := f.placed.Load()
	f.published.Store(&p)
	f.placed.Store(placed)
	close(before.replaced)
	f.ward.reckon()
	f.goOnLater(p)
	if p.Phase != PhaseSettled {
		return
	}
	if change != nil {
		f.endChange(change, p)
	}
	f.closeUnusedInTurn()
}

// endChange tells who waits for a change that p is what came of it.
func (f *Fleet[K, V]) endChange(c *Change, p Published) {
	if !f.change.CompareAndSwap(c, nil) {
		return
	}
	switch {
	case p.Revision == 0:
		c.err = ErrClosed
	case p.Topology.Digest() != c.plan.To.Digest():
		c.err = ErrAborted
	}
	close(c.done)
}

// abort publishes that the old topology is to hold again.
func (f *Fleet[K, V]) abort(ctx context.Context, c *Change) error {
	now, err := f.latest(ctx)
	switch {
	case err != nil:
		return err
	case now.Phase != PhaseSwitch || f.change.Load() != c:
		return ErrTooLate
	case len(ejected(*now.Previous, now.Topology)) > 0:
		return ErrTooLate
	}
	next := now.next(PhasePrepare)
	next.Aborted = true
	ok, err := f.publish(ctx, next)
	switch {
	case err != nil:
		return err
	case !ok:
		return ErrTooLate
	}
	return f.await(ctx)
}

// goOnLater goes on with a change when what it waits for has passed. Every process
// does, and the first one is the one: that which began it may have ended. So a change
// that was prepared, and then forgotten, is given up.
func (f *Fleet[K, V]) goOnLater(p Published) {
	grace := time.Duration(0)
	if f.epoch != nil {
		grace = f.epoch.grace()
	}
	lifeAnd := f.opts.MaxLife + min(grace, math.MaxInt64-f.opts.MaxLife)
	switch {
	case p.Phase == PhaseSettled, p.Phase == PhasePrepare && !p.Aborted && f.epoch == nil:
		f.wake.stop()
	case p.Phase == PhasePrepare && !p.Aborted:
		p.Aborted = true
		f.wake.after(3*grace, func() { f.goOn(p, PhaseSettled) })
	case p.Phase == PhaseClose && p.Early: // who migrates ends it, unless it has died
		f.wake.after(lifeAnd, func() { f.goOn(p, PhaseSettled) })
	case p.Phase == PhaseClose:
		f.wake.after(grace, func() { f.goOn(p, PhaseSettled) })
	case p.Phase == PhaseSwitch && f.epoch != nil:
		f.wake.after(lifeAnd, func() { f.goOn(p, PhaseClose) })
	default:
		f.wake.after(lifeAnd, func() { f.goOn(p, PhaseSettled) })
	}
}

// goOn publishes the phase after p, again and again until that or something else is.
func (f *Fleet[K, V]) goOn(p Published, phase Phase) {
	ctx, cancel := context.WithTimeout(context.Background(), f.opts.EpochLife)
	defer cancel()
	ok, err := f.publish(ctx, p.next(phase))
	if err == nil && !ok && f.epoch != nil {
		err = f.epoch.renew(ctx) // somebody else has gone on
	}
	if err != nil && !errors.Is(err, ErrClosed) {
		f.opts.Hooks.changeError(ctx, Shard{}, err)
		f.wake.after(f.opts.EpochLife, func() { f.goOn(p, phase) })
	}
}

// windowEnd is until when what is stored by the old topology may live: not for longer
// than the change lasts, which began before this process may have heard of it.
func (f *Fleet[K, V]) windowEnd() time.Time { return f.placed.Load().windowEnd(f.opts.MaxLife) }

func (p *placement[K, V]) windowEnd(maxLife time.Duration) time.Time { return p.since.Add(maxLife) }
