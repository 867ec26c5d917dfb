package fleet

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// ward knows which shards of a fleet are out. A call of a shard that is well comes
// past no lock of it.
type ward struct {
	opts HealthOptions // complete
	tell func(ctx context.Context, e HealthChange)
	all  func() []*vitals // of the shards in force
	base time.Time

	maxLife time.Duration // Options.MaxLife

	life   context.Context // of probes
	end    context.CancelFunc
	probes sync.WaitGroup

	mu   sync.Mutex
	over bool // guarded by mu; no probe begins any more
}

func newWard(opts HealthOptions, tell func(context.Context, HealthChange), all func() []*vitals) *ward {
	w := &ward{opts: opts.withDefaults(), tell: tell, all: all, base: time.Now()}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// stop ends the probes under way.
func (w *ward) stop() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.end()
	w.probes.Wait()
}

func (w *ward) now() int64 { return int64(time.Since(w.base)) }

// vitals are how one shard is.
type vitals struct {
	shard Shard
	ward  *ward

	// flags are what a call has to mind. A call of a shard in memory that is well
	// finds none, and this is all that it looks at.
	flags   atomic.Uint32
	latency atomic.Int64 // mean, of a far shard
	due     atomic.Int64 // as ward.now; when the next probe may begin
	probing atomic.Bool

	self identity
	warm warmth

	// These are guarded by ward.mu.
	state     State
	since     time.Time
	said      bool // of the last change that is told, whether the shard was out
	untold    []untold
	telling   bool // somebody tells them
	held      bool
	failures  [kinds]int // in a row
	successes int        // of probes, in a row
	pause     time.Duration
	back      int64 // when it was last asked again
	outs      uint64
	err       error
}

// The flags.
const (
	flagOut     = 1 << iota // it is not read
	flagFailing             // the last read, or the last write, failed
	flagNew                 // no call has ended since it is left to itself
	flagTimed               // its calls are timed
	flagSlow                // these take long
	flagFenced              // some of what it holds is fenced
	flagWarming             // it holds less than it did
)

// kind is what of a shard's calls counts by itself: a server that only reads, such as
// a replica, fails no read.
type kind uint8

const (
	aRead kind = iota
	aWrite
	ofAll // a call over all shards, of which nobody knows what it does
	kinds
)

const never = math.MaxInt64

func newVitals(s Shard) vitals { return vitals{shard: s, since: time.Now()} }

// admit has w know the shard. It comes before any call.
func (v *vitals) admit(w *ward, timed bool) {
	v.ward = w
	v.self.due.Store(never)
	if v.self.asks != nil && timed && !w.opts.KeepOld {
		v.self.due.Store(doubtful)
	}
	v.flags.Store(flagNew)
	if timed {
		v.flags.Store(flagNew | flagTimed)
	}
}

func (v *vitals) out() bool { return v.flags.Load()&flagOut != 0 }

func (v *vitals) setFlag(flag uint32, on bool) {
	if on {
		v.flags.Or(flag)
	} else {
		v.flags.And(^flag)
	}
}

func (v *vitals) health() ShardHealth {
	v.ward.mu.Lock()
	h := ShardHealth{
		Shard: v.shard, State: v.state, Since: v.since, Out: v.out(), Held: v.held, Err: v.err,
		Failures: v.mostLocked(), Outs: v.outs, Latency: time.Duration(v.latency.Load()), HitRate: v.warm.hitRate(),
	}
	v.ward.mu.Unlock()
	v.self.health(&h)
	return h
}

// mostLocked is how many calls of a kind failed in a row.
func (v *vitals) mostLocked() int { return slices.Max(v.failures[:]) }

// ended takes note of a call, of which took is below zero if it was not timed. It reports
// whether the error is a failure of the shard. Of one that is out only the probes say how
// it is.
func (v *vitals) ended(ctx context.Context, k kind, took time.Duration, err error) (failed bool) {
	fault := v.fault(ctx, took, err)
	switch {
	case v.out():
		return fault != NoFault
	case fault != NoFault:
		v.failed(ctx, k, fault, err)
		return true
	case err == nil:
		v.succeeded(ctx, k, took)
	}
	return false
}

// endedOfAll takes note of a call over all shards. How long it took says nothing, since
// it may be a long one; nor does a panic, or the end of the goroutine, which is that of the
// function it was given.
func (v *vitals) endedOfAll(ctx context.Context, took time.Duration, err error) {
	flags := v.flags.Load()
	if panicked := (*corral.PanicError)(nil); flags&flagOut != 0 || errors.As(err, &panicked) || errors.Is(err, bounded.ErrGoexit) {
		return
	}
	if flags&flagTimed == 0 {
		took = -1
	}
	switch fault := v.fault(ctx, took, err); {
	case fault != NoFault:
		v.failed(ctx, ofAll, fault, err)
	case err == nil:
		v.succeeded(ctx, ofAll, -1)
	}
}

// fault says what the error of a call says of the shard. took is below zero if nobody
// knows: a deadline then says nothing, for a shard in memory answers at once.
func (v *vitals) fault(ctx context.Context, took time.Duration, err error) Fault {
	switch {
	case err == nil:
		return NoFault
	case ctx.Err() != nil:
		if errors.Is(ctx.Err(), context.DeadlineExceeded) && took >= v.ward.opts.Late {
			return SoftFault
		}
		return NoFault
	}
	return v.classify(err)
}

// classify calls the user's function, of which a panic is a soft fault.
func (v *vitals) classify(err error) (f Fault) {
	f = SoftFault
	var panicked error
	defer bounded.Recover("Options.Health.Classify", &panicked)
	return v.ward.opts.Classify(err)
}

// failed counts a failure.
func (v *vitals) failed(ctx context.Context, k kind, f Fault, err error) {
	w := v.ward
	v.self.doubt()
	w.mu.Lock()
	v.err = err
	if v.failures[k]++; f == HardFault {
		v.failures[k] = max(v.failures[k], w.opts.Failures)
	}
	v.setFlag(flagFailing, true)
	if v.failures[k] >= w.opts.Failures && !v.out() && !v.held && !w.opts.Off {
		if v.roomLocked() {
			v.putOutLocked()
		}
		v.changeLocked(ctx, StateUnhealthy, err)
	}
	w.mu.Unlock()
	v.tellChanges()
}

// succeeded takes note of a call that went well.
func (v *vitals) succeeded(ctx context.Context, k kind, took time.Duration) {
	turns := took >= 0 && v.learn(took)
	if v.flags.Load()&(flagFailing|flagNew) == 0 && !turns {
		return
	}
	w := v.ward
	w.mu.Lock()
	v.failures[k] = 0
	v.setFlag(flagFailing, v.mostLocked() > 0)
	v.setFlag(flagNew, false)
	if !v.out() && !v.held && v.mostLocked() < w.opts.Failures {
		v.changeLocked(ctx, v.wellLocked(), nil)
	}
	w.mu.Unlock()
	v.tellChanges()
}

// wellLocked is the state of a shard whose calls go well.
func (v *vitals) wellLocked() State {
	switch flags := v.flags.Load(); {
	case flags&flagSlow != 0:
		return StateDegraded
	case flags&flagWarming != 0:
		return StateWarming
	}
	return StateHealthy
}

// learn adds a call to the mean, and reports whether the shard has become slow by it,
// or is no longer. Of two calls that end together one may not count.
func (v *vitals) learn(took time.Duration) (turns bool) {
	mean := v.latency.Load()
	if mean == 0 {
		mean = int64(took)
	} else {
		mean += (int64(took) - mean) / 8
	}
	v.latency.Store(max(mean, 1))
	slow := v.flags.Load()&flagSlow != 0
	limit := v.ward.opts.Slow
	if slow {
		limit /= 2
	}
	if turns = (time.Duration(mean) >= limit) != slow; turns {
		v.setFlag(flagSlow, !slow)
	}
	return turns
}

// putOutLocked puts the shard out.
func (v *vitals) putOutLocked() {
	opts, now := &v.ward.opts, v.ward.now()
	if v.outs > 0 && now-v.back < int64(opts.MaxPause) { // it flaps
		v.pause = min(2*v.pause, opts.MaxPause)
	} else {
		v.pause = opts.MinPause
	}
	v.outs++
	v.successes = 0
	v.due.Store(now + int64(shortened(v.pause)))
	v.setFlag(flagOut, true)
}

// shortened spreads the probes of processes that put a shard out at the same time.
func shortened(pause time.Duration) time.Duration {
	return pause - rand.N(pause/5+1)
}

// returnLocked has the shard asked again.
func (v *vitals) returnLocked() {
	v.failures = [kinds]int{}
	v.back = v.ward.now()
	v.latency.Store(0)
	v.coolLocked()
	v.flags.And(^uint32(flagOut | flagFailing | flagNew | flagSlow))
}

// startProbe starts the probe that is due, unless somebody else has.
func (v *vitals) startProbe(probe, readmit func(ctx context.Context) error) {
	if !v.probing.CompareAndSwap(false, true) {
		return
	}
	w := v.ward
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.now() < v.due.Load() {
		v.probing.Store(false)
		return
	}
	w.probes.Go(func() {
		defer v.probing.Store(false)
		v.probe(probe, readmit)
	})
}

// probe asks the shard whether it is well, and has it asked again when it was often
// enough.
func (v *vitals) probe(probe, readmit func(ctx context.Context) error) {
	w := v.ward
	err := v.try(probe)
	w.mu.Lock()
	enough := err == nil && v.successes+1 >= w.opts.Successes
	w.mu.Unlock()
	if enough {
		err = readmit(w.life)
	}
	if w.life.Err() != nil {
		return
	}
	w.mu.Lock()
	switch now := w.now(); {
	case v.held || !v.out(): // an operator was faster
	case err != nil:
		v.err, v.successes = err, 0
		v.pause = min(2*v.pause, w.opts.MaxPause)
		v.due.Store(now + int64(shortened(v.pause)))
	case enough:
		v.returnLocked()
		v.changeLocked(w.life, v.wellLocked(), nil)
	default:
		v.successes++
		v.due.Store(now + int64(w.opts.MinPause/10))
	}
	w.mu.Unlock()
	v.tellChanges()
}

// try makes one probe. What is no fault is well.
func (v *vitals) try(probe func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(v.ward.life, v.ward.opts.ProbeTimeout)
	defer cancel()
	_, err := bounded.Do(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, probe(ctx) })
	if err != nil && ctx.Err() == nil && v.classify(err) == NoFault {
		return nil
	}
	return err
}

// hold has the shard be as an operator says. readmit comes before a shard that was out
// is asked again.
func (v *vitals) hold(ctx context.Context, s State, readmit func(ctx context.Context) error) error {
	if s == StateHealthy {
		if err := readmit(ctx); err != nil {
			return err
		}
	}
	w := v.ward
	w.mu.Lock()
	v.held = s != StateUnknown
	v.setFlag(flagNew, !v.held) // the next call says how it is: meanwhile nobody has
	switch {
	case s == StateUnhealthy:
		if !v.out() {
			v.putOutLocked()
		}
		v.due.Store(never)
		v.changeLocked(ctx, StateUnhealthy, nil)
	case s == StateHealthy:
		v.returnLocked()
		v.setFlag(flagWarming, false)
		v.changeLocked(ctx, StateHealthy, nil)
	case v.out():
		v.successes = 0
		v.due.Store(w.now())
	}
	w.mu.Unlock()
	v.tellChanges()
	return nil
}
