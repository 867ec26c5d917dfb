// Package fleettest has the tests that everything passes which a fleet may be given.
package fleettest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// PinsConfig says what [Pins] tests.
type PinsConfig struct {
	// New returns empty pins with room for most; zero is for what has enough.
	New func(most int) fleet.Pins[int]

	// Bounded says that New goes by most.
	Bounded bool

	// Racers is how many callers race.
	Racers int
}

// Pins tests [fleet.Pins].
func Pins(t *testing.T, c PinsConfig) {
	t.Run("one of all racers pins", c.onePins)
	t.Run("one of all racers moves a pin", c.oneMoves)
	t.Run("they are a map", c.areAMap)
	t.Run("Compact", c.compact)
	t.Run("no shard", c.noShard)
}

// race calls f for each racer at a time.
func (c PinsConfig) race(f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range c.Racers {
		all.Go(func() { <-start; f(i) })
	}
	close(start)
	all.Wait()
}

func (c PinsConfig) onePins(t *testing.T) {
	p := c.New(0)
	var pins atomic.Int32
	var owners sync.Map
	c.race(func(i int) {
		owner, pinned, err := p.GetOrPin(t.Context(), 7, fmt.Sprint("s", i))
		if err != nil {
			t.Error(err)
		}
		owners.Store(owner, true)
		if pinned {
			pins.Add(1)
		}
	})
	now, ok, err := p.Get(t.Context(), 7)
	if pins.Load() != 1 || !ok || err != nil {
		t.Errorf("%d of %d racers pinned, want 1; the pin is %q, %v, %v", pins.Load(), c.Racers, now, ok, err)
	}
	owners.Range(func(owner, _ any) bool {
		if owner != now {
			t.Errorf("a racer was told %v, and the pin is %s", owner, now)
		}
		return true
	})
}

func (c PinsConfig) oneMoves(t *testing.T) {
	p := c.New(0)
	if _, _, err := p.GetOrPin(t.Context(), 7, "gone"); err != nil {
		t.Fatal(err)
	}
	var moved atomic.Int32
	var owner atomic.Value
	c.race(func(i int) {
		now, ok, err := p.TryPin(t.Context(), 7, "gone", fmt.Sprint("s", i))
		if err != nil {
			t.Error(err)
		}
		if ok {
			moved.Add(1)
		}
		if before := owner.Swap(now); before != nil && before != now {
			t.Errorf("one racer was told %v and another %v", before, now)
		}
	})
	if moved.Load() != 1 {
		t.Errorf("%d of %d racers moved the pin, want 1", moved.Load(), c.Racers)
	}
}

// areAMap holds every answer against a map, and looks for a version that is another
// one after each change and after no other call.
func (c PinsConfig) areAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &pinModel{c.New(4), map[int]string{}, c.Bounded}
		t.Repeat(map[string]func(*rapid.T){
			"GetOrPin": m.step(m.getOrPin), "TryPin": m.step(m.tryPin), "Unpin": m.step(m.unpin),
			"Compact": m.step(m.compact), "": m.check,
		})
	})
}

type pinModel struct {
	pins    fleet.Pins[int]
	model   map[int]string
	bounded bool
}

var (
	shard = rapid.SampledFrom([]string{"a", "b", "c"})
	old   = rapid.SampledFrom([]string{"", "a", "b", "c"})
)

func (m *pinModel) step(change func(t *rapid.T, key int)) func(*rapid.T) {
	return func(t *rapid.T) {
		was := maps.Clone(m.model)
		before, err := m.pins.Version(context.Background())
		change(t, rapid.IntRange(0, 5).Draw(t, "key"))
		after, err2 := m.pins.Version(context.Background())
		if changed := !maps.Equal(was, m.model); changed != (before != after) || err != nil || err2 != nil {
			t.Fatalf("the version went from %d, %v to %d, %v, and the pins from %v to %v", before, err, after, err2, was, m.model)
		}
	}
}

// full reports whether there is no room, which err must say.
func (m *pinModel) full(t *rapid.T, makes bool, err error) bool {
	full := makes && m.bounded && len(m.model) == 4
	if full != errors.Is(err, fleet.ErrPinsFull) || !full && err != nil {
		t.Fatalf("the error is %v with %d pins", err, len(m.model))
	}
	return full
}

func (m *pinModel) getOrPin(t *rapid.T, key int) {
	to := shard.Draw(t, "shard")
	owner, pinned, err := m.pins.GetOrPin(context.Background(), key, to)
	now, ok := m.model[key]
	switch {
	case m.full(t, !ok, err):
	case pinned == ok, ok && owner != now, !ok && owner != to:
		t.Fatalf("GetOrPin(%d, %s) = %s, %v with %v", key, to, owner, pinned, m.model)
	case !ok:
		m.model[key] = to
	}
}

func (m *pinModel) tryPin(t *rapid.T, key int) {
	from, to := old.Draw(t, "old"), shard.Draw(t, "new")
	owner, ok, err := m.pins.TryPin(context.Background(), key, from, to)
	now := m.model[key]
	switch {
	case m.full(t, from == "" && now == "", err):
	case ok != (now == from), ok && owner != to, !ok && owner != now:
		t.Fatalf("TryPin(%d, %q, %s) = %q, %v with %v", key, from, to, owner, ok, m.model)
	case ok && from != to:
		m.model[key] = to
	}
}

func (m *pinModel) unpin(t *rapid.T, key int) {
	from := old.Draw(t, "old")
	ok, err := m.pins.Unpin(context.Background(), key, from)
	if now := m.model[key]; err != nil || ok != (from != "" && now == from) {
		t.Fatalf("Unpin(%d, %q) = %v, %v with %v", key, from, ok, err, m.model)
	}
	if ok {
		delete(m.model, key)
	}
}

func (m *pinModel) compact(t *rapid.T, _ int) {
	gone := shard.Draw(t, "gone")
	n, err := m.pins.Compact(context.Background(), func(pin fleet.Pin[int]) bool { return pin.Shard != gone })
	had := len(m.model)
	maps.DeleteFunc(m.model, func(_ int, shard string) bool { return shard == gone })
	if err != nil || n != had-len(m.model) {
		t.Fatalf("Compact took %d away, %v; want %d", n, err, had-len(m.model))
	}
}

func (m *pinModel) check(t *rapid.T) {
	got, n := map[int]string{}, 0
	for pin, err := range m.pins.All(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		got[pin.Key] = pin.Shard
	}
	if !maps.Equal(got, m.model) || n != len(m.model) {
		t.Fatalf("All visits %d pins, %v; want %v", n, got, m.model)
	}
}

func (c PinsConfig) compact(t *testing.T) {
	p := c.New(0)
	if _, _, err := p.GetOrPin(t.Context(), 1, "a"); err != nil {
		t.Fatal(err)
	}
	n, err := p.Compact(t.Context(), func(fleet.Pin[int]) bool { panic("no") })
	var panicked *corral.PanicError
	if n != 0 || !errors.As(err, &panicked) {
		t.Errorf("Compact with a function that panics = %d, %v; want a PanicError", n, err)
	}
	n, err = p.Compact(t.Context(), func(pin fleet.Pin[int]) bool { // it changes meanwhile
		_, ok, err := p.TryPin(t.Context(), pin.Key, pin.Shard, "b")
		return err != nil || !ok
	})
	if owner, _, _ := p.Get(t.Context(), 1); n != 0 || err != nil || owner != "b" {
		t.Errorf("Compact = %d, %v and the pin is %q; want b to stay", n, err, owner)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cause")
	cancel(cause)
	if _, err := p.Compact(ctx, func(fleet.Pin[int]) bool { return false }); !errors.Is(err, cause) {
		t.Errorf("Compact with an ended context: %v, want the cause", err)
	}
}

func (c PinsConfig) noShard(t *testing.T) {
	p := c.New(0)
	for _, id := range []string{"", "\xff", strings.Repeat("x", 256)} {
		_, _, err := p.GetOrPin(t.Context(), 1, id)
		_, _, err2 := p.TryPin(t.Context(), 1, "", id)
		for _, err := range []error{err, err2} {
			var option *corral.OptionError
			if !errors.As(err, &option) || option.Value != id || option.Bound == "" {
				t.Errorf("the error of the shard %.10q is %v, want an OptionError", id, err)
			}
		}
	}
	if _, ok, err := p.Get(t.Context(), 1); ok || err != nil {
		t.Errorf("there is a pin, %v", err)
	}
}
