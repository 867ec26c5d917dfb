package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/corralcache/corral"
)

// State is how a shard is, as far as this process can tell.
type State uint8

// The states of a shard.
const (
	// StateUnknown is that of a shard of which no call has ended yet.
	StateUnknown State = iota

	// StateHealthy is when calls go well.
	StateHealthy

	// StateDegraded is when calls go well and take long, see HealthOptions.Slow. The
	// shard is asked all the same.
	StateDegraded

	// StateUnhealthy is when calls fail. The shard is out, unless too many others are:
	// see [ShardHealth].Out.
	StateUnhealthy

	// StateWarming is when a far shard is asked again after it was out, or has come
	// back as another incarnation, and has less of what is asked for than before. It
	// is healthy when its hit rate is half of what it was, or after MaxPause.
	StateWarming
)

// String returns the name of the state, as a metric would have it.
func (s State) String() string {
	if names := [...]string{"unknown", "healthy", "degraded", "unhealthy", "warming"}; int(s) < len(names) {
		return names[s]
	}
	return "no state"
}

// HealthOptions say when a shard is out. A shard that is out is not read: what is on it
// is loaded, and nobody waits for it. The user's own Set and Delete are still tried.
// The zero value is ready to use.
//
// Nothing runs for that while there are no calls. What calls come to is counted, and
// a call that finds a shard out, and its pause over, starts a probe in the background.
type HealthOptions struct {
	// Off turns all of it off, but for [Fleet.SetState] and the fence: no shard is put
	// out.
	Off bool

	// Failures is how many reads, how many writes, or how many calls over all shards
	// have to fail in a row until the shard is out. Zero is 3. A hard fault is enough by itself.
	Failures int

	// Classify says what an error of a shard says of that. A call that its context's
	// deadline ended is not asked about; see Late. Nil is [ClassifyFault].
	Classify func(err error) Fault

	// Late is how long a call of a far shard must have taken for the end of its
	// context's deadline to be a failure of the shard: who is in a hurry proves
	// nothing. Zero is 100 ms.
	Late time.Duration

	// Slow is the mean time of calls, the latest counting most, from which on a far
	// shard is degraded; it is no longer below half of that. Zero is 50 ms.
	Slow time.Duration

	// Probe asks a shard that is out whether it is well. cache is what [OpenFunc]
	// returned. An error that Classify takes for no fault is well, too. Nil is a Get of
	// the key that a caller has just asked for; of a corral.Layered in its far layer.
	Probe func(ctx context.Context, s Shard, cache any) error

	// ProbeTimeout is how long a probe may take. Zero is 1 s.
	ProbeTimeout time.Duration

	// Successes is how many probes have to go well in a row, a tenth of MinPause apart,
	// until the shard is asked again. Zero is 3.
	Successes int

	// MinPause is how long a shard is left alone when it is put out. Each probe that
	// fails doubles the pause, up to MaxPause; so does it if the shard is put out again
	// within MaxPause of its return. Each is shortened by up to a fifth, at random.
	// Zero is 10 s, and 60 s for MaxPause, or as far as the other one if that is beyond.
	MinPause, MaxPause time.Duration

	// Recheck is how often a shard that can tell which incarnation it is
	// ([corral.Incarnate]) is asked, in the background, while it is read. After a pause
	// of twice that, and after a failure, the next read waits for the answer. So it is
	// for about how long a store that came back old, without a failure, may serve what
	// was deleted. Zero is 1 s.
	Recheck time.Duration

	// KeepOld serves what a shard holds, whichever incarnation it is: for stores that
	// lose no write when they restart or fail over.
	KeepOld bool

	// Gutter keeps what is on a shard that is out at another one for a moment. The zero
	// value does not.
	Gutter GutterOptions
}

// Fault is what the error of a call says of the shard.
type Fault uint8

// The faults of a shard.
const (
	NoFault   Fault = iota // it says nothing of it
	SoftFault              // it is out after several
	HardFault              // it is out at once
)

// ClassifyFault is how errors are judged unless HealthOptions.Classify says otherwise.
// A refused connection is a hard fault. None are what a shard that is well says of a
// call: [corral.ErrUndecodable], [corral.ErrRefused], [corral.ErrLeaseLost],
// [*corral.OptionError], [*AbilityError]; and a context that was cancelled. Everything
// else is a soft one.
func ClassifyFault(err error) Fault {
	for _, well := range []error{corral.ErrUndecodable, corral.ErrRefused, corral.ErrLeaseLost, context.Canceled, ErrClosed, ErrEpochUnknown} {
		if errors.Is(err, well) {
			return NoFault
		}
	}
	var option *corral.OptionError
	var ability *AbilityError
	switch {
	case err == nil, errors.As(err, &option), errors.As(err, &ability):
		return NoFault
	case errors.Is(err, syscall.ECONNREFUSED):
		return HardFault
	}
	return SoftFault
}

// ErrUnhealthy is the error of a shard that was not asked because it is out. It wraps
// [corral.ErrNotAsked]: a Loader loads, and does not take the whole fleet for failing.
var ErrUnhealthy error = outError{}

type outError struct{}

func (outError) Error() string { return "fleet: the shard is out" }
func (outError) Unwrap() error { return corral.ErrNotAsked }

// ShardHealth is how a shard is.
type ShardHealth struct {
	Shard Shard
	State State
	Since time.Time // when it came into State

	// Out says that it is not read. A shard that is unhealthy is not out if half of all
	// shards are: more are never put out.
	Out bool

	// Held says that it is so by [Fleet.SetState].
	Held bool

	Err      error         // its last failure; nil for none
	Failures int           // in a row, of reads, writes or calls over all shards, whichever has most
	Outs     uint64        // how often it was put out
	Latency  time.Duration // mean time of its calls, the latest counting most; zero for a shard in memory

	// HitRate is how many reads of a far shard hit, of 1, the latest counting most.
	HitRate float64

	// Incarnation is which one the shard is ([corral.Incarnate]); empty if it cannot
	// tell, or nobody has asked yet. IncarnationErr is why it could not be asked.
	// Incarnations is how many others it was before, in this process's time; of many,
	// the last 16.
	Incarnation    string
	IncarnationErr error
	Incarnations   uint64

	// Fenced is how many keys are misses until they are deleted there, because a Set or
	// Delete of them failed. FencedAll says that they were too many, or that the shard
	// came back as another incarnation, and that everything is fenced that was loaded
	// before: of bare values until they are deleted, of entries until Options.MaxLife is
	// over, if there is one.
	Fenced    int
	FencedAll bool
}

// HealthChange is a change of a shard's state, or of its incarnation: then From and To
// may be the same.
type HealthChange struct {
	Shard    Shard
	From, To State
	Out      bool  // after it
	Err      error // the reason; nil if calls went well
}

// Health returns how the shards are, in order of their IDs; while the topology
// changes, those of both.
func (f *Fleet[K, V]) Health() []ShardHealth {
	shards := f.placed.Load().all
	all := make([]ShardHealth, len(shards.members))
	for i, m := range shards.members {
		all[i] = m.vitals.health()
		all[i].Shard = shards.topology.Shards[i]
		all[i].Fenced, all[i].FencedAll = m.fence.size()
	}
	return all
}

// SetState is how an operator decides over a shard, in this process.
//
//   - StateUnhealthy puts it out, whatever its calls come to and however many are
//     out: to drain it.
//   - StateHealthy has it asked, whatever its calls come to. If it does not tell which
//     incarnation it is ([corral.Incarnate]) and did before, what was loaded until now is
//     fenced, and from then on it is one that cannot tell.
//   - StateUnknown leaves the shard to itself again. If it is out, it is asked when
//     probes have gone well.
//
// The error is an [*corral.OptionError] for another state and for an ID that no shard
// has; [ErrClosed]; or, where a shard that is out is to be asked, why what is fenced
// there could not be deleted: then it stays out.
func (f *Fleet[K, V]) SetState(ctx context.Context, id string, s State) error {
	if f.closed.Load() {
		return ErrClosed
	}
	all := f.placed.Load().all
	i, known := all.at[id]
	switch {
	case !known:
		return option("SetState: id", fmt.Sprintf("%q", id), "must be the ID of a shard of the fleet")
	case s != StateUnhealthy && s != StateHealthy && s != StateUnknown:
		return option("SetState: s", s, "must be unhealthy, healthy or unknown")
	}
	return all.members[i].hold(ctx, s)
}

func (o HealthOptions) check() error {
	switch {
	case o.Failures < 0:
		return option("Options.Health.Failures", o.Failures, "must not be below 0 (3)")
	case o.Successes < 0:
		return option("Options.Health.Successes", o.Successes, "must not be below 0 (3)")
	case o.MaxPause != 0 && o.MaxPause < o.MinPause:
		return option("Options.Health.MaxPause", o.MaxPause, fmt.Sprintf("must be at least MinPause, %v", o.MinPause))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"Late", o.Late}, {"Slow", o.Slow}, {"Recheck", o.Recheck}, {"ProbeTimeout", o.ProbeTimeout}, {"MinPause", o.MinPause}, {"MaxPause", o.MaxPause},
	} {
		if d.value < 0 {
			return option("Options.Health."+d.name, d.value, "must not be below 0")
		}
	}
	return o.Gutter.check()
}

func (o HealthOptions) withDefaults() HealthOptions {
	o.Gutter = o.Gutter.withDefaults()
	if o.Classify == nil {
		o.Classify = ClassifyFault
	}
	for _, n := range []struct {
		field *int
		zero  int
	}{{&o.Failures, 3}, {&o.Successes, 3}} {
		if *n.field == 0 {
			*n.field = n.zero
		}
	}
	for _, d := range []struct {
		field *time.Duration
		zero  time.Duration
	}{
		{&o.Late, 100 * time.Millisecond}, {&o.Slow, 50 * time.Millisecond}, {&o.ProbeTimeout, time.Second},
		{&o.Recheck, time.Second}, {&o.MinPause, min(10*time.Second, cmp.Or(o.MaxPause, 10*time.Second))}, {&o.MaxPause, max(60*time.Second, o.MinPause)},
	} {
		if *d.field == 0 {
			*d.field = d.zero
		}
	}
	return o
}
