package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"
)

// ErrNotChanging is what [Migrate] gets while there is nothing to migrate: no change of
// the topology, or none that has been switched over to and goes on.
var ErrNotChanging = errors.New("fleet: no change of the topology to migrate for")

// MigrateOptions are those of [Migrate]. The zero value is ready to use.
type MigrateOptions struct {
	// Checkpoints is where the migration notes how far it has come, after each page of
	// a shard, and from where it goes on. Nil begins anew each time, which does again
	// what was done but changes nothing.
	Checkpoints Checkpoints

	// Workers is how many batches are copied at a time at most, 1 to 256; zero is 4.
	Workers int

	// Batch is how many keys are copied together at most, 1 to 4,096; zero is 128.
	Batch int

	// Latency is what a batch may take. Those that take longer halve the number of
	// batches at a time, down to one with pauses before it, and each that does not
	// adds to it. Zero is 50 ms, and a minute the most.
	Latency time.Duration

	// BytesPerSecond bounds what is copied, by Size. Zero is no bound.
	BytesPerSecond int64

	// Size returns how large a value of the fleet's V is. Nil counts what is text or bytes, and BytesPerSecond
	// needs one for values of another type.
	Size func(value any) int

	// Equal reports whether a value that was copied is the one that it was copied
	// from. Nil is reflect.DeepEqual.
	Equal func(a, b any) bool

	// KeepWindow has the change go on until Options.MaxLife is over, as without a
	// migration, so that it can be aborted.
	KeepWindow bool

	// Progress is told how far the migration has come, once a second at most, and by
	// one call at a time. A panic in it is recovered, and counts in Stats.HookPanics.
	Progress func(Report)
}

const (
	maxWorkers     = 256
	maxBatch       = 4096
	defaultWorkers = 4
	defaultBatch   = 128
	defaultPace    = 50 * time.Millisecond
)

// complete returns o with its defaults, for values of V.
func complete[V any](o MigrateOptions) (MigrateOptions, error) {
	switch {
	case o.Workers < 0 || o.Workers > maxWorkers:
		return o, option("MigrateOptions.Workers", o.Workers, fmt.Sprintf("must be 0 (%d) to %d", defaultWorkers, maxWorkers))
	case o.Batch < 0 || o.Batch > maxBatch:
		return o, option("MigrateOptions.Batch", o.Batch, fmt.Sprintf("must be 0 (%d) to %d", defaultBatch, maxBatch))
	case o.Latency < 0 || o.Latency > maxPageLatency:
		return o, option("MigrateOptions.Latency", o.Latency, fmt.Sprintf("must be 0 (%v) to %v", defaultPace, maxPageLatency))
	case o.BytesPerSecond < 0:
		return o, option("MigrateOptions.BytesPerSecond", o.BytesPerSecond, "must not be below 0")
	case o.BytesPerSecond > 0 && o.Size == nil && !hasLength[V]():
		return o, option("MigrateOptions.Size", "nil", "required with BytesPerSecond unless values are text or bytes")
	}
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.Latency == 0 {
		o.Latency = defaultPace
	}
	if o.Size == nil {
		o.Size = lengthOf
	}
	if o.Equal == nil {
		o.Equal = reflect.DeepEqual
	}
	if isNil(o.Checkpoints) {
		o.Checkpoints = &MemoryCheckpoints{}
	}
	return o, nil
}

func hasLength[V any]() bool {
	var v V
	switch any(v).(type) {
	case string, []byte:
		return true
	}
	return false
}

func lengthOf(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 0
}

// Report is what came of a [Migrate], or is there so far.
type Report struct {
	ShardReport // of all shards together

	// Shards are those that were scanned, by ID: all of the old topology but the
	// NotScannable.
	Shards map[string]ShardReport

	// NotScannable are, with the reason, those that cannot be: what moves from them is
	// copied as it is asked for, until Options.MaxLife is over.
	NotScannable map[string]error

	// Swept is how many keys were deleted where they had been left, when nobody could
	// ask for them there any more.
	Swept int

	// Ended says that the change is over, before its time.
	Ended bool

	Took time.Duration
}

// ShardReport is what of a [Report] is about one shard: the keys that its scan visited,
// each of which is Stayed, Copied, Present, Skipped, Mismatched or Failed.
type ShardReport struct {
	Stayed     int   // they do not move
	Copied     int   // and found again as they were
	Present    int   // they were at the new owner before
	Skipped    int   // they were written, loaded, or gone, or the new owner would not keep them
	Mismatched int   // they were another value when they were read back, and were deleted at the new owner
	Failed     int   // a shard had an error for them alone
	Retired    int   // of these, so many were deleted at the old owner
	Bytes      int64 // of the copied, by MigrateOptions.Size
	Done       bool  // the scan got to its end
}

func (r *ShardReport) add(o ShardReport) {
	r.Stayed += o.Stayed
	r.Copied += o.Copied
	r.Present += o.Present
	r.Skipped += o.Skipped
	r.Mismatched += o.Mismatched
	r.Failed += o.Failed
	r.Retired += o.Retired
	r.Bytes += o.Bytes
}

// Migrate brings over what moves in the change that [Fleet.Apply] has switched to, in
// place of the calls that ask for it, and then ends the change: the old shards are
// needed no longer. It works on while the fleet is in use; one process of those that
// share the shards runs it, and it does no harm if several do.
//
// It scans the shards of the old topology, and of each key that moves it does what a
// call does that misses it: it gets the lease of the new shard, reads the old one, and
// stores, so that nothing comes back that is deleted meanwhile. What it stored it reads
// back, and what is as it was it deletes at the old shard, unless somebody loads or has
// written it there.
//
// When all shards were scanned and no key failed, the change closes, and when every
// process goes by that, what was left at the old shards is deleted, and the change is
// over. Until then it can be aborted, but what was deleted at the old shards by then
// has to be loaded again.
//
// The error is [ErrNotChanging]; a [*corral.OptionError] for options that cannot work;
// a [*CheckpointError]; what ended ctx; [ErrAborted] if the change was; or
// [*ShardErrors] for shards that failed, of which what is left is copied as it is asked
// for. In all these cases the Report says what was done, and another Migrate, also of
// another process, goes on from the checkpoint. Each step can be repeated.
func Migrate[K comparable, V any](ctx context.Context, f *Fleet[K, V], opts MigrateOptions) (Report, error) {
	opts, err := complete[V](opts)
	switch {
	case f == nil:
		return Report{}, cmp.Or(err, option("Migrate: f", "nil", "required"))
	case err != nil:
		f.migrated(ctx, Report{}, err)
		return Report{}, err
	}
	g := &migration[K, V]{fleet: f, opts: opts, pace: newPace(opts.Workers, opts.Latency, opts.BytesPerSecond), start: time.Now()}
	g.told.Store(g.start.UnixNano())
	err = g.run(ctx)
	r := g.report()
	f.migrated(ctx, r, err)
	return r, err
}

// migrated tells how a migration ended.
func (f *Fleet[K, V]) migrated(ctx context.Context, r Report, err error) {
	e := End{Op: OpMigrate, Outcome: outcomeOf(ctx, err), Err: err, Took: r.Took, Shards: len(r.Shards) + len(r.NotScannable), Items: r.Copied}
	var failed *ShardErrors
	if errors.As(err, &failed) {
		e.Failed = len(failed.Errors)
	}
	f.tellEnd(ctx, e)
}

// report returns what there is so far.
func (g *migration[K, V]) report() Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := Report{Shards: maps.Clone(g.at.Shards), NotScannable: maps.Clone(g.lazy), Swept: g.swept, Ended: g.ended, Took: time.Since(g.start)}
	r.Done = len(r.Shards) > 0
	for _, s := range r.Shards {
		r.add(s)
		r.Done = r.Done && s.Done
	}
	return r
}

// progress tells the user, unless that was a moment ago.
func (g *migration[K, V]) progress() {
	last, now := g.told.Load(), time.Now().UnixNano()
	if g.opts.Progress == nil || now-last < int64(time.Second) || !g.told.CompareAndSwap(last, now) {
		return
	}
	if !g.telling.TryLock() {
		return
	}
	defer g.telling.Unlock()
	tell(context.Background(), g.fleet, func(_ context.Context, r Report) { g.opts.Progress(r) }, g.report())
}
