package ristrettoadapter_test

import (
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
)

// P15: lives from two nanoseconds to the longest there is.
//
// Red when lifeFor, in plain.go, cuts them to seconds, or takes no nanosecond off.
func TestPeers_P15_PlainLives(t *testing.T) {
	for _, life := range []time.Duration{2, 500 * time.Millisecond, time.Second, time.Minute, 100 * time.Hour} {
		t.Run(life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := values(t, nil)
				must(t, c.SetValue(t.Context(), "k", 1, life))
				must(t, c.Settle(t.Context(), "k"))
				wantLife(t, c, life-1)
				time.Sleep(life / 2)
				wantLife(t, c, life-life/2-1)
				time.Sleep(life - life/2)
				wantValue(t, c, "k", -1)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c, _ := values(t, nil)
		must(t, c.SetValue(t.Context(), "k", 1, math.MaxInt64))
		must(t, c.Settle(t.Context(), "k"))
		wantLife(t, c, math.MaxInt64-1)
		time.Sleep(time.Hour)
		wantLife(t, c, math.MaxInt64-1-time.Hour)
		for _, none := range []time.Duration{0, -1, math.MinInt64} {
			must(t, c.SetValue(t.Context(), "k", 1, time.Hour))
			must(t, c.SetValue(t.Context(), "k", 1, none))
			wantValue(t, c, "k", -1)
		}
	})
}

// wantLife is exact in a bubble's time, also before the value is settled. In
// the nanosecond before its end a value is taken for one without an end.
func wantLife(t *testing.T, c *ristrettoadapter.PlainCache[string, int], want time.Duration) {
	t.Helper()
	if want == 0 {
		want = -1
	}
	_, life, ok, err := c.GetValue(t.Context(), "k")
	must(t, err)
	if !ok || life != want {
		t.Fatalf("life is %d, found %v; want %d", life, ok, want)
	}
}

// The overlay keeps a value no longer than Ristretto does.
func TestUnsettledValueEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := values(t, nil)
		must(t, c.SetValue(t.Context(), "k", 1, 10*time.Millisecond))
		time.Sleep(10 * time.Millisecond)
		wantValue(t, c, "k", -1)
	})
}

// Values that were there before, written by others.
func TestPlainReadsWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, raw := values(t, nil)
		raw.Set("endless", 1, 1)
		raw.SetWithTTL("ending", 2, 1, time.Minute)
		raw.Wait()
		time.Sleep(time.Second)
		_, life, ok, err := c.GetValue(t.Context(), "endless")
		if !ok || life >= 0 || err != nil {
			t.Errorf("endless: life %v, found %v, error %v", life, ok, err)
		}
		_, life, ok, err = c.GetValue(t.Context(), "ending")
		if !ok || life != 59*time.Second || err != nil {
			t.Errorf("ending: life %v, found %v, error %v", life, ok, err)
		}
		e, err := c.Get(t.Context(), "endless")
		must(t, err)
		if e.Value != 1 || e.Keep != math.MaxInt64 || !e.LoadedAt.IsZero() {
			t.Errorf("Get returned %+v", e)
		}
	})
}

func TestPlainSetOfAbsentDeletes(t *testing.T) {
	both := func(t *testing.T) {
		c, _ := values(t, nil)
		must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
		absent := &corral.Entry[int]{Absent: true, Keep: time.Hour}
		must(t, c.Set(t.Context(), "k", absent))
		wantValue(t, c, "k", -1)
	}
	synctest.Test(t, both)
}

// Each value has a life of as many hours; no reader sees one's with the
// other's.
func TestValueAndLifeAreOfOneWrite(t *testing.T) {
	c, _ := values(t, nil)
	must(t, c.SetValue(t.Context(), "k", 1, time.Hour))
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					v := 1 + n%50
					if err := c.SetValue(t.Context(), "k", v, time.Duration(v)*time.Hour); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for range 100_000 {
		v, life, ok, err := c.GetValue(t.Context(), "k")
		must(t, err)
		if hours := time.Duration(v) * time.Hour; !ok || life > hours || life < hours-time.Minute {
			t.Errorf("value %d has a life of %v, found %v", v, life, ok)
			break
		}
	}
	close(stop)
	all.Wait()
}
