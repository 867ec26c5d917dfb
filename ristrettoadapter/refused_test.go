package ristrettoadapter_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// full returns a cache whose only place is taken by an entry that is read a lot.
func full(t *testing.T) *ristretto.Cache[string, item] {
	t.Helper()
	raw := open(t, func(cfg *config) { cfg.MaxCost, cfg.BufferItems = 1, 1 })
	raw.Set("popular", held(0, time.Hour), 1)
	raw.Wait()
	for range 20 {
		raw.Get("popular")
		synctest.Wait() // until the policy has counted it
	}
	return raw
}

func TestSettleSaysRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		raw := full(t)
		c := ristrettoadapter.New(raw, ristrettoadapter.Options[int]{})
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		wantErr(t, c.Settle(t.Context(), "k"), corral.ErrRefused)
		wantValue(t, c, "k", -1)
		wantValue(t, c, "popular", 0)
		must(t, c.Settle(t.Context(), "k")) // said once
		if got := c.Stats().Refused; got != 1 {
			t.Fatalf("Refused is %d, want 1", got)
		}
	})
}

// Nobody settles: the timer does.
func TestUnsettledIsSettledInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ristrettoadapter.New(full(t), ristrettoadapter.Options[int]{})
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		wantValue(t, c, "k", 1) // the policy was not asked yet, as far as anybody can tell
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		wantValue(t, c, "k", -1)
		if got := c.Stats().Refused; got != 1 {
			t.Fatalf("Refused is %d, want 1", got)
		}
	})
}

// What somebody else deletes, replaces or evicts later was not refused.
func TestSettleIsNilForLaterWrites(t *testing.T) {
	both(t, func(t *testing.T, c settling) {
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		must(t, c.Delete(t.Context(), "k"))
		must(t, c.Settle(t.Context(), "k"))
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		must(t, c.Set(t.Context(), "k", lasting(2, time.Hour)))
		must(t, c.Settle(t.Context(), "k"))
		must(t, c.Settle(t.Context(), "never set"))
		if got := c.Stats().Refused; got != 0 {
			t.Fatalf("Refused is %d, want 0", got)
		}
	})
}

// A value dearer than the whole cache is refused at once, and what it was to
// replace is gone (W2).
func TestRefusedForCost(t *testing.T) {
	t.Run("New", func(t *testing.T) {
		raw := open(t, func(cfg *config) { cfg.MaxCost = 10 })
		refusedForCost(t, ristrettoadapter.New(raw, ristrettoadapter.Options[int]{Cost: costOf}))
	})
	t.Run("Plain", func(t *testing.T) {
		raw := open(t, func(cfg *ristretto.Config[string, int]) { cfg.MaxCost = 10 })
		refusedForCost(t, ristrettoadapter.Plain(raw, ristrettoadapter.Options[int]{Cost: costOf}))
	})
}

func costOf(v int) int64 { return int64(v) }

func refusedForCost(t *testing.T, c settling) {
	must(t, c.Set(t.Context(), "k", lasting(10, time.Hour)))
	must(t, c.Settle(t.Context(), "k"))
	wantValue(t, c, "k", 10)
	wantErr(t, c.Set(t.Context(), "k", lasting(11, time.Hour)), corral.ErrRefused)
	wantValue(t, c, "k", -1)
	wantErr(t, c.Set(t.Context(), "other", lasting(11, time.Hour)), corral.ErrRefused)
	if got := c.Stats().Refused; got != 2 {
		t.Fatalf("Refused is %d, want 2", got)
	}
}

// Ristretto tells nobody that ShouldUpdate refused, and keeps the old value.
func TestRefusedByShouldUpdate(t *testing.T) {
	t.Run("New", func(t *testing.T) {
		c, _ := entries(t, func(cfg *config) {
			cfg.ShouldUpdate = func(cur, prev item) bool { return cur.Entry().Value > prev.Entry().Value }
		})
		refusedByShouldUpdate(t, c)
	})
	t.Run("Plain", func(t *testing.T) {
		c, _ := values(t, func(cfg *ristretto.Config[string, int]) {
			cfg.ShouldUpdate = func(cur, prev int) bool { return cur > prev }
		})
		refusedByShouldUpdate(t, c)
	})
}

func refusedByShouldUpdate(t *testing.T, c settling) {
	must(t, c.Set(t.Context(), "k", lasting(2, time.Hour)))
	must(t, c.Settle(t.Context(), "k"))
	must(t, c.Set(t.Context(), "k", lasting(3, time.Hour)))
	wantErr(t, c.Set(t.Context(), "k", lasting(1, time.Hour)), corral.ErrRefused)
	wantValue(t, c, "k", -1)
}

// Values that == cannot compare: ShouldUpdate's refusal is still seen, and what
// does not equal itself is not taken for refused.
func TestPlainComparesAnyValue(t *testing.T) {
	type value struct {
		tags  []string
		clean func()
	}
	ok := true
	raw := open(t, func(cfg *ristretto.Config[string, value]) {
		cfg.ShouldUpdate = func(value, value) bool { return ok }
	})
	c := ristrettoadapter.Plain(raw, ristrettoadapter.Options[value]{})
	set := func(v value) error { return c.SetValue(t.Context(), "k", v, time.Hour) }
	must(t, set(value{tags: []string{"a"}}))
	must(t, c.Settle(t.Context(), "k"))
	must(t, set(value{tags: []string{"b"}}))
	must(t, set(value{clean: func() {}}))
	must(t, set(value{tags: []string{"c"}}))
	ok = false
	wantErr(t, set(value{tags: []string{"d"}}), corral.ErrRefused)
}

// E12: an update changes the cost too, and a negative one cannot make room.
func TestCost(t *testing.T) {
	cost := map[int]int64{}
	raw := open(t, func(cfg *config) { cfg.MaxCost, cfg.Metrics = 10, true })
	c := ristrettoadapter.New(raw, ristrettoadapter.Options[int]{Cost: func(v int) int64 { return cost[v] }})
	used := func() int64 {
		raw.Wait()
		return int64(raw.Metrics.CostAdded() - raw.Metrics.CostEvicted())
	}
	for _, step := range []struct{ value, cost, used int64 }{{1, 3, 3}, {2, 5, 5}, {3, 1, 1}} {
		cost[int(step.value)] = step.cost
		must(t, c.Set(t.Context(), "k", lasting(int(step.value), time.Hour)))
		must(t, c.Settle(t.Context(), "k"))
		if used() != step.used {
			t.Fatalf("value %d: %d used, want %d", step.value, used(), step.used)
		}
	}
	cost[4] = -1
	err := c.Set(t.Context(), "k", lasting(4, time.Hour))
	if err == nil || !strings.Contains(err.Error(), "Options.Cost returned -1: must be 0 or more") {
		t.Fatalf("error is %v, want one that names the field, the value and the bound", err)
	}
	absent := lasting(4, time.Hour)
	absent.Absent = true
	must(t, c.Set(t.Context(), "absent", absent))
}

// A cost of 0 is Ristretto's own sign for "ask Config.Cost".
func TestCostByRistretto(t *testing.T) {
	raw := open(t, func(cfg *ristretto.Config[string, int]) {
		cfg.Metrics, cfg.Cost = true, func(v int) int64 { return int64(v) }
	})
	for _, tt := range []struct {
		opts ristrettoadapter.Options[int]
		want uint64
	}{
		{ristrettoadapter.Options[int]{}, 1},
		{ristrettoadapter.Options[int]{Cost: func(int) int64 { return 0 }}, 7},
	} {
		raw.Clear()
		c := ristrettoadapter.Plain(raw, tt.opts)
		must(t, c.SetValue(t.Context(), "k", 7, time.Hour))
		must(t, c.Settle(t.Context(), "k"))
		if got := raw.Metrics.CostAdded(); got != tt.want {
			t.Errorf("cost is %d, want %d", got, tt.want)
		}
	}
}

// The user's functions that panic do so in Ristretto's calls, on our callers'
// goroutines. What they panic with may be a key or a value: the error carries it
// and does not show it.
func TestPanicsOfTheUsersFunctions(t *testing.T) {
	boom := false
	explode := func() bool {
		if boom {
			panic("key of Ann")
		}
		return true
	}
	raw := open(t, func(cfg *config) {
		cfg.ShouldUpdate = func(item, item) bool { return explode() }
		cfg.KeyToHash = func(key string) (uint64, uint64) { explode(); return uint64(len(key)), 1 }
	})
	c := ristrettoadapter.New(raw, ristrettoadapter.Options[int]{Cost: func(int) int64 { explode(); return 1 }})
	must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
	must(t, c.Settle(t.Context(), "k"))
	boom = true
	_, err := c.Get(t.Context(), "k")
	for call, err := range map[string]error{
		"Get": err, "Set": c.Set(t.Context(), "k", lasting(2, time.Hour)), "Delete": c.Delete(t.Context(), "k"),
	} {
		var p *corral.PanicError
		if !errors.As(err, &p) || p.Value != "key of Ann" || len(p.Stack) == 0 {
			t.Errorf("%s: error is %v, want a PanicError with value and stack", call, err)
		}
		if err != nil && (strings.Contains(err.Error(), "Ann") || !strings.Contains(err.Error(), "panicked with a string")) {
			t.Errorf("%s: text %q, want the kind of the value and not the value", call, err)
		}
	}
	boom = false
	must(t, c.Set(t.Context(), "k", lasting(3, time.Hour)))
	wantValue(t, c, "k", 3)
}
