package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

var errDown = errors.New("down")

// A shard dies: after three failures in a row it is not asked, until probes go well.
func TestHealthAShardDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 4, fleet.Options[string]{})
		if s := h.Health()[1]; s.State != fleet.StateUnknown || s.Shard.ID != "s01" {
			t.Errorf("before any call: %+v", s)
		}
		must(t, h.get(1, 1))
		h.patients[1].fails(errDown)
		_ = h.get(1, 2)
		h.patients[1].fails(nil)
		must(t, h.get(1, 1)) // two in a row are not three
		h.patients[1].fails(errDown)
		wantIs(t, h.get(1, 3), errDown)
		for range 100 {
			wantIs(t, h.get(1, 1), fleet.ErrUnhealthy)
		}
		if n := h.patients[1].reads.Load(); n != 7 {
			t.Errorf("the shard was read %d times, want 7", n)
		}
		s := h.Health()[1]
		if s.State != fleet.StateUnhealthy || !s.Out || s.Err != errDown || s.Failures != 3 || s.Outs != 1 {
			t.Errorf("it is %+v", s)
		}
		_, err := h.GetMany(t.Context(), h.keys[1])
		wantIs(t, err, fleet.ErrUnhealthy)
		must(t, h.get(0, 1))
		h.wantChanges("s01 unknown>healthy out=false", "s01 healthy>unhealthy out=true", "s00 unknown>healthy out=false")
		if e, err := h.Explain(t.Context(), h.keys[1][0]); err != nil || !e.Out {
			t.Errorf("Explain = %+v, %v", e, err)
		}
		// Three probes a second apart, after 10 s less up to a fifth.
		if took := h.recover(1); took < 10*time.Second || took > 12*time.Second+200*time.Millisecond {
			t.Errorf("it was asked again after %v", took)
		}
		if n := h.patients[1].reads.Load(); n != 10 {
			t.Errorf("the shard was read %d times, want 7 and 3 probes", n)
		}
		must(t, h.get(1, 1))
		if s := h.Health()[1]; s.State != fleet.StateHealthy || s.Failures != 0 {
			t.Errorf("it is %+v", s)
		}
	})
}

// A connection that is refused needs no second one.
func TestHealthAHardFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.patients[0].fails(fmt.Errorf("dial: %w", syscall.ECONNREFUSED))
		_ = h.get(0, 1)
		wantIs(t, h.get(0, 1), fleet.ErrUnhealthy)
	})
}

// What says nothing of the shard does not count.
func TestHealthWhatIsNoFault(t *testing.T) {
	for name, err := range map[string]error{
		"undecodable":  fmt.Errorf("%w: no envelope", corral.ErrUndecodable),
		"refused":      corral.ErrRefused,
		"lease lost":   corral.ErrLeaseLost,
		"cancelled":    context.Canceled,
		"an option":    &corral.OptionError{},
		"an ability":   &fleet.AbilityError{},
		"of some keys": &corral.KeyErrors[string]{Errors: map[string]error{"a": corral.ErrUndecodable, "b": nil}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 2, fleet.Options[string]{})
			h.patients[0].fails(err)
			_ = h.get(0, 10)
			_, _ = h.GetMany(t.Context(), h.keys[0])
			if s := h.Health()[0]; s.Out || s.Failures != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // nor does a caller's hurry
		h := newHospital(t, 2, fleet.Options[string]{})
		h.patients[0].do(hangs)
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 99*time.Millisecond)
			_, _ = h.Get(ctx, h.keys[0][0])
			cancel()
		}
		if s := h.Health()[0]; s.Out || s.Failures != 0 {
			t.Errorf("a hurry: %+v", s)
		}
	})
}

// I7: a shard that answers with too few entries, panics in the classification or fails
// some keys is one that fails.
func TestHealthAShardAnswersWrongly(t *testing.T) {
	for name, c := range map[string]struct {
		opts fleet.HealthOptions
		err  error
	}{
		"some keys":    {err: &corral.KeyErrors[string]{Errors: map[string]error{"a": corral.ErrUndecodable, "b": errDown}}},
		"a panic":      {opts: fleet.HealthOptions{Classify: func(error) fleet.Fault { panic("boom") }}, err: errDown},
		"too few":      {},
		"own judgment": {opts: fleet.HealthOptions{Failures: 9, Classify: func(error) fleet.Fault { return fleet.HardFault }}, err: errDown},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 2, fleet.Options[string]{Health: c.opts})
			h.patients[0].fails(c.err)
			if c.err == nil {
				h.Fleet, _ = open(t, equal(2), fleet.Options[string]{}, func(int) corral.Cache[string, string] { return tooFew{h.patients[0]} })
			}
			for range 3 {
				_, _ = h.GetMany(t.Context(), h.keys[0])
			}
			if s := h.Health()[0]; !s.Out {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

type tooFew struct{ *patient }

func (tooFew) GetMany(context.Context, []string) ([]*corral.Entry[string], error) { return nil, nil }

// A server that only reads fails no read, and is out all the same.
func TestHealthOnlyWritesFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.patients[0].do(func(_ context.Context, call string) error {
			if call == "set" {
				return errDown
			}
			return nil
		})
		for range 3 {
			wantIs(t, h.Set(t.Context(), h.keys[0][0], fresh("v")), errDown)
			_ = h.get(0, 1)
		}
		wantIs(t, h.get(0, 1), fleet.ErrUnhealthy)
	})
}

// I6: never more than half are out. The others fail open, and are out when there is room.
func TestHealthNeverMoreThanHalf(t *testing.T) {
	for _, c := range []struct{ shards, out int }{{1, 0}, {2, 1}, {3, 1}, {5, 2}, {8, 4}} {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, c.shards, fleet.Options[string]{})
			out := 0
			for i, p := range h.patients {
				p.fails(errDown)
				_ = h.get(i, 5)
			}
			for i, s := range h.Health() {
				if s.State != fleet.StateUnhealthy {
					t.Errorf("of %d: shard %d is %+v", c.shards, i, s)
				}
				if s.Out {
					out++
				}
			}
			if out != c.out {
				t.Errorf("%d of %d shards are out, want %d", out, c.shards, c.out)
			}
			last := c.shards - 1
			wantIs(t, h.get(last, 1), errDown)
			if c.out == 0 {
				return
			}
			h.recover(0)
			wantIs(t, h.get(last, 2), fleet.ErrUnhealthy)
			h.patients[last].fails(nil)
		})
	}
}

// I6: each time that a shard comes back and fails it is left alone for longer.
func TestHealthAShardFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		for _, pause := range []time.Duration{10, 20, 40, 60, 60} {
			h.putOut(0)
			took, pause := h.recover(0), pause*time.Second
			if took < pause*8/10+2*time.Second || took > pause+2200*time.Millisecond {
				t.Errorf("it was asked again after %v, want a pause of %v", took, pause)
			}
		}
		time.Sleep(time.Minute)
		h.putOut(0)
		if took := h.recover(0); took > 12200*time.Millisecond {
			t.Errorf("after a good minute it was asked again after %v", took)
		}
		if s := h.Health()[0]; s.Outs != 6 {
			t.Errorf("it is %+v", s)
		}
	})
}

// A probe that fails doubles the pause; one that hangs ends; none is made while nobody
// asks, and one at a time.
func TestHealthProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.putOut(0)
		h.patients[0].do(hangs)
		time.Sleep(time.Hour)
		before := h.patients[0].reads.Load()
		start := time.Now()
		for time.Since(start) < 30*time.Second { // a probe of 1 s, then a pause of 16 to 20 s, a probe
			_ = h.get(0, 5)
			synctest.Wait()
			time.Sleep(50 * time.Millisecond)
		}
		if n := h.patients[0].reads.Load() - before; n != 2 {
			t.Errorf("%d probes, want 2", n)
		}
		if s := h.Health()[0]; !errors.Is(s.Err, context.DeadlineExceeded) {
			t.Errorf("it is %+v", s)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var probed []string
		h := newHospital(t, 2, fleet.Options[string]{Health: fleet.HealthOptions{
			Successes: 2,
			Probe: func(_ context.Context, s fleet.Shard, cache any) error {
				if probed = append(probed, s.ID); len(probed) == 1 {
					panic("boom")
				}
				if _, ok := cache.(*patient); !ok {
					t.Errorf("the cache is a %T", cache)
				}
				return corral.ErrUndecodable
			},
		}})
		h.putOut(0)
		reads := h.patients[0].reads.Load()
		h.recover(0)
		if fmt.Sprint(probed) != "[s00 s00 s00]" || h.patients[0].reads.Load() != reads {
			t.Errorf("probed %v, and read %d times", probed, h.patients[0].reads.Load()-reads)
		}
	})
}

// Close ends a probe.
func TestHealthCloseEndsProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.putOut(0)
		h.patients[0].do(hangs)
		time.Sleep(10 * time.Second)
		_ = h.get(0, 1)
		synctest.Wait()
		start := time.Now()
		must(t, h.Close(t.Context()))
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
	})
}

// I8: a herd on a shard that hangs makes one load of a key, and waits for nothing.
func TestHealthAHerdOnAShardThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 4, fleet.Options[string]{})
		l := loader(t, h.Fleet)
		h.patients[0].do(hangs)
		var loads atomic.Int64
		herd := func() time.Duration {
			start := time.Now()
			var all sync.WaitGroup
			for _, key := range h.keys[0] {
				for range 50 {
					all.Go(func() {
						_, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) {
							loads.Add(1)
							time.Sleep(time.Second)
							return "v", nil
						})
						must(t, err)
					})
				}
			}
			all.Wait()
			return time.Since(start)
		}
		herd()
		if s := h.Health()[0]; !s.Out {
			t.Fatalf("it is %+v", s)
		}
		loads.Store(0)
		h.patients[0].reads.Store(0)
		h.patients[0].writes.Store(0)
		if took := herd(); took != time.Second {
			t.Errorf("the herd took %v, want the second of the load", took)
		}
		if n := loads.Load(); n != 20 {
			t.Errorf("%d loads of 20 keys", n)
		}
		if r, w := h.patients[0].reads.Load(), h.patients[0].writes.Load(); r+w != 0 {
			t.Errorf("%d reads and %d writes of the shard", r, w)
		}
		// The user's own writes are tried, and say so.
		if err := l.Delete(t.Context(), h.keys[0][0]); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete = %v", err)
		}
		if err := l.Set(t.Context(), h.keys[0][0], "v"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Set = %v", err)
		}
		// The other shards are caches all the while.
		load := func(context.Context, string) (string, error) { return "v", nil }
		_, err := l.GetOrLoad(t.Context(), h.keys[1][0], load)
		must(t, err)
		if _, err := l.GetOrLoad(t.Context(), h.keys[1][0], unwanted); err != nil {
			t.Errorf("another shard's key: %v", err)
		}
		must(t, l.Close(t.Context()))
	})
}

// A slow shard is degraded, and asked; it is not when it is fast again.
func TestHealthAShardIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		takes := func(d time.Duration) {
			h.patients[0].do(func(context.Context, string) error { time.Sleep(d); return nil })
		}
		takes(49 * time.Millisecond)
		must(t, h.get(0, 20))
		takes(70 * time.Millisecond)
		must(t, h.get(0, 1))
		if s := h.Health()[0]; s.State != fleet.StateDegraded || s.Out || s.Latency < 50*time.Millisecond {
			t.Errorf("it is %+v", s)
		}
		takes(30 * time.Millisecond)
		must(t, h.get(0, 40))
		if s := h.Health()[0]; s.State != fleet.StateDegraded {
			t.Errorf("with a mean above half the limit it is %+v", s)
		}
		takes(time.Millisecond)
		must(t, h.get(0, 40))
		h.wantChanges("s00 unknown>healthy out=false", "s00 healthy>degraded out=false", "s00 degraded>healthy out=false")
		reads := h.patients[0].reads.Load()
		must(t, h.get(0, 1))
		if h.patients[0].reads.Load() != reads+1 {
			t.Error("it is not asked")
		}
	})
}

// An operator drains a shard, forces one in, and leaves them to themselves again.
func TestHealthSetState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		set := func(id string, s fleet.State) { t.Helper(); must(t, h.SetState(t.Context(), id, s)) }
		set("s00", fleet.StateUnhealthy)
		set("s01", fleet.StateUnhealthy) // also more than half
		time.Sleep(time.Hour)
		wantIs(t, h.get(0, 5), fleet.ErrUnhealthy)
		wantIs(t, h.get(1, 5), fleet.ErrUnhealthy)
		synctest.Wait()
		if n := h.patients[0].reads.Load(); n != 0 {
			t.Errorf("%d reads of a drained shard", n)
		}
		if s := h.Health()[0]; !s.Held || !s.Out || s.State != fleet.StateUnhealthy {
			t.Errorf("it is %+v", s)
		}
		set("s01", fleet.StateHealthy)
		h.patients[1].fails(errDown)
		wantIs(t, h.get(1, 9), errDown)
		if s := h.Health()[1]; !s.Held || s.Out || s.State != fleet.StateHealthy {
			t.Errorf("it is %+v", s)
		}
		set("s00", fleet.StateUnknown)
		if took := h.recover(0); took != 2*time.Second {
			t.Errorf("it was asked again after %v, want three probes a second apart", took)
		}
		set("s01", fleet.StateUnknown)
		_ = h.get(1, 1)
		wantIs(t, h.get(1, 1), fleet.ErrUnhealthy)
		wantOption(t, h.SetState(t.Context(), "nobody", fleet.StateHealthy), "SetState: id", `"nobody"`)
		wantOption(t, h.SetState(t.Context(), "s00", fleet.StateDegraded), "SetState: s", fleet.StateDegraded)
		must(t, h.Close(t.Context()))
		wantIs(t, h.SetState(t.Context(), "s00", fleet.StateHealthy), fleet.ErrClosed)
	})
}

// Off puts no shard out, unless an operator does.
func TestHealthOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{Health: fleet.HealthOptions{Off: true}})
		h.patients[0].fails(errDown)
		wantIs(t, h.get(0, 20), errDown)
		must(t, h.SetState(t.Context(), "s00", fleet.StateUnhealthy))
		wantIs(t, h.get(0, 1), fleet.ErrUnhealthy)
	})
}

func TestHealthOptions(t *testing.T) {
	for field, o := range map[string]fleet.HealthOptions{
		"Failures": {Failures: -1}, "Successes": {Successes: -1}, "Late": {Late: -1}, "Slow": {Slow: -1},
		"ProbeTimeout": {ProbeTimeout: -1}, "MinPause": {MinPause: -1}, "Recheck": {Recheck: -1},
	} {
		_, err := fleet.New(t.Context(), equal(2), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
			return memadapter.New[string, string](), nil
		}, fleet.Options[string]{Health: o})
		want := any(-1)
		if field != "Failures" && field != "Successes" {
			want = time.Duration(-1)
		}
		wantOption(t, err, "Options.Health."+field, want)
	}
	_, err := fleet.New[string, string](t.Context(), equal(2), func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
		return memadapter.New[string, string](), nil
	}, fleet.Options[string]{Health: fleet.HealthOptions{MinPause: 2, MaxPause: 1}})
	wantOption(t, err, "Options.Health.MaxPause", time.Duration(1))
}
