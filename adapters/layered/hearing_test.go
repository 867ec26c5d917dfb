package layered_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// H1: while nothing is heard, a copy is served for Unheard from the instant at
// which far was asked, and not a nanosecond longer.
func TestUnheardCopiesLiveBriefly(t *testing.T) {
	for _, tt := range []struct {
		option, want time.Duration
	}{{0, time.Second}, {1, 1}, {300 * time.Millisecond, 300 * time.Millisecond}} {
		for _, lag := range []time.Duration{0, 100 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v, far takes %v", tt.option, lag), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := newProcess(t, newStore(), layered.Options{Unheard: tt.option})
					must(t, p.far.Process.Set(t.Context(), "k", lasting(1)))
					p.far.coming = func(string) error { time.Sleep(lag); return nil }
					p.read("k")
					left := tt.want - lag
					if left <= 0 {
						p.wantNone("k", "once far took as long as Unheard")
						return
					}
					time.Sleep(left - 1)
					p.wantCopy("k", 1, "a nanosecond before its end")
					time.Sleep(1)
					p.wantNone("k", "at its end")
				})
			})
		}
	}
}

// While announcements are heard, copies live as long as their entries.
func TestHeardCopiesLiveAsLongAsTheirEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		e := lasting(1)
		must(t, p.far.Process.Set(t.Context(), "k", e))
		time.Sleep(time.Minute)
		p.read("k")
		time.Sleep(time.Minute - 1)
		p.wantCopy("k", 1, "before Keep is over")
		if got := p.copyOf("k"); got.LoadedAt != e.LoadedAt || got.TTL != e.TTL || got.Keep != e.Keep {
			t.Errorf("the copy is %+v, want the times of %+v", got, e)
		}
		time.Sleep(1)
		p.wantNone("k", "once Keep is over") // H12: counted from the load, not from the fill
		if n := p.far.reads.Load(); n != 1 {
			t.Errorf("far was read %d times, want once", n)
		}
	})
}

// H1: all copies from before a gap are dropped when it begins and when it ends.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := newProcess(t, s, layered.Options{}), newProcess(t, s, layered.Options{})
		must(t, other.Set(t.Context(), "k", lasting(1)))
		p.read("k")
		p.wantCopy("k", 1, "before the first subscription")
		stop := p.listen(func(...string) {})
		p.wantNone("k", "with the first subscription")
		p.read("k")
		time.Sleep(30 * time.Second)
		p.wantCopy("k", 1, "while it hears")
		stop()
		p.wantNone("k", "once the subscription is lost")
		p.read("k")
		must(t, other.Set(t.Context(), "k", lasting(2))) // nobody hears this
		p.wantCopy("k", 1, "in the gap")
		time.Sleep(time.Second)
		p.wantNone("k", "Unheard later")
		p.read("k")
		p.wantCopy("k", 2, "in the gap, read again")
		p.listen(func(...string) {})
		p.wantNone("k", "once it hears again")
		p.read("k")
		time.Sleep(30 * time.Second)
		p.wantCopy("k", 2, "while it hears again")
	})
}

// A fill that began before a gap is not copied after it, and one that began at
// its very instant is not either.
func TestGapDetachesFills(t *testing.T) {
	for _, lag := range []time.Duration{0, time.Nanosecond} {
		for name, event := range map[string]func(p *process){
			"it hears again":           func(p *process) { p.listen(func(...string) {}) },
			"the subscription is lost": func(p *process) { p.far.cut <- struct{}{} },
		} {
			t.Run(fmt.Sprintf("%s %v after the fill began", name, lag), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := hearing(t, newStore(), layered.Options{})
					must(t, p.far.Process.Set(t.Context(), "k", lasting(1)))
					p.far.coming = func(string) error {
						time.Sleep(lag)
						event(p)
						synctest.Wait()
						return nil
					}
					p.read("k")
					p.wantNone("k", "after a fill across the gap")
					if e, _ := p.near.Get(t.Context(), "k"); e != nil {
						t.Error("near was given a copy that it may never serve")
					}
					p.far.coming = nil
					p.read("k")
					p.wantCopy("k", 1, "after the next fill, at the same instant")
				})
			})
		}
	}
}

// H3: a far cache that forgot what it heard says so, and near begins anew. So it
// does for each of two gaps at one instant.
func TestOverflowDropsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		other := newProcess(t, s, layered.Options{})
		p := newProcess(t, s, layered.Options{})
		drops, slow := 0, make(chan struct{})
		p.listen(func(keys ...string) {
			if drops++; drops == 2 {
				<-slow
			}
		})
		must(t, other.Set(t.Context(), "k", lasting(1)))
		synctest.Wait() // drop is called with k, and waits
		p.read("k")
		for i := range 2000 {
			must(t, other.Set(t.Context(), fmt.Sprint(i), lasting(i)))
		}
		p.wantCopy("k", 1, "before the overflow is noticed")
		close(slow)
		synctest.Wait()
		if drops != 3 {
			t.Fatalf("drop was called %d times, want 3: the test shows no overflow", drops)
		}
		p.wantNone("k", "after the overflow")
		p.read("k")
		time.Sleep(30 * time.Second)
		p.wantCopy("k", 1, "filled after the overflow")
	})
}

// Near's copy is gone when the Loader hears of a key.
func TestCopiesAreDroppedBeforeTheLoaderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := newProcess(t, s, layered.Options{}), newProcess(t, s, layered.Options{})
		told := 0
		p.listen(func(keys ...string) {
			told += len(keys)
			p.wantNone("k", "when the Loader is told")
		})
		must(t, other.Set(t.Context(), "k", lasting(1)))
		synctest.Wait()
		p.read("k")
		must(t, other.Delete(t.Context(), "k"))
		synctest.Wait()
		if told != 2 {
			t.Errorf("told of %d keys, want 2", told)
		}
	})
}

// H11: one's own writes are copied and stay.
func TestOwnAnnouncementsAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		synctest.Wait()
		p.wantCopy("k", 1, "after one's own Set")
	})
}

// Two Loaders over one cache: while one of them hears, nothing is missed.
func TestTwoListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore()
		p, other := newProcess(t, s, layered.Options{}), newProcess(t, s, layered.Options{})
		first := p.listen(func(...string) {})
		second := p.listen(func(...string) {})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		first()
		time.Sleep(30 * time.Second)
		p.wantCopy("k", 1, "while the second listens")
		must(t, other.Delete(t.Context(), "k"))
		synctest.Wait()
		p.wantNone("k", "after a Delete that the second heard")
		must(t, p.Set(t.Context(), "k", lasting(1)))
		second()
		p.wantNone("k", "when nobody listens")
	})
}

// What cannot be dropped is outlived: nobody could be told that it is there.
func TestNearThatCannotDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		s := newStore()
		p := hearing(t, s, layered.Options{NearError: func(err error) { told = append(told, err) }})
		other := newProcess(t, s, layered.Options{})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		p.near.deleteErr = errBoom
		must(t, other.Delete(t.Context(), "k"))
		synctest.Wait()
		p.wantNone("k", "after another process's Delete")
		if len(told) != 1 || !errors.Is(told[0], errBoom) {
			t.Errorf("NearError was told %v, want near's error once", told)
		}
		p.near.deleteErr = nil
		must(t, p.Set(t.Context(), "k", lasting(2)))
		time.Sleep(30 * time.Second)
		p.wantCopy("k", 2, "set afterwards, while it hears")
	})
}

// A far cache without Listen hears nothing: copies live briefly for good, and
// Listen waits instead of being run again and again.
func TestFarCacheThatHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := deafFar{new(store).Process()}
		c := layered.New(memadapter.New[string, int](), far, layered.Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Listen(ctx, func(...string) { t.Error("drop was called") }) }()
		must(t, c.Set(t.Context(), "k", lasting(1)))
		near, _ := c.Layers()
		time.Sleep(time.Second - 1)
		if e, _ := near.Get(t.Context(), "k"); e == nil {
			t.Error("missed before Unheard was over")
		}
		time.Sleep(1)
		if e, _ := near.Get(t.Context(), "k"); e != nil {
			t.Error("found once Unheard was over")
		}
		time.Sleep(time.Hour)
		select {
		case err := <-ended:
			t.Fatalf("Listen returned %v by itself", err)
		default:
		}
		cancel(errBoom)
		if err := <-ended; !errors.Is(err, errBoom) {
			t.Errorf("Listen = %v, want the cause", err)
		}
		if life := c.LeaseLife(); life != 0 {
			t.Errorf("LeaseLife = %v over a far cache without leases", life)
		}
	})
}

// deafFar is a far cache and no more.
type deafFar struct{ corral.Cache[string, int] }

func (deafFar) Far() bool { return true }

// The longest Unheard there is does not overflow.
func TestHugeUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, newStore(), layered.Options{Unheard: math.MaxInt64})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		time.Sleep(time.Minute)
		p.wantCopy("k", 1, "a minute after Set")
	})
}
