package economy

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// calling is a service without a cache.
type calling struct{ s *source }

func (c calling) Get(ctx context.Context, key string) (string, error) { return c.s.load(ctx, key) }
func (c calling) Delete(context.Context, string) error                { return nil }
func (c calling) Close()                                              {}

func newRun(took time.Duration) run {
	s := newSource(took)
	return run{
		Scenario: Scenario{ttl: 250 * time.Millisecond, took: took}, source: s, length: time.Second,
		crowd: &crowd{service: calling{s}, ttl: 250 * time.Millisecond},
	}
}

// Without a cache every call is a load; in fake time all figures are exact.
func TestOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(100 * time.Millisecond)
		var wg sync.WaitGroup
		begin := time.Now()
		for range 10 {
			wg.Go(func() { r.crowd.get(t.Context(), "k", 2) })
		}
		wg.Wait()
		r.source.broken.Store(true)
		r.crowd.get(t.Context(), "k", 0)
		r.source.panics.Store(1)
		r.crowd.get(t.Context(), "k", 0)
		want := Outcome{
			Loads: 11, Least: 1, Peak: 10, Calls: 12, Errors: 2, Deleted: 10,
			Slowest: 100 * time.Millisecond, P999: 100 * time.Millisecond,
		}
		got := r.crowd.outcome(r.source, begin.Add(-1), 1)
		want.Loads++ // the one that panicked has begun, too
		if got != want {
			t.Errorf("the outcome is\n%+v, want\n%+v", got, want)
		}
	})
}

// The least number of loads: the first, and one after each TTL.
func TestExpiries(t *testing.T) {
	for _, test := range []struct {
		length time.Duration
		want   int
	}{{200 * time.Millisecond, 1}, {300 * time.Millisecond, 2}, {550 * time.Millisecond, 2}, {time.Second, 4}, {3 * time.Second, 11}} {
		r := newRun(50 * time.Millisecond)
		r.length = test.length
		if got := r.expiries(); got != test.want {
			t.Errorf("in %v there are %d loads at least, want %d", test.length, got, test.want)
		}
	}
}

// The best there is, and each way to fall short of it.
func TestBest(t *testing.T) {
	s := Scenario{stale: true, took: 50 * time.Millisecond, errors: 64}
	best := Outcome{Loads: 2, Least: 2, Errors: 64, Stale: 100, Slowest: 49 * time.Millisecond}
	if !s.Best(best) {
		t.Errorf("%+v is not the best", best)
	}
	for name, spoil := range map[string]func(o *Outcome){
		"a load more":   func(o *Outcome) { o.Loads++ },
		"a load less":   func(o *Outcome) { o.Loads-- },
		"an error":      func(o *Outcome) { o.Errors++ },
		"no error":      func(o *Outcome) { o.Errors = 0 },
		"deleted":       func(o *Outcome) { o.Deleted = 1 },
		"hung":          func(o *Outcome) { o.Hung = 1 },
		"waited":        func(o *Outcome) { o.Slowest = s.took },
		"died":          func(o *Outcome) { o.Died = "on purpose" },
		"not asked for": func(o *Outcome) { o.Impaired = "on purpose" },
	} {
		o := best
		spoil(&o)
		if s.Best(o) {
			t.Errorf("%s: %+v is taken for the best", name, o)
		}
	}
}
