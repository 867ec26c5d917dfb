package corral

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"
)

// BulkLoadFunc fetches the values of several keys from the source at once. Keys
// that it leaves out of the map are absent. If it fails for some keys only, it
// returns the others' values beside a [*KeyErrors] that names these; any other
// error, also one that wraps a KeyErrors, is that of every key that is not in the
// map nor named. [ErrNotModified] keeps a key's previous value. It must not write
// to the map once it has returned. Its context has the values of the caller that
// came first and an end of its own; see [Options].LoadTimeout.
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
// is given the LoadFunc like any other.
//
// Each call waits on its own context; the context of load ends when every call
// that waits for it has left. If load panics, all of its keys get a
// [*PanicError], if it calls runtime.Goexit, [ErrGoexit]. Inside load,
// [FromContextKey] finds each key's own control. A load that asks a Loader for a
// key that this same call loads waits for itself until the LoadTimeout.
//
// With options that cannot work, or a nil load, every call of the LoadFunc
// returns an [*OptionError].
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
	context.Context // the load's; see Value
	cancel          context.CancelFunc
	timer           *time.Timer

	keys    []K                   // not changed once the batch is no longer open
	callers map[K]context.Context // the one that came first for each key; likewise
	waiting int                   // guarded by batcher.mu

	done   chan struct{} // closed once what follows is set
	values map[K]V
	failed map[K]error // what the load said of keys
	err    error       // of every other key that has no value
}

// Value knows the control of each key of the batch, and else what the context of
// the caller knows that came first.
func (b *batch[K, V]) Value(key any) any {
	if key == (controlKey{}) {
		return nil // not that of the caller that came first
	}
	if k, ok := key.(controlOf[K]); ok {
		if caller, ok := b.callers[k.key]; ok {
			return caller.Value(key)
		}
	}
	return b.Context.Value(key)
}

// call is the LoadFunc.
func (b *batcher[K, V]) call(ctx context.Context, key K) (v V, err error) {
	mine := b.join(ctx, key)
	select {
	case <-mine.done:
		return mine.result(key)
	case <-ctx.Done():
		b.leave(mine)
		return v, context.Cause(ctx)
	}
}

func (b *batcher[K, V]) join(ctx context.Context, key K) *batch[K, V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := b.open
	if mine == nil {
		mine = b.openLocked(ctx)
	}
	mine.waiting++
	if mine.callers[key] == nil {
		mine.callers[key] = ctx
		mine.keys = append(mine.keys, key)
	}
	if len(mine.keys) >= b.maxKeys {
		b.closeLocked(mine)
	}
	return mine
}

func (b *batcher[K, V]) openLocked(ctx context.Context) *batch[K, V] {
	mine := &batch[K, V]{callers: map[K]context.Context{}, done: make(chan struct{})}
	mine.Context, mine.cancel = context.WithCancel(context.WithoutCancel(ctx))
	mine.timer = time.AfterFunc(b.window, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.closeLocked(mine)
	})
	b.open = mine
	return mine
}

// closeLocked lets no further keys into the batch and starts its load.
func (b *batcher[K, V]) closeLocked(mine *batch[K, V]) {
	if b.open != mine {
		return
	}
	b.open = nil
	mine.timer.Stop()
	go mine.run(b.load)
}

// leave takes a caller off the batch. A batch without callers ends, and one that
// is still open starts no load.
func (b *batcher[K, V]) leave(mine *batch[K, V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine.waiting--
	if mine.waiting > 0 {
		return
	}
	mine.cancel()
	if b.open == mine {
		b.open = nil
		mine.timer.Stop()
	}
}

func (b *batch[K, V]) run(load BulkLoadFunc[K, V]) {
	var err error
	returned := false
	defer func() {
		if !returned {
			b.values, err = nil, crash(recover())
		}
		failed, rest := blamed(err, func(key K) bool { return b.callers[key] != nil })
		// The maps are the load's: they are read here, and never after.
		b.values, b.failed, b.err = maps.Clone(b.values), maps.Clone(failed), rest
		b.cancel()
		close(b.done)
	}()
	b.values, err = load(b, b.keys)
	returned = true
}

// result returns what the load came to for key.
func (b *batch[K, V]) result(key K) (v V, err error) {
	if v, ok := b.values[key]; ok {
		return v, nil
	}
	return v, cmp.Or(b.failed[key], b.err)
}
