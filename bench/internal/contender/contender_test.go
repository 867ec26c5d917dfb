package contender

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Every contender does what its scenarios ask of it: what is filled is hit, what
// is not there is loaded, and a call is coalesced.
func TestContenders(t *testing.T) {
	for _, c := range All() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.HitString != nil {
				checkHits(t, c.HitString, []string{"a", "b", "c", "d"}, c.Module == "")
			}
			if c.HitInt != nil {
				checkHits(t, c.HitInt, []int{1, 2, 3, 4}, c.Module == "")
			}
			if c.Miss != nil {
				checkMisses(t, c)
			}
			checkFlights(t, c.Flight)
			checkFlights(t, c.FlightCtx)
			if c.Service != nil {
				checkService(t, c)
			}
		})
	}
}

func checkHits[K Key](t *testing.T, open func(HitOptions) (Hits[K], error), keys []K, own bool) {
	h, err := open(HitOptions{Capacity: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, counts := h.(interface{ Hits() uint64 }); own && !counts {
		t.Error("its count of hits is not known, which must be exact after a run")
	}
	if _, err := h.Hit(keys, 0, 1); err == nil {
		t.Errorf("a hit of %v before it is filled", keys[0])
	}
	if err := h.Fill(keys); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Hit(keys, 3, 9); err != nil {
		t.Errorf("hits of %v: %v", keys, err)
	}
}

func checkMisses(t *testing.T, c Contender) {
	m, err := c.Miss(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Miss([]string{"x", "y"}); err != nil {
		t.Error("misses:", err)
	}
}

func checkFlights(t *testing.T, open func() Flights) {
	if open == nil {
		return
	}
	ctx := t.Context()
	f := open()
	if err := f.Fly(ctx, []string{"a", "b"}, 1, 5); err != nil {
		t.Error("flights:", err)
	}
	if got, err := f.With(func(context.Context) (int, error) { return 7, nil })(ctx, "k"); got != 7 || err != nil {
		t.Errorf("a flight came to %d, %v, want 7", got, err)
	}
}

func checkService(t *testing.T, c Contender) {
	loads := 0
	s, err := c.Service(ServiceOptions{TTL: time.Hour, Capacity: 1000, Load: func(_ context.Context, key string) (string, error) {
		loads++
		return fmt.Sprint(key, loads), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, err := s.Get(t.Context(), "k"); v != "k1" || err != nil {
		t.Errorf("the first call came to %q, %v, want k1", v, err)
	}
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Error(err)
	}
}

func TestAllBeginsWithCorral(t *testing.T) {
	list := All()
	if len(list) < 20 || list[0].Module != "" {
		t.Errorf("%d contenders, the first one of %q: want Corral's first, and all others", len(list), list[0].Module)
	}
	names := make(map[string]bool)
	for _, c := range list {
		if names[c.Name] {
			t.Errorf("two contenders are called %q", c.Name)
		}
		names[c.Name] = true
	}
}
