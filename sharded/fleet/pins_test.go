package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

func memoryPins[K comparable](t testing.TB, most int) *fleet.MemoryPins[K] {
	t.Helper()
	p, err := fleet.NewMemoryPins[K](most)
	must(t, err)
	return p
}

// Thousands race for one key: one pins it, one miss is counted, all get the same.
func TestOneOfAllRacersPins(t *testing.T) {
	const racers = 5000
	p := memoryPins[string](t, 0)
	var pins atomic.Int32
	var owners sync.Map
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range racers {
		all.Go(func() {
			<-start
			owner, pinned, err := p.GetOrPin(t.Context(), "tenant", fmt.Sprint("s", i))
			must(t, err)
			owners.Store(owner, true)
			if pinned {
				pins.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	if pins.Load() != 1 {
		t.Errorf("%d of %d racers pinned, want 1", pins.Load(), racers)
	}
	different := 0
	owners.Range(func(owner, _ any) bool {
		different++
		now, ok, err := p.Get(t.Context(), "tenant")
		if must(t, err); !ok || now != owner {
			t.Errorf("a racer was told %v, and the pin is %s, %v", owner, now, ok)
		}
		return true
	})
	want := fleet.PinStats{Pins: 1, Hits: racers - 1 + 1, Misses: 1, Pinned: 1}
	if got := p.Stats(); different != 1 || got != want {
		t.Errorf("racers were told of %d owners; the counts are %+v, want %+v", different, got, want)
	}
}

// Two at a time meet within nanoseconds, over and over.
func TestOneOfTwoRacersPins(t *testing.T) {
	const rounds = 3000
	p := memoryPins[int](t, 0)
	var here, pins atomic.Int64
	var both sync.WaitGroup
	for _, shard := range []string{"a", "b"} {
		both.Go(func() {
			for key := range rounds {
				here.Add(1)
				for spins := 0; here.Load() < int64(2*key+2); spins++ {
					if spins%50 == 49 {
						runtime.Gosched()
					}
				}
				_, pinned, err := p.GetOrPin(t.Context(), key, shard)
				must(t, err)
				if pinned {
					pins.Add(1)
				}
			}
		})
	}
	both.Wait()
	if got, want := p.Stats(), (fleet.PinStats{Pins: rounds, Hits: rounds, Misses: rounds, Pinned: rounds}); pins.Load() != rounds || got != want {
		t.Errorf("%d of %d pairs pinned; the counts are %+v, want %+v", pins.Load(), rounds, got, want)
	}
}

// The pin of a removed shard is moved by one of all that find it.
func TestOneOfAllRacersMovesAPin(t *testing.T) {
	const racers = 2000
	p := memoryPins[int](t, 0)
	_, _, err := p.GetOrPin(t.Context(), 7, "gone")
	must(t, err)
	var moved atomic.Int32
	var owner atomic.Value
	var all sync.WaitGroup
	for i := range racers {
		all.Go(func() {
			now, ok, err := p.TryPin(t.Context(), 7, "gone", fmt.Sprint("s", i))
			must(t, err)
			if ok {
				moved.Add(1)
			}
			if before := owner.Swap(now); before != nil && before != now {
				t.Errorf("one racer was told %v and another %v", before, now)
			}
		})
	}
	all.Wait()
	if got := p.Stats(); moved.Load() != 1 || got.Moved != 1 || got.Pins != 1 {
		t.Errorf("%d of %d racers moved the pin; the counts are %+v", moved.Load(), racers, got)
	}
}

// Racers for more keys than there is room for: not one too many.
func TestPinsAreBounded(t *testing.T) {
	const most = 100
	p := memoryPins[int](t, most)
	var pinned, full atomic.Int32
	var all sync.WaitGroup
	for key := range 3 * most {
		for range 3 {
			all.Go(func() {
				_, made, err := p.GetOrPin(t.Context(), key, "a")
				switch {
				case made:
					pinned.Add(1)
				case errors.Is(err, fleet.ErrPinsFull):
					full.Add(1)
				default:
					must(t, err)
				}
			})
		}
	}
	all.Wait()
	if got := p.Stats(); pinned.Load() != most || got.Pins != most || got.Misses != most || full.Load() != 3*2*most {
		t.Errorf("%d pins were made and %d refused, want %d and %d; the counts are %+v", pinned.Load(), full.Load(), most, 6*most, got)
	}
	for pin, err := range p.All(t.Context()) {
		must(t, err)
		ok, err := p.Unpin(t.Context(), pin.Key, pin.Shard)
		if must(t, err); !ok {
			t.Errorf("the pin of %d stays", pin.Key)
		}
	}
	_, made, err := p.GetOrPin(t.Context(), -1, "a")
	if must(t, err); !made {
		t.Error("there is no room after all pins were taken away")
	}
}

// A model of one map: every answer, and a version that is another one after each
// change and after no other call.
func TestMemoryPinsAreAMap(t *testing.T) {
	shard := rapid.SampledFrom([]string{"a", "b", "c"})
	old := rapid.SampledFrom([]string{"", "a", "b", "c"})
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		p, err := fleet.NewMemoryPins[int](4)
		if err != nil {
			t.Fatal(err)
		}
		model := map[int]string{}
		step := func(change func(key int)) func(*rapid.T) {
			return func(t *rapid.T) {
				before, _ := p.Version(ctx)
				was := maps.Clone(model)
				change(rapid.IntRange(0, 5).Draw(t, "key"))
				after, _ := p.Version(ctx)
				if changed := !maps.Equal(was, model); changed != (before != after) {
					t.Fatalf("the version went from %d to %d, and the pins from %v to %v", before, after, was, model)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"GetOrPin": step(func(key int) {
				to := shard.Draw(t, "shard")
				owner, pinned, err := p.GetOrPin(ctx, key, to)
				now, ok := model[key]
				switch full := !ok && len(model) == 4; {
				case full && !errors.Is(err, fleet.ErrPinsFull), !full && err != nil:
					t.Fatalf("the error is %v with %d pins", err, len(model))
				case full:
				case pinned == ok, ok && owner != now, !ok && owner != to:
					t.Fatalf("GetOrPin(%d, %s) = %s, %v with %v", key, to, owner, pinned, model)
				case !ok:
					model[key] = to
				}
			}),
			"TryPin": step(func(key int) {
				from, to := old.Draw(t, "old"), shard.Draw(t, "new")
				owner, ok, err := p.TryPin(ctx, key, from, to)
				now := model[key]
				switch full := from == "" && now == "" && len(model) == 4; {
				case full && !errors.Is(err, fleet.ErrPinsFull), !full && err != nil:
					t.Fatalf("the error is %v with %d pins", err, len(model))
				case full:
				case ok != (now == from), ok && owner != to, !ok && owner != now:
					t.Fatalf("TryPin(%d, %q, %s) = %q, %v with %v", key, from, to, owner, ok, model)
				case ok && from != to:
					model[key] = to
				}
			}),
			"Unpin": step(func(key int) {
				from := old.Draw(t, "old")
				ok, err := p.Unpin(ctx, key, from)
				if now := model[key]; err != nil || ok != (from != "" && now == from) {
					t.Fatalf("Unpin(%d, %q) = %v, %v with %v", key, from, ok, err, model)
				}
				if ok {
					delete(model, key)
				}
			}),
			"Compact": step(func(int) {
				gone := shard.Draw(t, "gone")
				n, err := p.Compact(ctx, func(pin fleet.Pin[int]) bool { return pin.Shard != gone })
				had := len(model)
				maps.DeleteFunc(model, func(_ int, shard string) bool { return shard == gone })
				if err != nil || n != had-len(model) {
					t.Fatalf("Compact took %d away, %v; want %d", n, err, had-len(model))
				}
			}),
			"": func(t *rapid.T) {
				got := map[int]string{}
				for pin, err := range p.All(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					got[pin.Key] = pin.Shard
				}
				if !maps.Equal(got, model) || p.Stats().Pins != len(model) {
					t.Fatalf("the pins are %v, %d of them; want %v", got, p.Stats().Pins, model)
				}
			},
		})
	})
}

func TestPinsThatCannotBeMade(t *testing.T) {
	_, err := fleet.NewMemoryPins[int](-1)
	wantOption(t, err, "NewMemoryPins: most", -1)
	p := memoryPins[float64](t, 0)
	long := strings.Repeat("x", 256)
	for _, id := range []string{"", "\xff", long} {
		_, _, err := p.GetOrPin(t.Context(), 1, id)
		wantOption(t, err, "Pins: shard", id)
		_, _, err = p.TryPin(t.Context(), 1, "", id)
		wantOption(t, err, "Pins: new", id)
	}
	if _, _, err := p.GetOrPin(t.Context(), math.NaN(), "a"); !errors.Is(err, corral.ErrInvalidKey) {
		t.Errorf("the error of NaN is %v, want ErrInvalidKey", err)
	}
	if got := p.Stats(); got != (fleet.PinStats{}) {
		t.Errorf("the counts are %+v, want none", got)
	}
}

func TestCompactOutlivesItsFunction(t *testing.T) {
	p := memoryPins[int](t, 0)
	_, _, err := p.GetOrPin(t.Context(), 1, "a")
	must(t, err)
	n, err := p.Compact(t.Context(), func(fleet.Pin[int]) bool { panic("no") })
	var panicked *corral.PanicError
	if n != 0 || !errors.As(err, &panicked) {
		t.Errorf("Compact = %d, %v; want a PanicError", n, err)
	}
	// A pin that changed meanwhile stays, and keep may ask.
	n, err = p.Compact(t.Context(), func(pin fleet.Pin[int]) bool {
		_, ok, err := p.TryPin(t.Context(), pin.Key, pin.Shard, "b")
		must(t, err)
		return !ok
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
