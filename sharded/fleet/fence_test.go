package fleet_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// I12: what could not be deleted on a shard that is out is deleted before it is read again.
func TestFenceOfADeadShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		key, other := h.keys[0][0], h.keys[0][1]
		must(t, h.Set(t.Context(), key, fresh("old")))
		must(t, h.Set(t.Context(), other, fresh("other")))
		h.putOut(0)
		wantIs(t, h.Delete(t.Context(), key), errDown)
		wantIs(t, h.Set(t.Context(), h.keys[0][2], fresh("new")), errDown)
		if s := h.Health()[0]; s.Fenced != 2 || s.FencedAll {
			t.Errorf("it is %+v", s)
		}
		h.recover(0)
		if e, _ := h.patients[0].Cache.Get(t.Context(), key); e != nil {
			t.Errorf("the shard still holds %q", e.Value)
		}
		if e, err := h.Get(t.Context(), key); e != nil || err != nil {
			t.Errorf("Get = %v, %v", e, err)
		}
		if e, err := h.Get(t.Context(), other); e == nil || err != nil {
			t.Errorf("Get of another key = %v, %v", e, err)
		}
		if s := h.Health()[0]; s.Fenced != 0 {
			t.Errorf("it is %+v", s)
		}
	})
}

// While it cannot be cleaned, a shard is not read again, also if an operator wants it.
func TestFenceThatCannotBeCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		must(t, h.Set(t.Context(), h.keys[0][0], fresh("old")))
		h.putOut(0)
		wantIs(t, h.Delete(t.Context(), h.keys[0][0]), errDown)
		h.patients[0].do(func(_ context.Context, call string) error {
			if call == "delete many" {
				return errDown
			}
			return nil
		})
		for range 600 {
			wantIs(t, h.get(0, 1), fleet.ErrUnhealthy)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		wantIs(t, h.SetState(t.Context(), "s00", fleet.StateHealthy), errDown)
		if s := h.Health()[0]; !s.Out || s.Held || s.Fenced != 1 {
			t.Errorf("it is %+v", s)
		}
		h.patients[0].fails(nil)
		must(t, h.SetState(t.Context(), "s00", fleet.StateHealthy))
		if e, err := h.Get(t.Context(), h.keys[0][0]); e != nil || err != nil {
			t.Errorf("Get = %v, %v", e, err)
		}
	})
}

// A write that fails on a shard that is well otherwise: the old value is not served, by
// any read, and is deleted soon.
func TestFenceOfAShardThatIsNotOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		key := h.keys[0][0]
		must(t, h.Set(t.Context(), key, fresh("old")))
		h.patients[0].fails(errDown)
		wantIs(t, h.Delete(t.Context(), key), errDown)
		h.patients[0].fails(nil)
		if got, err := h.GetMany(t.Context(), h.keys[0]); err != nil || got[0] != nil {
			t.Errorf("GetMany = %v, %v", got[0], err)
		}
		if e, err := h.Get(t.Context(), key); e != nil || err != nil {
			t.Errorf("Get = %v, %v", e, err)
		}
		synctest.Wait()
		if e, _ := h.patients[0].Cache.Get(t.Context(), key); e != nil || h.Health()[0].Fenced != 0 {
			t.Errorf("the shard still holds %v, %d keys are fenced", e, h.Health()[0].Fenced)
		}
		// What is written again is served at once.
		h.patients[0].fails(errDown)
		wantIs(t, h.Delete(t.Context(), key), errDown)
		h.patients[0].fails(nil)
		must(t, h.Set(t.Context(), key, fresh("new")))
		if e, err := h.Get(t.Context(), key); e == nil || err != nil || h.Health()[0].Fenced != 0 {
			t.Errorf("Get = %v, %v; %d keys are fenced", e, err, h.Health()[0].Fenced)
		}
	})
}

// Too many keys fence all that was loaded before, and nothing that is loaded after.
func TestFenceOverflows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHospital(t, 2, fleet.Options[string]{})
		key := h.keys[0][0]
		must(t, h.Set(t.Context(), key, fresh("old")))
		h.putOut(0)
		h.overflow(0)
		if s := h.Health()[0]; !s.FencedAll || s.Fenced != 0 {
			t.Errorf("it is %+v", s)
		}
		h.recover(0)
		if e, err := h.Get(t.Context(), key); e != nil || err != nil {
			t.Errorf("Get = %v, %v", e, err)
		}
		must(t, h.Set(t.Context(), key, fresh("new")))
		if e, err := h.Get(t.Context(), key); e == nil || err != nil {
			t.Errorf("Get = %v, %v", e, err)
		}
	})
}

// overflow fails to delete one key more of the i-th shard than can be fenced.
func (h *hospital) overflow(i int) {
	h.t.Helper()
	keys := make([]string, 0, 65_536+1)
	for n := 0; len(keys) < cap(keys); n++ {
		if key := fmt.Sprint("many:", n); h.Owner(key).ID == h.Health()[i].Shard.ID {
			keys = append(keys, key)
		}
	}
	wantIs(h.t, h.DeleteMany(h.t.Context(), keys[:65_536]), errDown)
	if s := h.Health()[i]; s.Fenced != 65_536 || s.FencedAll {
		h.t.Errorf("it is %+v", s)
	}
	wantIs(h.t, h.DeleteMany(h.t.Context(), keys[65_536:]), errDown)
}

// plainPatient is a patient of bare values, that cannot be scanned if shut.
type plainPatient struct {
	*memadapter.PlainCache[string, string]
	fails, shut bool
}

func (p *plainPatient) Far() bool { return true }

func (p *plainPatient) GetValue(ctx context.Context, key string) (v string, life time.Duration, ok bool, err error) {
	if p.fails {
		return v, 0, false, errDown
	}
	return p.PlainCache.GetValue(ctx, key)
}

func (p *plainPatient) Get(ctx context.Context, key string) (*corral.Entry[string], error) {
	if p.fails {
		return nil, errDown
	}
	return p.PlainCache.Get(ctx, key)
}

func (p *plainPatient) DeleteMany(ctx context.Context, keys []string) error {
	if p.fails {
		return errDown
	}
	return p.PlainCache.DeleteMany(ctx, keys)
}

func (p *plainPatient) CheckScan() error {
	if p.shut {
		return errDown
	}
	return nil
}

// Of bare values nobody knows when they were loaded: all are deleted.
func TestFenceOverflowsOfBareValues(t *testing.T) {
	for name, shut := range map[string]bool{"swept": false, "cannot be scanned": true} {
		synctest.Test(t, func(t *testing.T) {
			sick := &plainPatient{PlainCache: memadapter.Plain[string, string](), shut: shut}
			h := &hospital{t: t}
			h.Fleet, _ = open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] {
				if i == 0 {
					return sick
				}
				return memadapter.Plain[string, string]()
			})
			h.keys = keysOn(h.Fleet, 2, 5)
			for _, key := range h.keys[0] {
				must(t, h.Set(t.Context(), key, fresh("old")))
			}
			sick.fails = true
			_ = h.get(0, 3)
			h.overflow(0)
			sick.fails = false
			for start := time.Now(); h.Health()[0].Out && time.Since(start) < 5*time.Minute; time.Sleep(time.Second) {
				_ = h.get(0, 1)
				synctest.Wait()
			}
			if s := h.Health()[0]; s.Out != shut || s.FencedAll != shut {
				t.Errorf("%s: it is %+v", name, s)
			}
			if shut { // the operator has emptied it
				for _, key := range h.keys[0] {
					must(t, sick.PlainCache.Delete(t.Context(), key))
				}
				must(t, h.SetState(t.Context(), "s00", fleet.StateHealthy))
			}
			for _, key := range h.keys[0] {
				if e, err := h.Get(t.Context(), key); e != nil || err != nil {
					t.Errorf("%s: Get = %v, %v", name, e, err)
				}
			}
			if s := h.Health()[0]; s.Out || s.FencedAll {
				t.Errorf("%s: it is %+v", name, s)
			}
		})
	}
}

// leased is a shard with leases of which deletes fail.
type leased struct {
	*memadapter.Process[string, string]
	fails atomic.Bool
}

func (l *leased) Delete(ctx context.Context, key string) error {
	if l.fails.Load() {
		return errDown
	}
	return l.Process.Delete(ctx, key)
}

func (l *leased) DeleteMany(ctx context.Context, keys []string) error {
	if l.fails.Load() {
		return errDown
	}
	return l.Process.DeleteMany(ctx, keys)
}

// With leases the store would tell that there is an entry: it is asked for the lease all
// the same.
func TestFenceWithLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var caches []*leased
		f, _ := open(t, equal(2), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
			caches = append(caches, &leased{Process: memadapter.NewShared[string, string](10 * time.Second).Process()})
			return caches[len(caches)-1]
		})
		l := loader(t, f)
		loads := 0
		get := func() string {
			v, err := l.GetOrLoad(t.Context(), "key", func(context.Context, string) (string, error) {
				loads++
				return fmt.Sprint("load ", loads), nil
			})
			must(t, err)
			return v
		}
		get()
		for _, c := range caches {
			c.fails.Store(true)
		}
		wantIs(t, l.Delete(t.Context(), "key"), errDown)
		if v := get(); v != "load 2" {
			t.Errorf("after a Delete that failed it is %q", v)
		}
		for _, c := range caches {
			c.fails.Store(false)
		}
		time.Sleep(2 * time.Second)
		get() // has the fence cleaned
		synctest.Wait()
		v := get()
		if again := get(); again != v {
			t.Errorf("loads go on: %q, then %q", v, again)
		}
		must(t, l.Close(t.Context()))
	})
}
