package corral

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/flight"
)

// BulkLoadFunc fetches the values of several keys from the source at once. Keys
// that it leaves out of the map are absent. If it fails for some keys only, it
// returns the others' values beside a [*KeyErrors] that names these: a key named
// there with an error has failed, whatever the map has for it. Any other error,
// also one that wraps a KeyErrors or joins several, is that of every key that is not
// in the map nor named. [ErrNotModified] keeps a key's previous value. The keys are
// different ones, and the slice is the load's to keep and change. It must not write
// to the map once it has returned. Its context has the values of the caller that came
// first and an end of its own, see [Options].LoadTimeout; with it, [FromContextKey]
// finds the [Control] of each key.
type BulkLoadFunc[K comparable, V any] func(ctx context.Context, keys []K) (map[K]V, error)

// BatchOptions says how [NewBatcher] collects keys. The zero value works.
type BatchOptions struct {
	// Window is how long a batch waits for further keys after its first. Zero is
	// 1 ms.
	Window time.Duration

	// MaxKeys is how many keys make a batch that waits no longer. Zero is 100.
	MaxKeys int
}

const (
	defaultWindow  = time.Millisecond
	defaultMaxKeys = 100
)

// NewBatcher makes a bulk load a [LoadFunc]: keys that are loaded at about the
// same time are handed to one call of load. It needs nothing of the Loader, which
// is given the LoadFunc like any other: each key has one of its MaxLoads and
// MaxRefreshes, also while its batch waits for further keys, so that a batch gets no
// more keys than these allow.
//
// A call of the LoadFunc whose context ends before load begins takes its key out of
// the batch. Later, a call made outside of loads still leaves at once; one made
// inside a load, as by a Loader, waits until load has returned, for what a load
// began must not outlive it: the Loader would load the key twice at the same time,
// and its Close would not wait. Callers of the Loader leave on their own contexts,
// and at the LoadTimeout, all the same. The context of load has the values of the
// first call, or of another one if that has left, and ends when that of every call
// for it has, with the cause of the last.
//
// Inside load, [FromContextKey] finds each key's own control. Two loads of one key
// with two controls, as of two Loaders, are never in one batch: the later one starts
// the first one's batch at once and opens another. If load panics, or its error does
// when it is unwrapped, all keys get a [*PanicError], if it calls runtime.Goexit,
// [ErrGoexit]. A load that asks a Loader for a key that this same call loads waits
// for itself until the LoadTimeout.
//
// With options that cannot work, or a nil load, every call of the LoadFunc
// returns an [*OptionError]. A nil context is an error, a key that no map can find
// again [ErrInvalidKey].
func NewBatcher[K comparable, V any](load BulkLoadFunc[K, V], opts BatchOptions) LoadFunc[K, V] {
	if err := opts.check(load != nil); err != nil {
		return func(context.Context, K) (v V, _ error) { return v, err }
	}
	b := &batcher[K, V]{
		load:    load,
		window:  orDefault(opts.Window, defaultWindow),
		maxKeys: orDefault(opts.MaxKeys, defaultMaxKeys),
	}
	return b.call
}

func (o BatchOptions) check(load bool) error {
	switch {
	case !load:
		return &OptionError{"the bulk load", nil, "it may not be nil"}
	case o.Window < 0:
		return &OptionError{"BatchOptions.Window", o.Window, "it may not be negative"}
	case o.MaxKeys < 0:
		return &OptionError{"BatchOptions.MaxKeys", o.MaxKeys, "it may not be negative"}
	}
	return nil
}

type batcher[K comparable, V any] struct {
	load    BulkLoadFunc[K, V]
	window  time.Duration
	maxKeys int

	mu   sync.Mutex
	open *batch[K, V] // collects keys; nil if none does; guarded by mu
}

// batch is one call of the bulk load.
type batch[K comparable, V any] struct {
	context.Context // the load's, once it has begun; see Value
	cancel          context.CancelCauseFunc
	timer           *time.Timer

	keys    []K           // not changed once the batch is no longer open
	seats   map[K]*seat   // one for each of the keys; likewise
	waiting int           // calls whose context has not ended; guarded by batcher.mu
	done    chan struct{} // closed once what follows is set
	values  map[K]V
	failed  map[K]error // what the load said of keys
	err     error       // of every other key that has no value
}

// seat is a key's place in a batch.
type seat struct {
	at      int       // in batch.keys
	control decider   // that the load finds for the key; nil if there is none
	callers []*caller // that wait, while the batch is open; not changed after; the first to come in front
}

// caller is who waits for a key of a batch.
type caller struct{ ctx context.Context }

// first returns the context of the caller that came first of those that wait.
func (s *seat) first() context.Context { return s.callers[0].ctx }

// decider is a [Control] of any values: a Loader may hold others than the batch
// loads. Nobody else has the method, so two of them can be compared.
type decider interface {
	decided(otherwise time.Duration) (ttl time.Duration, store bool)
}

// Value knows the control of each key of the batch, and else what the context of
// the caller knows that came first.
func (b *batch[K, V]) Value(key any) any {
	if key == (controlKey{}) {
		return nil // not that of the caller that came first
	}
	if k, ok := key.(controlOf[K]); ok {
		if s := b.seats[k.key]; s != nil {
			return s.first().Value(key)
		}
	}
	return b.Context.Value(key)
}

// call is the LoadFunc.
func (b *batcher[K, V]) call(ctx context.Context, key K) (v V, err error) {
	switch {
	case ctx == nil:
		return v, errNilContext
	case !flight.Usable(key):
		return v, ErrInvalidKey
	case ctx.Err() != nil:
		return v, context.Cause(ctx)
	}
	me := &caller{ctx}
	mine := b.join(me, key)
	select {
	case <-mine.done:
	case <-ctx.Done():
		cause := context.Cause(ctx)
		if begun := b.leave(mine, me, key, cause); !begun || !flight.Nested(ctx) {
			return v, cause
		}
		<-mine.done
	}
	return mine.result(key)
}

func (b *batcher[K, V]) join(me *caller, key K) *batch[K, V] {
	control, _ := me.ctx.Value(controlOf[K]{key}).(decider)
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := b.open
	if mine != nil && !mine.takesLocked(key, control) {
		b.closeLocked(mine)
		mine = nil
	}
	if mine == nil {
		mine = b.openLocked()
	}
	mine.sitLocked(me, key, control)
	if len(mine.keys) >= b.maxKeys {
		b.closeLocked(mine)
	}
	return mine
}

func (b *batcher[K, V]) openLocked() *batch[K, V] {
	mine := &batch[K, V]{seats: map[K]*seat{}, done: make(chan struct{})}
	mine.timer = time.AfterFunc(b.window, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.closeLocked(mine)
	})
	b.open = mine
	return mine
}

// takesLocked reports whether what the load says of a key can reach this control.
func (b *batch[K, V]) takesLocked(key K, control decider) bool {
	s := b.seats[key]
	return s == nil || s.control == control
}

func (b *batch[K, V]) sitLocked(me *caller, key K, control decider) {
	s := b.seats[key]
	if s == nil {
		s = &seat{at: len(b.keys), control: control}
		b.seats[key] = s
		b.keys = append(b.keys, key)
	}
	s.callers = append(s.callers, me)
	b.waiting++
}

// riseLocked takes a caller off an open batch, and the key with its last one.
func (b *batch[K, V]) riseLocked(me *caller, key K) {
	s := b.seats[key]
	at := slices.Index(s.callers, me)
	if s.callers = slices.Delete(s.callers, at, at+1); len(s.callers) > 0 {
		return
	}
	last := len(b.keys) - 1
	moved := b.keys[last]
	b.keys[s.at], b.seats[moved].at = moved, s.at
	b.keys = b.keys[:last]
	delete(b.seats, key)
}

// closeLocked lets no further keys into the batch and starts its load.
func (b *batcher[K, V]) closeLocked(mine *batch[K, V]) {
	if b.open != mine {
		return
	}
	b.open = nil
	mine.timer.Stop()
	first := mine.seats[mine.keys[0]].first() // it still waits, unlike who opened the batch
	mine.Context, mine.cancel = context.WithCancelCause(context.WithoutCancel(first))
	go mine.run(b.load)
}

// leave takes a caller off the batch, and reports whether the load has begun. A
// batch without callers ends, and one that is still open starts no load.
func (b *batcher[K, V]) leave(mine *batch[K, V], me *caller, key K, cause error) (begun bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	begun = b.open != mine
	if !begun {
		mine.riseLocked(me, key)
	}
	if mine.waiting--; mine.waiting > 0 {
		return begun
	}
	if begun {
		mine.cancel(cause)
	} else {
		b.open = nil
		mine.timer.Stop()
	}
	return begun
}

// run calls the load. It guards what the error does, too, when it is looked into:
// this goroutine is nobody's.
func (b *batch[K, V]) run(load BulkLoadFunc[K, V]) {
	defer close(b.done)
	defer b.cancel(nil)
	returned := false
	defer func() {
		if !returned {
			b.values, b.failed, b.err = nil, nil, crash(recover())
		}
	}()
	values, err := load(b, b.keys)
	failed, rest := blamed(err, func(key K) bool { return b.seats[key] != nil })
	// The maps are the load's: they are read here, and never after.
	b.values, b.failed, b.err = maps.Clone(values), maps.Clone(failed), rest
	returned = true
}

// result returns what the load came to for key.
func (b *batch[K, V]) result(key K) (v V, err error) {
	if err := b.failed[key]; err != nil {
		return v, err
	}
	if v, ok := b.values[key]; ok {
		return v, nil
	}
	return v, b.err
}
