package memadapter

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// Entries, leases of nothing and what Fill remembers all come and go.
func TestDeadCellsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, s := t.Context(), NewShared[int, int](time.Second)
		p := s.Process()
		const living = 100
		for k := range living {
			_ = p.Set(ctx, -1-k, &corral.Entry[int]{Keep: time.Hour})
		}
		for k := range 20 * minSweep {
			if k%64 == 0 {
				time.Sleep(2 * time.Second)
				if n := len(s.cells); n > 64+living+minSweep {
					t.Fatalf("%d cells of which %d live, want at most %d more", n, living, 64+minSweep)
				}
			}
			touch(ctx, p, k)
		}
		for k := range living {
			if e, _ := p.Get(ctx, -1-k); e == nil {
				t.Fatalf("entry %d was swept before its time", k)
			}
		}
	})
}

// touch leaves a short-lived cell of one kind or another under k.
func touch(ctx context.Context, p *Process[int, int], k int) {
	token := fmt.Sprint(k)
	if k%3 == 0 {
		_ = p.Set(ctx, k, &corral.Entry[int]{Keep: time.Second})
		return
	}
	_, _ = p.Acquire(ctx, k, corral.LeaseRequest[int]{Token: token})
	if k%3 == 1 {
		_ = p.Fill(ctx, k, token, nil)
	}
}

func TestNothingIsHeldForNobody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := NewShared[string, int](time.Second)
	p := s.Process()
	_, stop := p.Watch("k")
	_, stopToo := p.Watch("k")
	stop()
	if len(s.watchers["k"]) != 1 {
		t.Error("stop ended another's watch")
	}
	stopToo()
	_ = p.Listen(ctx, func(...string) { cancel() })
	_, _ = p.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "t"})
	_ = p.Release(t.Context(), "k", "t")
	if len(s.watchers) != 0 || len(s.ears) != 0 || len(s.cells) != 0 {
		t.Errorf("%d watchers, %d ears and %d cells are left, want none", len(s.watchers), len(s.ears), len(s.cells))
	}
}
