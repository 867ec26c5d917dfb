package layered_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// What a Fill does to the copy that is there: replaced by what far accepted, gone
// if far has nothing, and kept while nobody knows better, since a stale value is
// more than none.
func TestFill(t *testing.T) {
	for _, tt := range []struct {
		name  string
		entry int // 0: none
		far   error
		near  error
		want  int // 0: none
	}{
		{"accepted", 2, nil, nil, 2},
		{"accepted, near cannot take it", 2, nil, errBoom, 0},
		{"absent", 0, nil, nil, 0},
		{"refused", 2, corral.ErrRefused, nil, 0},
		{"the lease was lost", 2, corral.ErrLeaseLost, nil, 1},
		{"far failed", 2, errBoom, nil, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := hearing(t, newStore(), layered.Options{})
				must(t, p.Set(t.Context(), "k", lasting(1)))
				p.near.setErr = tt.near
				p.far.going = func(op string) error {
					p.wantCopy("k", 1, "when far is asked to "+op)
					return tt.far
				}
				held, err := p.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "t", Force: true})
				if !errors.Is(err, tt.far) {
					t.Fatal(err)
				}
				if tt.far == nil && held.State != corral.LeaseHeld {
					t.Fatalf("Acquire = %+v, want the lease", held)
				}
				var e entry
				if tt.entry != 0 {
					e = lasting(tt.entry)
				}
				if err := p.Fill(t.Context(), "k", "t", e); !errors.Is(err, tt.far) {
					t.Errorf("Fill = %v, want %v", err, tt.far)
				}
				if got := p.copyOf("k"); (got == nil) != (tt.want == 0) || got != nil && got.Value != tt.want {
					t.Errorf("near serves %v, want %d (0: nothing)", show(got), tt.want)
				}
			})
		})
	}
}

// What Acquire finds changed is copied, and reaches the Loader as far gave it.
func TestAcquireCopiesWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.far.Process.Set(t.Context(), "k", lasting(1)))
		want, _ := p.far.Process.Get(t.Context(), "k")
		got, err := p.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "t"})
		must(t, err)
		if got.State != corral.LeaseChanged || got.Entry != want {
			t.Errorf("Acquire = %+v, want far's entry with its Version", got)
		}
		p.wantCopy("k", 1, "after Acquire")
		_, far := p.Layers()
		if e, _ := far.Get(t.Context(), "k"); e != want {
			t.Errorf("the far layer returned %+v, want far's entry", e)
		}
	})
}

// The rest of a lease is far's.
func TestLeaseCallsArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := newProcess(t, s, layered.Options{}), newProcess(t, s, layered.Options{})
		if life := p.LeaseLife(); life != 2*time.Second {
			t.Errorf("LeaseLife = %v, want 2s", life)
		}
		_, err := p.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "t"})
		must(t, err)
		time.Sleep(time.Second)
		must(t, p.Renew(t.Context(), "k", "t"))
		time.Sleep(time.Second)
		busy, err := other.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "u"})
		must(t, err)
		if busy.State != corral.LeaseBusy || busy.Left != time.Second {
			t.Errorf("the other's Acquire = %+v, want busy for 1s more", busy)
		}
		ended, stop := other.Watch("k")
		defer stop()
		must(t, p.Release(t.Context(), "k", "t"))
		<-ended
	})
}

// Over a far cache without leases, or whose leases are off, there are none.
func TestNoLeases(t *testing.T) {
	c := layered.New(memadapter.New[string, int](), new(store).Process(), layered.Options{})
	if life := c.LeaseLife(); life != 0 {
		t.Errorf("LeaseLife = %v, want 0", life)
	}
	_, acquired := c.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "t"})
	for name, err := range map[string]error{
		"Acquire": acquired,
		"Renew":   c.Renew(t.Context(), "k", "t"),
		"Fill":    c.Fill(t.Context(), "k", "t", lasting(1)),
		"Release": c.Release(t.Context(), "k", "t"),
	} {
		if err == nil {
			t.Errorf("%s returned nil", name)
		}
	}
	_, stop := c.Watch("k")
	stop()
}
