package fleet_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/fleettest"
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

// What all Pins do.
func TestMemoryPins(t *testing.T) {
	fleettest.Pins(t, fleettest.PinsConfig{
		New:     func(most int) fleet.Pins[int] { return memoryPins[int](t, most) },
		Bounded: true,
		Racers:  2000,
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
