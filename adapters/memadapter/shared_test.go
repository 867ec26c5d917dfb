package memadapter_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

const leaseLife = 2 * time.Second

type process = memadapter.Process[string, int]

func lasting(value int) *corral.Entry[int] {
	return &corral.Entry[int]{Value: value, LoadedAt: time.Now(), Keep: time.Hour}
}

func acquire(t *testing.T, p *process, r corral.LeaseRequest[int]) corral.Lease[int] {
	t.Helper()
	l, err := p.Acquire(t.Context(), "k", r)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return l
}

func token(name string) corral.LeaseRequest[int] { return corral.LeaseRequest[int]{Token: name} }

// G1: the lease of one that died is had by another, to the nanosecond.
func TestLeaseLifeIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memadapter.NewShared[string, int](leaseLife)
		dead, next := store.Process(), store.Process()
		acquire(t, dead, token("dead"))
		time.Sleep(leaseLife - 1)
		if l := acquire(t, next, token("next")); l.State != corral.LeaseBusy || l.Left != 1 {
			t.Errorf("1ns before the end: %+v, want busy, 1ns left", l)
		}
		time.Sleep(1)
		if err := dead.Renew(t.Context(), "k", "dead"); !errors.Is(err, corral.ErrLeaseLost) {
			t.Errorf("Renew at the end = %v, want ErrLeaseLost", err)
		}
		if l := acquire(t, next, token("next")); l.State != corral.LeaseHeld {
			t.Errorf("at the end: %+v, want held", l)
		}
	})
}

func TestRenewCountsFromNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := memadapter.NewShared[string, int](leaseLife).Process()
		acquire(t, p, token("holder"))
		time.Sleep(leaseLife / 2)
		if err := p.Renew(t.Context(), "k", "holder"); err != nil {
			t.Fatal(err)
		}
		if l := acquire(t, p, token("next")); l.Left != leaseLife {
			t.Errorf("%v left after Renew, want %v", l.Left, leaseLife)
		}
	})
}

// The longest life there is must not be over at once, nor be left below zero: in
// a bubble the clock stands below zero, outside of one above.
func TestLeaseLifeDoesNotOverflow(t *testing.T) {
	check := func(t *testing.T) {
		p := memadapter.NewShared[string, int](math.MaxInt64).Process()
		acquire(t, p, token("holder"))
		if l := acquire(t, p, token("next")); l.State != corral.LeaseBusy || l.Left != 0 {
			t.Errorf("%+v, want busy, and what is left not known", l)
		}
	}
	t.Run("in a bubble", func(t *testing.T) { synctest.Test(t, check) })
	t.Run("outside", func(t *testing.T) {
		for start := time.Now(); time.Since(start) <= 1; {
		}
		check(t)
	})
}

// G2, G3: an Acquire that a client repeated arrives after the load began and a
// Delete ended its lease. Only who was answered last may store.
func TestGrantsAreToldApart(t *testing.T) {
	ctx, p := t.Context(), memadapter.NewShared[string, int](leaseLife).Process()
	first := acquire(t, p, token("holder")).Token
	if again := acquire(t, p, token("holder")).Token; again != first {
		t.Errorf("repeated at once, an acquire gets %q, want %q", again, first)
	}
	_ = p.Delete(ctx, "k")
	late := acquire(t, p, token("holder")).Token
	_ = p.Release(ctx, "k", first)
	for _, err := range []error{p.Renew(ctx, "k", first), p.Fill(ctx, "k", first, lasting(1))} {
		if !errors.Is(err, corral.ErrLeaseLost) {
			t.Errorf("with the token of the first grant: %v, want ErrLeaseLost", err)
		}
	}
	if err := p.Fill(ctx, "k", late, lasting(2)); err != nil {
		t.Errorf("with the token of the late grant: %v", err)
	}
}

func TestFillIsRepeatedForALife(t *testing.T) {
	tests := []struct {
		name  string
		since func(t *testing.T, p *process)
		lost  bool
	}{
		{"at once", func(*testing.T, *process) {}, false},
		{"within a life", func(*testing.T, *process) { time.Sleep(leaseLife - 1) }, false},
		{"after a life", func(*testing.T, *process) { time.Sleep(leaseLife) }, true},
		{"after Set", func(t *testing.T, p *process) { _ = p.Set(t.Context(), "k", lasting(2)) }, true},
		{"after Delete", func(t *testing.T, p *process) { _ = p.Delete(t.Context(), "k") }, true},
		{"after another's lease", func(t *testing.T, p *process) {
			acquire(t, p, corral.LeaseRequest[int]{Token: "next", Force: true})
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := memadapter.NewShared[string, int](leaseLife).Process()
				acquire(t, p, token("holder"))
				if err := p.Fill(t.Context(), "k", "holder", lasting(1)); err != nil {
					t.Fatal(err)
				}
				tt.since(t, p)
				before, _ := p.Get(t.Context(), "k")
				err := p.Fill(t.Context(), "k", "holder", lasting(3))
				if errors.Is(err, corral.ErrLeaseLost) != tt.lost {
					t.Errorf("Fill again = %v, lost: want %v", err, tt.lost)
				}
				if after, _ := p.Get(t.Context(), "k"); after != before {
					t.Errorf("Fill again changed %+v to %+v", before, after)
				}
			})
		})
	}
}

func TestAcquireTakesNoBadInput(t *testing.T) {
	for _, tt := range []struct {
		name  string
		life  time.Duration
		token string
		want  string
	}{
		{"no token", leaseLife, "", "the token of the lease is empty"},
		{"leases off", 0, "t", "the leases of this store are off"},
		{"a life below zero", -1, "t", "the leases of this store are off"},
	} {
		p := memadapter.NewShared[string, int](tt.life).Process()
		if _, err := p.Acquire(t.Context(), "k", token(tt.token)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
		for _, err := range []error{p.Renew(t.Context(), "k", tt.token), p.Fill(t.Context(), "k", tt.token, lasting(1))} {
			if !errors.Is(err, corral.ErrLeaseLost) {
				t.Errorf("%s: %v, want ErrLeaseLost", tt.name, err)
			}
		}
	}
}

func TestProcessChecks(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    *process
		want string // empty for nil
	}{
		{"leases", memadapter.NewShared[string, int](leaseLife).Process(), ""},
		{"leases off", memadapter.NewShared[string, int](0).Process(), ""},
		{"below zero", memadapter.NewShared[string, int](-1).Process(), "the life of leases is -1ns"},
		{"zero Process", new(process), "Shared.Process makes one"},
	} {
		err := tt.p.Check()
		if err == nil != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Check = %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestSharedSetOfNilEntry(t *testing.T) {
	p := memadapter.NewShared[string, int](leaseLife).Process()
	if err := p.Set(t.Context(), "k", nil); err == nil {
		t.Error("Set of a nil entry returned nil")
	}
	acquire(t, p, token("holder")) // and did not keep the store's mutex
}

// An entry is told by its Version from an equal one that was set later, and Set
// ignores the Version it is given.
func TestVersions(t *testing.T) {
	p := memadapter.NewShared[string, int](leaseLife).Process()
	e := lasting(1)
	_ = p.Set(t.Context(), "k", e)
	first, _ := p.Get(t.Context(), "k")
	_ = p.Set(t.Context(), "k", first)
	second, _ := p.Get(t.Context(), "k")
	if e.Version != 0 || first.Version == 0 || second.Version == first.Version {
		t.Errorf("Versions %d, %d, %d: want 0, one, another", e.Version, first.Version, second.Version)
	}
}

// heard collects what Listen tells, a line for each call.
func heard(t *testing.T, p *process, during func()) (calls [][]string, err error) {
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- p.Listen(ctx, func(keys ...string) { calls = append(calls, slices.Clone(keys)) })
	}()
	synctest.Wait()
	during()
	synctest.Wait()
	cancel(errOver)
	return calls, <-ended
}

var errOver = errors.New("over")

func TestListenTellsOfOthersWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), memadapter.NewShared[string, int](leaseLife)
		own, other := store.Process(), store.Process()
		calls, err := heard(t, own, func() {
			_ = own.Set(ctx, "k", lasting(1))
			_ = own.Delete(ctx, "k")
			acquire(t, other, token("holder"))
			_ = other.Fill(ctx, "k", "holder", lasting(1))
			synctest.Wait()
			_ = other.Set(ctx, "set", lasting(1))
			synctest.Wait()
			_ = other.Delete(ctx, "deleted")
		})
		if want := [][]string{nil, {"set"}, {"deleted"}}; !slices.EqualFunc(calls, want, slices.Equal) {
			t.Errorf("drop was called with %q, want %q", calls, want)
		}
		if !errors.Is(err, errOver) {
			t.Errorf("Listen = %v, want the cause", err)
		}
	})
}

// H3: who listens slowly holds up no writer, and is told that it missed some.
func TestSlowListenerHoldsUpNobody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		writes int
		want   int // keys of the second call; 0 for one without keys
	}{
		{"as many as wait", 1024, 1024},
		{"one more", 1025, 0},
		{"many more", 5000, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				store := memadapter.NewShared[int, int](leaseLife)
				slow, other := store.Process(), store.Process()
				var calls []int
				busy, ended := make(chan struct{}), make(chan error, 1)
				go func() {
					ended <- slow.Listen(ctx, func(keys ...int) {
						calls = append(calls, len(keys))
						<-busy
					})
				}()
				synctest.Wait()
				for k := range tt.writes {
					_ = other.Delete(ctx, k)
				}
				close(busy)
				synctest.Wait()
				_ = other.Delete(ctx, 1)
				synctest.Wait()
				cancel()
				<-ended
				if want := []int{0, tt.want, 1}; !slices.Equal(calls, want) {
					t.Errorf("drop was called with %d keys, want %d", calls, want)
				}
			})
		})
	}
}

// A write between the signal and the taking leaves a signal without a key. A
// drop without a key would empty near caches.
func TestListenNeverDropsAllWithoutReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	store := memadapter.NewShared[int, int](leaseLife)
	own, other := store.Process(), store.Process()
	const writes = 1000 // fewer than may wait
	empty, keys, begun, ended := 0, 0, make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- own.Listen(ctx, func(dropped ...int) {
			if keys += len(dropped); len(dropped) == 0 {
				if empty++; empty == 1 {
					close(begun)
				}
			}
			if keys == writes {
				cancel()
			}
		})
	}()
	<-begun
	for k := range writes {
		_ = other.Delete(ctx, k)
	}
	<-ended
	if empty != 1 || keys != writes {
		t.Errorf("drop without keys %d times, with %d keys, want 1 and %d", empty, keys, writes)
	}
}

func TestListenWithoutDrop(t *testing.T) {
	if err := memadapter.NewShared[string, int](0).Process().Listen(t.Context(), nil); err == nil {
		t.Error("Listen without a function to tell returned nil")
	}
}

func TestWatchSignals(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name string
		do   func(p *process)
		want bool
	}{
		{"Fill", func(p *process) { _ = p.Fill(ctx, "k", "holder", lasting(1)) }, true},
		{"Release", func(p *process) { _ = p.Release(ctx, "k", "holder") }, true},
		{"Set", func(p *process) { _ = p.Set(ctx, "k", lasting(1)) }, true},
		{"Delete", func(p *process) { _ = p.Delete(ctx, "k") }, true},
		{"a lost Fill", func(p *process) { _ = p.Fill(ctx, "k", "other", lasting(1)) }, false},
		{"another's Release", func(p *process) { _ = p.Release(ctx, "k", "other") }, false},
		{"another key", func(p *process) { _ = p.Delete(ctx, "l") }, false},
	} {
		store := memadapter.NewShared[string, int](leaseLife)
		holder, waits := store.Process(), store.Process()
		acquire(t, holder, token("holder"))
		ended, stop := waits.Watch("k")
		tt.do(holder)
		if got := len(ended) == 1; got != tt.want {
			t.Errorf("%s: signalled %v, want %v", tt.name, got, tt.want)
		}
		stop()
		stop()
	}
}
