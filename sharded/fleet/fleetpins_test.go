package fleet_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

func TestAPinnedKeyIsWhereItIsTold(t *testing.T) {
	pins := memoryPins[string](t, 0)
	f, caches := faultyFleet(t, 3, fleet.Options[string]{Pins: pins})
	key := keysOn(f, 3, 1)[0][0]
	_, _, err := pins.GetOrPin(t.Context(), key, "s02")
	must(t, err)
	if got := f.Owner(key).ID; got != "s02" {
		t.Errorf("the owner is %s, want s02", got)
	}
	must(t, f.Set(t.Context(), key, fresh("value")))
	if e, _ := caches[2].Cache.Get(t.Context(), key); e == nil {
		t.Error("the value is not on s02")
	}
	e, err := f.Explain(t.Context(), key)
	if must(t, err); e.Owner != "s02" || e.Pin != "s02" || e.Ranking[0] != "s00" || len(e.Ranking) != 3 || e.Epoch != 1 {
		t.Errorf("the explanation is %+v", e)
	}
	_, err = pins.Unpin(t.Context(), key, "s02")
	must(t, err)
	if got := f.Owner(key).ID; got != "s00" {
		t.Errorf("without the pin the owner is %s, want s00", got)
	}
}

// The pin of a shard that is gone is moved to where the key would be, once, by
// whoever comes across it. Owner and Explain change nothing.
func TestAPinOfAShardThatIsGone(t *testing.T) {
	pins := memoryPins[string](t, 0)
	f, caches := faultyFleet(t, 3, fleet.Options[string]{Pins: pins})
	key := keysOn(f, 3, 1)[1][0]
	_, _, err := pins.GetOrPin(t.Context(), key, "gone")
	must(t, err)
	e, err := f.Explain(t.Context(), key)
	if must(t, err); f.Owner(key).ID != "s01" || e.Owner != "s01" || e.Pin != "gone" || pins.Stats().Moved != 0 {
		t.Errorf("the owner is %s, the explanation %+v, the counts %+v", f.Owner(key).ID, e, pins.Stats())
	}
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() { must(t, f.Set(t.Context(), key, fresh("value"))) })
	}
	all.Wait()
	if owner, _, _ := pins.Get(t.Context(), key); owner != "s01" || pins.Stats().Moved != 1 {
		t.Errorf("the pin is %s; the counts are %+v", owner, pins.Stats())
	}
	if e, _ := caches[1].Cache.Get(t.Context(), key); e == nil {
		t.Error("the value is not on s01")
	}
}

// remotePins are Pins elsewhere: they cost time, count calls and can fail.
type remotePins struct {
	*fleet.MemoryPins[string]
	versions, reads atomic.Int64
	fault           atomic.Pointer[error]
	hangs           atomic.Bool
}

func (p *remotePins) trouble() error {
	if p.hangs.Load() {
		time.Sleep(time.Hour) // whatever the context says
	}
	time.Sleep(time.Millisecond)
	if err := p.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *remotePins) Version(ctx context.Context) (uint64, error) {
	p.versions.Add(1)
	if err := p.trouble(); err != nil {
		return 0, err
	}
	return p.MemoryPins.Version(ctx)
}

func (p *remotePins) All(ctx context.Context) iter.Seq2[fleet.Pin[string], error] {
	p.reads.Add(1)
	return p.MemoryPins.All(ctx)
}

func (p *remotePins) Get(ctx context.Context, key string) (string, bool, error) {
	if err := p.trouble(); err != nil {
		return "", false, err
	}
	return p.MemoryPins.Get(ctx, key)
}

func (p *remotePins) TryPin(ctx context.Context, key, old, new string) (string, bool, error) {
	if err := p.trouble(); err != nil {
		return "", false, err
	}
	return p.MemoryPins.TryPin(ctx, key, old, new)
}

// remotely runs a test in a bubble with a fleet whose Pins are elsewhere.
func remotely(t *testing.T, test func(t *testing.T, f *fleet.Fleet[string, string], pins *remotePins, told *[]error)) {
	synctest.Test(t, func(t *testing.T) {
		pins := &remotePins{MemoryPins: memoryPins[string](t, 0)}
		_, _, err := pins.GetOrPin(t.Context(), "first", "s01")
		must(t, err)
		var told []error
		f, _ := faultyFleet(t, 3, fleet.Options[string]{Pins: pins, Hooks: fleet.Hooks{
			PinsError: func(_ context.Context, err error) { told = append(told, err) },
		}})
		test(t, f, pins, &told)
	})
}

func get(t *testing.T, f *fleet.Fleet[string, string], key string) (took time.Duration) {
	t.Helper()
	start := time.Now()
	_, err := f.Get(t.Context(), key)
	must(t, err)
	return time.Since(start)
}

// Calls never wait for pins while there are some each second; what was pinned is
// known a second and a look later. The pins are read only after a change.
func TestPinsElsewhereAreReadFromMemory(t *testing.T) {
	remotely(t, func(t *testing.T, f *fleet.Fleet[string, string], pins *remotePins, told *[]error) {
		if got := f.Owner("first").ID; got != "s01" {
			t.Errorf("the first key is on %s, want s01", got)
		}
		key := keysOn(f, 3, 1)[0][0]
		for tick := range 100 {
			if tick == 50 {
				_, _, err := pins.GetOrPin(t.Context(), key, "s02")
				must(t, err)
			}
			if took := get(t, f, key); took != 0 {
				t.Errorf("a call waited %v", took)
			}
			time.Sleep(100 * time.Millisecond)
			if want := map[bool]string{false: "s00", true: "s02"}[tick >= 60]; (tick < 50 || tick >= 62) && f.Owner(key).ID != want {
				t.Errorf("after %d ticks the key is on %s, want %s", tick, f.Owner(key).ID, want)
			}
		}
		if v, r := pins.versions.Load(), pins.reads.Load(); v < 8 || v > 11 || r != 2 || len(*told) != 0 {
			t.Errorf("in 10 s the version was asked for %d times, the pins %d times, and told was %v", v, r, *told)
		}
	})
}

// C11: nobody asks while nobody calls. Who then comes waits for the look, once.
func TestPinsElsewhereAfterAPause(t *testing.T) {
	remotely(t, func(t *testing.T, f *fleet.Fleet[string, string], pins *remotePins, _ *[]error) {
		key := keysOn(f, 3, 1)[0][0]
		_, _, err := pins.GetOrPin(t.Context(), key, "s02")
		must(t, err)
		time.Sleep(time.Hour)
		if n := pins.versions.Load(); n != 1 {
			t.Errorf("the version was asked for %d times in a pause, want once before it", n)
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if took := get(t, f, key); took != time.Millisecond {
					t.Errorf("a call waited %v, want 1ms", took)
				}
			})
		}
		all.Wait()
		if n := pins.versions.Load(); n != 2 || f.Owner(key).ID != "s02" {
			t.Errorf("the version was asked for %d times, and the key is on %s", n, f.Owner(key).ID)
		}
	})
}

func TestPinsElsewhereThatFail(t *testing.T) {
	remotely(t, func(t *testing.T, f *fleet.Fleet[string, string], pins *remotePins, told *[]error) {
		fault := errors.New("fault")
		pins.fault.Store(&fault)
		for range 50 {
			get(t, f, "first")
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(*told); n < 4 || n > 5 || !errors.Is((*told)[0], fault) || f.Owner("first").ID != "s01" {
			t.Errorf("in 5 s the hook was told %d times: %v; the first key is on %s", n, *told, f.Owner("first").ID)
		}
		_, err := f.Explain(t.Context(), "first")
		wantIs(t, err, fault)
		pins.fault.Store(nil)
		_, err = pins.MemoryPins.Unpin(t.Context(), "first", "s01")
		must(t, err)
		time.Sleep(2 * time.Second)
		get(t, f, "first")
		if _, ok := fleet.Pinned(f, "first"); ok {
			t.Error("the pin is still there after the Pins came back")
		}
	})
}

func TestPinsElsewhereThatHang(t *testing.T) {
	remotely(t, func(t *testing.T, f *fleet.Fleet[string, string], pins *remotePins, told *[]error) {
		pins.hangs.Store(true)
		time.Sleep(time.Minute)
		if took := get(t, f, "first"); took != 2*time.Second {
			t.Errorf("a call waited %v, want 2s", took)
		}
		if took := get(t, f, "first"); took != 0 || len(*told) != 1 {
			t.Errorf("the next call waited %v; told was %v", took, *told)
		}
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, _ = f.Get(ctx, "first")
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("a call waited %v, want until its context ended", took)
		}
		time.Sleep(2 * time.Hour) // the calls that were left behind end
	})
}

func TestAPinElsewhereOfAShardThatIsGone(t *testing.T) {
	remotely(t, func(t *testing.T, f *fleet.Fleet[string, string], pins *remotePins, told *[]error) {
		_, ok, err := pins.MemoryPins.TryPin(t.Context(), "first", "s01", "gone")
		if must(t, err); !ok {
			t.Fatal("the pin is another one")
		}
		time.Sleep(time.Minute)
		fault := errors.New("fault")
		get(t, f, "second") // reads the pins
		pins.fault.Store(&fault)
		get(t, f, "first")
		if len(*told) != 1 || !errors.Is((*told)[0], fault) {
			t.Errorf("told was %v, want the fault of moving the pin", *told)
		}
		pins.fault.Store(nil)
		get(t, f, "first")
		if took := get(t, f, "first"); took != 0 {
			t.Errorf("after the pin was moved a call waited %v", took)
		}
		if s := pins.Stats(); s.Moved != 2 {
			t.Errorf("the counts are %+v", s)
		}
	})
}

func TestPinsThatCannotBeReadAtFirst(t *testing.T) {
	fault := errors.New("fault")
	pins := &remotePins{MemoryPins: memoryPins[string](t, 0)}
	pins.fault.Store(&fault)
	_, err := fleet.New(t.Context(), equal(2), inMemory, fleet.Options[string]{Pins: pins})
	wantIs(t, err, fault)
	var none *remotePins
	f, err := fleet.New(t.Context(), equal(2), inMemory, fleet.Options[string]{Pins: none})
	must(t, err)
	must(t, f.Delete(t.Context(), "key"))
}
