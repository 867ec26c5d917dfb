package ristrettoadapter_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// Glance finds what Get finds, and its entries are quiet until their early
// refresh may be drawn for, to the nanosecond.
func TestGlance(t *testing.T) {
	const ttl, took = time.Hour, time.Second
	quiet := (&corral.Entry[int]{LoadedAt: time.Unix(1, 0), TTL: ttl, LoadTime: took}).Quiet()
	fresh := func() corral.Entry[*int] {
		return corral.Entry[*int]{Value: new(int), LoadedAt: time.Now(), LoadTime: took, TTL: ttl, Keep: 2 * ttl}
	}
	for name, tt := range map[string]struct {
		change func(e *corral.Entry[*int])
		quiet  time.Duration
	}{
		"fresh":            {func(*corral.Entry[*int]) {}, quiet},
		"old":              {func(e *corral.Entry[*int]) { e.LoadedAt = e.LoadedAt.Add(-time.Minute) }, quiet - time.Minute},
		"wall clock":       {func(e *corral.Entry[*int]) { e.LoadedAt = e.LoadedAt.Round(0) }, quiet},
		"from the future":  {func(e *corral.Entry[*int]) { e.LoadedAt = e.LoadedAt.Add(time.Minute) }, quiet + time.Minute},
		"load over TTL":    {func(e *corral.Entry[*int]) { e.LoadTime = 2 * ttl }, ttl / 2},
		"no load time":     {func(e *corral.Entry[*int]) { e.LoadTime = 0 }, ttl},
		"longest":          {func(e *corral.Entry[*int]) { e.TTL, e.Keep, e.LoadTime = math.MaxInt64, math.MaxInt64, 0 }, math.MaxInt64},
		"stale":            {func(e *corral.Entry[*int]) { e.LoadedAt = e.LoadedAt.Add(-ttl) }, 0},
		"absent":           {func(e *corral.Entry[*int]) { e.Value, e.Absent = nil, true }, 0},
		"of unknown age":   {func(e *corral.Entry[*int]) { e.LoadedAt = time.Time{} }, 0},
		"absent in future": {func(e *corral.Entry[*int]) { e.LoadedAt, e.Absent = e.LoadedAt.Add(time.Minute), true }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			overKinds(t, func(t *testing.T, c *ristrettoadapter.Cache[string, *int], items bool) {
				e := fresh()
				tt.change(&e)
				var value any
				if items && e.Value != nil {
					value = e.Value
				}
				wantGlance := func(when string, quiet bool) {
					t.Helper()
					g, err := c.Glance(t.Context(), "k")
					must(t, err)
					if g.Entry != &e || g.Value != value || g.Quiet != quiet {
						t.Errorf("%s: glance is %+v, want the entry, its value, and quiet %v", when, g, quiet)
					}
				}
				must(t, c.Set(t.Context(), "k", &e))
				must(t, c.Settle(t.Context(), "k"))
				wantGlance("at once", tt.quiet > 0)
				if tt.quiet > 0 && tt.quiet < math.MaxInt64 {
					time.Sleep(tt.quiet - 1)
					wantGlance("a nanosecond before", true)
					time.Sleep(1)
					wantGlance("at its end", false)
				}
			})
		})
	}
}

// overKinds runs a test over a cache of entries and one of items.
func overKinds(t *testing.T, test func(t *testing.T, c *ristrettoadapter.Cache[string, *int], items bool)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, ristrettoadapter.New(open[*corral.Entry[*int]](t, nil), ristrettoadapter.Options[*int]{}), false)
	})
	synctest.Test(t, func(t *testing.T) {
		test(t, ristrettoadapter.New(open[ristrettoadapter.Item[*int]](t, nil), ristrettoadapter.Options[*int]{}), true)
	})
}

// What is not settled yet Glance finds too, and what is not there it does not.
func TestGlanceOfUnsettled(t *testing.T) {
	c, _ := entries(t, nil)
	must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
	g, err := c.Glance(t.Context(), "k")
	must(t, err)
	if g.Entry == nil || g.Entry.Value != 1 {
		t.Errorf("glance is %+v, want the entry", g)
	}
	if g, err := c.Glance(t.Context(), "none"); err != nil || g.Entry != nil || g.Quiet {
		t.Errorf("glance of nothing is %+v, %v", g, err)
	}
	if _, err := ristrettoadapter.New((*ristretto.Cache[string, *corral.Entry[int]])(nil), ristrettoadapter.Options[int]{}).Glance(t.Context(), "k"); err == nil {
		t.Error("Glance without a cache returned nil")
	}
}
