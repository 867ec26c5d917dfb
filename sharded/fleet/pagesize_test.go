package fleet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

const ms = time.Millisecond

func sizer(t testing.TB, p fleet.PageSize) *fleet.Sizer {
	t.Helper()
	s, err := fleet.NewSizer(p)
	must(t, err)
	return s
}

func TestPageSizeDefaults(t *testing.T) {
	for _, c := range []struct {
		given fleet.PageSize
		first int
		most  int
	}{
		{fleet.PageSize{}, 64, 4096},
		{fleet.PageSize{Min: 5}, 5, 4096},
		{fleet.PageSize{Max: 8}, 8, 8},
		{fleet.PageSize{Min: 9000}, 9000, 9000},
		{fleet.PageSize{Min: 10, Max: 1000}, 10, 1000},
		{fleet.PageSize{Max: 100_000}, 64, 100_000},
	} {
		s := sizer(t, c.given)
		first := s.Size()
		for range 40 {
			s.Learn(0)
		}
		if first != c.first || s.Size() != c.most {
			t.Errorf("%+v goes from %d to %d, want %d to %d", c.given, first, s.Size(), c.first, c.most)
		}
	}
}

// The dead band, to the nanosecond; how far a change goes; the bounds.
func TestPageSizeSteps(t *testing.T) {
	for _, c := range []struct {
		name string
		took time.Duration
		want int
	}{
		{"as wanted", 10 * ms, 100},
		{"the band's lower end", 8 * ms, 100},
		{"below it", 8*ms - 1, 125},
		{"the band's upper end", 12 * ms, 100},
		{"above it", 12*ms + 1, 83},
		{"half as long", 5 * ms, 200},
		{"nothing", 0, 200},
		{"twice as long", 20 * ms, 50},
		{"much longer", time.Hour, 25},
		{"beyond all bounds", 1 << 62, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := sizer(t, fleet.PageSize{Min: 10, Max: 1000, Latency: 10 * ms})
			for _, took := range []time.Duration{0, 0, 0, 16 * ms} { // 20, 40, 80, 50
				s.Learn(took)
			}
			s.Learn(5 * ms) // 100
			if got, _ := s.Learn(c.took); got != c.want {
				t.Errorf("from 100 to %d, want %d", got, c.want)
			}
		})
	}
	s := sizer(t, fleet.PageSize{Min: 10, Max: 30, Latency: 10 * ms})
	for _, want := range []int{20, 30, 30} {
		if got, _ := s.Learn(0); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	for _, want := range []int{10, 10} {
		if got, _ := s.Learn(time.Second); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
}

// A latency with a step in it would have the size jump for ever: it is noticed, and
// the size stays with what is fast.
func TestPageSizeOscillation(t *testing.T) {
	s := sizer(t, fleet.PageSize{Min: 100, Max: 100_000, Latency: 10 * ms})
	noticed, changes, last := -1, 0, 0
	for n := range 200 {
		took := 2 * ms
		if s.Size() > 1000 {
			took = 50 * ms
		}
		size, oscillates := s.Learn(took)
		if oscillates && noticed < 0 {
			noticed = n
		}
		if n >= 100 && size != last {
			changes++
		}
		last = size
	}
	if noticed < 0 || noticed > 12 {
		t.Errorf("noticed after %d pages", noticed)
	}
	if changes > 5 || last > 1000 {
		t.Errorf("%d changes in the last 100 pages, at %d", changes, last)
	}
	// What goes one way is followed again.
	for range 300 {
		s.Learn(0)
	}
	if size, oscillates := s.Learn(0); size != 100_000 || oscillates {
		t.Errorf("afterwards it goes to %d, oscillating: %v", size, oscillates)
	}
}

// A shard that takes 10 µs for each item it is asked for is asked for 1,000, in 10 ms.
func TestScanAdaptsToTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, told := newFaulty(), &ends{}
		for n := range 20_000 {
			must(t, store.Cache.Set(t.Context(), string(rune(n)), fresh("")))
		}
		f, _ := open(t, equal(1), fleet.Options[string]{Hooks: told.hooks()}, func(int) corral.Cache[string, string] {
			return slowScan{store, 0, 10 * time.Microsecond}
		})
		for range f.Scan(context.Background(), scanOptions{PageSize: fleet.PageSize{Min: 1, Max: 100_000}}) {
		}
		end := told.want(t, fleet.EndedOK)
		if size := end.PageSizes["s00"]; size < 800 || size > 1250 {
			t.Errorf("the size is %d, want about 1,000", size)
		}
		at := 1
		for _, c := range told.sizes {
			if c.From != at || c.To <= c.From || c.Shard != "s00" || c.Oscillating || c.Took != time.Duration(c.From)*10*time.Microsecond {
				t.Errorf("the change is %+v, from %d", c, at)
			}
			at = c.To
		}
		if at != end.PageSizes["s00"] || len(told.sizes) < 8 {
			t.Errorf("%d changes to %d", len(told.sizes), at)
		}
	})
}

// A page that took next to nothing doubles the size, also where an int has 32 bits: run it
// with GOARCH=386.
func TestPageSizeOfAPageThatTookNothing(t *testing.T) {
	for _, first := range []int{64, 500, 4096, 40_000} {
		for _, latency := range []time.Duration{ms, 10 * ms, time.Second, time.Minute} {
			s := sizer(t, fleet.PageSize{Min: first, Max: corral.MaxScanCount, Latency: latency})
			if size, _ := s.Learn(1); size != 2*first {
				t.Errorf("after a page of %d that took 1 ns, of %v, the size is %d", first, latency, size)
			}
		}
	}
}
