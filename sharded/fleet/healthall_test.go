package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

func (p *patient) ScanPage(ctx context.Context, cursor string, count int, keysOnly bool) ([]corral.ScanItem[string, string], string, error) {
	if err := p.call(ctx, "scan"); err != nil {
		return nil, "", err
	}
	return p.Cache.ScanPage(ctx, cursor, count, keysOnly)
}

// overAll calls all shards so often: by Scan, by ScanPage, or by a Broadcast that reads.
func (h *hospital) overAll(ctx context.Context, by string, p fleet.Policy, times int) {
	p.BestEffort = true
	for range times {
		switch by {
		case "Scan":
			for range h.Scan(ctx, fleet.ScanOptions[string, string]{Policy: p}) {
			}
		case "ScanPage":
			_, _, _ = h.ScanPage(ctx, "", 100, true)
		case "Broadcast":
			_, _ = h.Broadcast(ctx, p, func(ctx context.Context, s fleet.Shard, c corral.Cache[string, string]) error {
				_, err := c.Get(ctx, "key")
				return err
			})
		}
	}
}

// Calls over all shards count, by themselves: those that go well hide no reads that fail,
// and the other way round.
func TestHealthOfCallsOverAll(t *testing.T) {
	for _, by := range []string{"Scan", "ScanPage", "Broadcast"} {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 2, fleet.Options[string]{})
			h.overAll(t.Context(), by, fleet.Policy{}, 1)
			if s := h.Health()[0]; s.State != fleet.StateHealthy || s.Latency != 0 {
				t.Errorf("%s: it is %+v", by, s)
			}
			h.patients[0].fails(errDown)
			h.overAll(t.Context(), by, fleet.Policy{}, 2)
			h.patients[0].fails(nil)
			must(t, h.get(0, 1)) // a read that goes well
			h.patients[0].fails(errDown)
			if s := h.Health()[0]; s.Out || s.Failures != 2 {
				t.Errorf("%s: it is %+v", by, s)
			}
			h.overAll(t.Context(), by, fleet.Policy{}, 1)
			if s := h.Health()[0]; !s.Out || s.State != fleet.StateUnhealthy || s.Err != errDown {
				t.Errorf("%s: it is %+v", by, s)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 2, fleet.Options[string]{})
			for range 3 {
				h.patients[0].fails(errDown)
				_ = h.get(0, 1)
				h.patients[0].fails(nil)
				h.overAll(t.Context(), by, fleet.Policy{}, 1)
			}
			if s := h.Health()[0]; !s.Out {
				t.Errorf("%s between reads that fail: it is %+v", by, s)
			}
		})
	}
}

// A shard that hangs is out by calls over all shards too, if they had time; those that are
// cancelled, left, or stopped by others' failures say nothing of it.
func TestHealthOfCallsOverAllThatHang(t *testing.T) {
	for _, c := range []struct {
		timeout time.Duration
		out     bool
	}{{99 * time.Millisecond, false}, {100 * time.Millisecond, true}} {
		for _, by := range []string{"Scan", "Broadcast"} {
			synctest.Test(t, func(t *testing.T) {
				h := newHospital(t, 2, fleet.Options[string]{})
				h.patients[0].do(hangs)
				h.overAll(t.Context(), by, fleet.Policy{Timeout: c.timeout}, 5)
				if s := h.Health()[0]; s.Out != c.out {
					t.Errorf("%s of %v: it is %+v", by, c.timeout, s)
				}
			})
		}
	}
	for name, call := range map[string]func(h *hospital){
		"cancelled": func(h *hospital) {
			ctx, cancel := context.WithCancel(h.t.Context())
			time.AfterFunc(time.Second, cancel)
			h.overAll(ctx, "Scan", fleet.Policy{}, 1)
			h.overAll(ctx, "Broadcast", fleet.Policy{}, 1)
		},
		"left": func(h *hospital) {
			must(h.t, h.Set(h.t.Context(), h.keys[1][0], fresh("v")))
			for range h.Scan(h.t.Context(), fleet.ScanOptions[string, string]{}) {
				time.Sleep(time.Second)
				break
			}
		},
		"stopped": func(h *hospital) {
			_, _ = h.Broadcast(h.t.Context(), fleet.Policy{}, func(ctx context.Context, s fleet.Shard, c corral.Cache[string, string]) error {
				if s.ID == "s01" {
					time.Sleep(time.Second)
					return corral.ErrRefused
				}
				_, err := c.Get(ctx, "key")
				return err
			})
		},
		"panics": func(h *hospital) {
			_, _ = h.Broadcast(h.t.Context(), fleet.Policy{BestEffort: true}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error { panic("boom") })
		},
		"ends its goroutine": func(h *hospital) {
			_, _ = h.Broadcast(h.t.Context(), fleet.Policy{BestEffort: true}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error {
				runtime.Goexit()
				return nil
			})
		},
		"what is no fault": func(h *hospital) {
			_, _ = h.Broadcast(h.t.Context(), fleet.Policy{BestEffort: true}, func(context.Context, fleet.Shard, corral.Cache[string, string]) error {
				return fmt.Errorf("this: %w", corral.ErrUndecodable)
			})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHospital(t, 2, fleet.Options[string]{})
			h.patients[0].do(hangs)
			for range 5 {
				call(h)
			}
			if s := h.Health()[0]; s.Out || s.Failures != 0 {
				t.Errorf("%s: it is %+v", name, s)
			}
		})
	}
}

// I7, A4: a shard of which all answers are garbage is asked: a Loader overwrites them. One
// that answers with another key's entries or too many fails.
func TestHealthAShardAnswersGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		l := loader(t, h.Fleet)
		garbage := fmt.Errorf("%w: 7 bytes of something", corral.ErrUndecodable)
		h.patients[0].do(func(_ context.Context, call string) error {
			if call == "get" || call == "get many" {
				return garbage
			}
			return nil
		})
		load, count := numberedLoads()
		for range 10 {
			_, err := l.GetOrLoad(t.Context(), h.keys[0][0], load)
			must(t, err)
		}
		if s := h.Health()[0]; s.Out || s.State == fleet.StateUnhealthy || count() != 10 {
			t.Errorf("after %d loads it is %+v", count(), s)
		}
		h.patients[0].fails(nil)
		v, err := l.GetOrLoad(t.Context(), h.keys[0][0], unwanted)
		if err != nil || v != "load 10" {
			t.Errorf("what was stored over it is %q, %v", v, err)
		}
		must(t, l.Close(t.Context()))
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.Fleet, _ = open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] { return tooMany{h.patients[i]} })
		for range 3 {
			if _, err := h.GetMany(t.Context(), h.keys[0]); err == nil {
				t.Error("too many entries are no error")
			}
		}
		if s := h.Health()[0]; !s.Out {
			t.Errorf("it is %+v", s)
		}
	})
}

type tooMany struct{ *patient }

func (m tooMany) GetMany(_ context.Context, keys []string) ([]*corral.Entry[string], error) {
	return make([]*corral.Entry[string], len(keys)+1), nil
}

// A probe that finds garbage finds a shard that is well; one that was answered with
// nothing but an error of its own finds none.
func TestHealthAProbeFindsGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		h.putOut(0)
		h.patients[0].fails(corral.ErrUndecodable)
		for start := time.Now(); h.Health()[0].Out && time.Since(start) < time.Minute; time.Sleep(time.Second) {
			_ = h.get(0, 1)
			synctest.Wait()
		}
		if s := h.Health()[0]; s.Out {
			t.Errorf("it is %+v", s)
		}
		h.putOut(0)
		h.patients[0].fails(errors.New("LOADING Redis is loading the dataset in memory"))
		for range 600 {
			_ = h.get(0, 1)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if s := h.Health()[0]; !s.Out {
			t.Errorf("it is %+v", s)
		}
	})
}

// While the topology changes, an old owner that is out is not asked.
func TestHealthOfTheOldOwner(t *testing.T) {
	for name, far := range map[string]bool{"leases": true, "memory": false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			var old atomic.Int64
			s.during(func(_, id string) {
				if id == "s00" {
					old.Add(1)
				}
			})
			f := s.process(equal(1), fleet.Options[string]{})
			l := loader(t, f)
			load := func(context.Context, string) (string, error) { return "v", nil }
			_, err := l.GetOrLoad(t.Context(), "key", load)
			must(t, err)
			next := equal(2)
			next.Epoch, next.Shards = 2, next.Shards[1:]
			_, err = f.Apply(t.Context(), next)
			must(t, err)
			must(t, f.SetState(t.Context(), "s00", fleet.StateUnhealthy))
			old.Store(0)
			if far {
				_, err = l.GetOrLoad(t.Context(), "key", load)
			} else {
				_, err = f.Get(t.Context(), "key")
			}
			must(t, err)
			if n := old.Load(); n != 0 {
				t.Errorf("%s: the old owner was asked %d times", name, n)
			}
			must(t, l.Close(t.Context()))
		})
	}
}

// A shard that is out is not read by ScanPage either; the others are.
func TestHealthOfAScanPage(t *testing.T) {
	h := newHospital(t, 2, fleet.Options[string]{})
	_, next, err := h.ScanPage(t.Context(), "", 100, true)
	must(t, err)
	must(t, h.SetState(t.Context(), "s00", fleet.StateUnhealthy))
	_, _, err = h.ScanPage(t.Context(), "", 100, true)
	wantIs(t, err, fleet.ErrUnhealthy)
	if n := h.patients[0].writes.Load(); n != 1 {
		t.Errorf("it was asked for %d pages, want the one before", n)
	}
	_, _, err = h.ScanPage(t.Context(), next, 100, true)
	must(t, err)
}
