package adaptertest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// Config says how to make the cache under test and what its store is like. Only
// New is required for keys and values of simple types.
type Config[K comparable, V any] struct {
	// New returns a fresh and empty cache, roomy enough for a thousand small
	// values. It runs once per sub-test, in the sub-test's bubble; what it opens
	// it closes with t.Cleanup. Sub-tests do not overlap, so that New can keep
	// the store in a variable for the functions below.
	New func(t *testing.T) corral.Cache[K, V]

	// Key returns a key that is different for each n from 0 on. The odd ones
	// belong first: n below 32 are stored side by side. Nil works for strings
	// and for integers of 16 bits and more; the suite then adds odd keys of its
	// own.
	Key func(n int) K

	// Value returns a value that is different for each n from 0 on. Nil works
	// for strings, []byte and integers of 16 bits and more.
	Value func(n int) V

	// Equal compares two values. Nil is reflect.DeepEqual, for which a nil slice
	// or map also equals an empty one.
	Equal func(a, b V) bool

	// Plain says that the cache holds bare values and is a [corral.PlainCache].
	// What a bare value cannot tell is then not asked for: its age, TTL and load
	// time, and absence, which deletes the key.
	Plain bool

	// Granularity is how finely the store keeps times. Zero is for a store that
	// hands out the very entry it was given, monotonic clock and all. A store of
	// bytes has at least a nanosecond, a Redis a millisecond. Lives are rounded
	// up to it, never down; an entry may outlast its Keep by this much.
	Granularity time.Duration

	// Linger is how long after the end of its Keep an entry may still be found
	// besides, in a store that gives memory back in its own time. Zero is for a
	// store that looks at the clock in Get. Plain values never linger: what is
	// left of their life would be below zero, which says that they have no end.
	Linger time.Duration

	// RealTime runs the sub-tests on the real clock, outside a bubble: for a
	// real server over a network. Lives are then tenths of a second, boundaries
	// are not exact and goroutines left behind are not seen.
	RealTime bool

	// Advance moves a clock that the store has for itself. Nil is for a store
	// that uses the process's clock. It is called after the suite has slept for
	// the same time.
	Advance func(d time.Duration)

	// Corrupt replaces the bytes that the store of the last New holds under key
	// by what change makes of them; nil if there are none. Nil leaves out the
	// sub-tests of unreadable values.
	Corrupt func(t *testing.T, key K, change func(stored []byte) []byte)

	// Outage makes every call of the store of the last New fail from now on.
	// Nil leaves out the sub-test of a failing store.
	Outage func(t *testing.T)

	// Stall makes the store of the last New stop answering until the sub-test
	// ends; t.Cleanup releases what hangs. Nil leaves out the sub-test of a
	// hanging store.
	Stall func(t *testing.T)

	// Endless puts a value without an end into the store of the last New, as
	// another program may have done. Nil leaves out the sub-test of endless
	// values. It is for Plain.
	Endless func(t *testing.T, key K, value V)

	// Inner returns the caches inside the last New, if the cache is a wrapper
	// around others. Nil leaves out the sub-test of wrappers.
	Inner func() []any

	// Other returns a cache over the store of the last New as another process
	// has it, with a client of its own. It runs at most once per sub-test; what
	// it opens it closes with t.Cleanup. Nil leaves out what the suite checks of
	// two processes: it is for stores that several share.
	Other func(t *testing.T) corral.Cache[K, V]

	// Reincarnate makes the store of the last New another one, as after a restart
	// with what it held before or without, and returns when that answers. Nil leaves
	// out what the suite checks of that. It is for a [corral.Incarnate].
	Reincarnate func(t *testing.T)

	oddKeys   []K
	oddValues []V
	seen      *kind[K, V]
}

// kind is what was seen of the caches that New returns, which are all alike.
// Sub-tests of what they have not are left out.
type kind[K comparable, V any] struct {
	known                             bool // New has run
	leaser, leases, listener, layered bool // leases says that they are on
	batches, batchLeases, scans       bool
	tells                             bool // which incarnation the store is
}

func (k *kind[K, V]) look(cache corral.Cache[K, V]) {
	k.known = true
	k.leaser = is[corral.Leaser[K, V]](cache)
	_, k.leases = leaser[K, V](cache)
	k.listener = is[corral.Listener[K]](cache)
	k.layered = is[corral.Layered[K, V]](cache)
	k.batches = is[corral.BatchCache[K, V]](cache)
	_, k.scans = scanner[K, V](cache)
	k.tells = is[corral.Incarnate](cache)
	k.batchLeases = k.leases && is[corral.BatchLeaser[K, V]](cache)
}

// complete fills in what is nil.
func (cfg Config[K, V]) complete() (Config[K, V], error) {
	if cfg.New == nil {
		return cfg, fmt.Errorf("adaptertest: Config.New is nil: it must make the cache under test")
	}
	if cfg.Granularity < 0 {
		return cfg, fmt.Errorf("adaptertest: Config.Granularity is %v: it must not be below zero", cfg.Granularity)
	}
	if cfg.Linger < 0 || cfg.Linger > 0 && cfg.Plain {
		return cfg, fmt.Errorf("adaptertest: Config.Linger is %v: it must not be below zero, and zero if Plain", cfg.Linger)
	}
	if cfg.Key == nil {
		if cfg.Key = numbered[K]("key"); cfg.Key == nil {
			return cfg, needs[K]("Key")
		}
		cfg.oddKeys = odd[K]()
	}
	if cfg.Value == nil {
		if cfg.Value = numbered[V]("value"); cfg.Value == nil {
			return cfg, needs[V]("Value")
		}
		cfg.oddValues = odd[V]()
	}
	if cfg.Equal == nil {
		cfg.Equal = equal[V]
	}
	cfg.seen = new(kind[K, V])
	return cfg, cfg.tellsApart()
}

// tellsApart fails for keys or values that are all the same: with them every
// cache would pass.
func (cfg *Config[K, V]) tellsApart() error {
	switch {
	case cfg.Key(0) == cfg.Key(1):
		return same[K]("Key")
	case cfg.Equal(cfg.Value(0), cfg.Value(1)):
		return same[V]("Value")
	}
	return nil
}

func same[T any](field string) error {
	return fmt.Errorf("adaptertest: Config.%s returns the same %v for 0 and 1: it must make a different one for each number",
		field, reflect.TypeFor[T]())
}

func needs[T any](field string) error {
	return fmt.Errorf("adaptertest: Config.%s is nil: it must make a different %v for each number",
		field, reflect.TypeFor[T]())
}

// equal is the default of Config.Equal. Most codecs cannot tell nil from empty.
func equal[V any](a, b V) bool {
	x, y := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
	if k := x.Kind(); (k == reflect.Slice || k == reflect.Map) && x.Len() == 0 && y.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a, b)
}
