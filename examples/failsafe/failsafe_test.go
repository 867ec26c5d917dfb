package failsafe_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/examples/failsafe"
	fs "github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

var errDown = errors.New("the source is down")

// source answers after 10 ms, with err if that is set.
type source struct {
	mu      sync.Mutex
	queries int                   // guarded by mu
	err     func(query int) error // guarded by mu
}

func (s *source) load(ctx context.Context, id int) (string, error) {
	s.mu.Lock()
	s.queries++
	n, err := s.queries, error(nil)
	if s.err != nil {
		err = s.err(n)
	}
	s.mu.Unlock()
	select {
	case <-time.After(10 * time.Millisecond):
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	return fmt.Sprintf("user %d, query %d", id, n), err
}

func (s *source) fails(err func(query int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries
}

func always(err error) func(int) error { return func(int) error { return err } }

// retries waits 100 ms before the first of two retries and 200 ms before the
// second.
func retries(n int) fs.Policy[string] {
	return retrypolicy.NewBuilder[string]().
		HandleIf(failsafe.Failed).
		AbortOnErrors(circuitbreaker.ErrOpen).
		WithMaxRetries(n).
		WithBackoff(100*time.Millisecond, time.Hour).
		ReturnLastFailure().
		Build()
}

func breaker() circuitbreaker.CircuitBreaker[string] {
	return circuitbreaker.NewBuilder[string]().
		HandleIf(failsafe.Failed).
		WithFailureThreshold(3).
		WithDelay(5 * time.Minute).
		Build()
}

func newLoader(t *testing.T, opts corral.Options) *corral.Loader[int, string] {
	t.Helper()
	l, err := corral.New(memadapter.New[int, string](), opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// All attempts belong to one load, which the callers share.
func TestCallersShareTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, corral.Options{TTL: time.Minute})
		src := &source{err: func(query int) error {
			if query < 3 {
				return errDown
			}
			return nil
		}}
		load := corral.Chain(src.load, failsafe.With[int](retries(2)), failsafe.With[int](breaker()))

		const each = 50 // before the first attempt, between attempts, during the last one
		start := time.Now()
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, 60 * time.Millisecond, 325 * time.Millisecond} {
			for range each {
				wg.Go(func() {
					time.Sleep(after)
					v, err := l.GetOrLoad(t.Context(), 1, load)
					if v != "user 1, query 3" || err != nil {
						t.Errorf("after %v: %q, %v", after, v, err)
					}
					if got, want := time.Since(start), 330*time.Millisecond; got != want {
						t.Errorf("after %v: answered at %v, want %v", after, got, want)
					}
				})
			}
		}
		wg.Wait()
		if s := l.Stats(); src.count() != 3 || s.Loads != 1 || s.LoadErrors != 0 || s.Shared != 3*each-1 {
			t.Errorf("%d queries, %+v: want 3 queries in 1 load", src.count(), s)
		}
	})
}

// While the breaker is open callers get the stale value, and the source rests.
func TestOpenBreakerServesStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, corral.Options{TTL: time.Minute, StaleIfError: time.Hour})
		src, broken := &source{}, breaker()
		load := corral.Chain(src.load, failsafe.With[int](retries(2)), failsafe.With[int](broken))
		get := func(value, status string, queries int) {
			t.Helper()
			r, err := l.Lookup(t.Context(), 1, load)
			if r.Value != value || err != nil || r.CacheStatus() != status {
				t.Errorf("got %q, %v, %q; want %q, no error, %q", r.Value, err, r.CacheStatus(), value, status)
			}
			if src.count() != queries {
				t.Errorf("%d queries, want %d", src.count(), queries)
			}
		}
		get("user 1, query 1", "corral; fwd=uri-miss; stored; ttl=60", 1)

		src.fails(always(errDown))
		time.Sleep(2 * time.Minute)
		// Three attempts, 10 ms each, with 100 and 200 ms between.
		get("user 1, query 1", "corral; fwd=stale; ttl=-61; detail=stale-if-error", 4)
		if !broken.IsOpen() {
			t.Fatal("three failures did not open the breaker")
		}
		time.Sleep(time.Minute) // longer than the Loader waits before it tries the key again
		get("user 1, query 1", "corral; fwd=stale; ttl=-121; detail=stale-if-error", 4)
		if got := l.Stats().Loads; got != 3 {
			t.Errorf("%d loads, want 3: the last one was ended by the breaker", got)
		}

		src.fails(nil)
		time.Sleep(4 * time.Minute) // the breaker lets an attempt through
		get("user 1, query 5", "corral; fwd=stale; stored; ttl=60", 5)
		if !broken.IsClosed() {
			t.Error("a success did not close the breaker")
		}
	})
}

// A source that says that it has no value has not failed.
func TestAbsenceIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, corral.Options{TTL: time.Minute, AbsentTTL: time.Second})
		src, b := &source{err: always(fmt.Errorf("no row: %w", corral.ErrNotFound))}, breaker()
		load := corral.Chain(src.load, failsafe.With[int](retries(2)), failsafe.With[int](b))
		for id := range 10 {
			for range 2 {
				if _, err := l.GetOrLoad(t.Context(), id, load); !errors.Is(err, corral.ErrNotFound) {
					t.Errorf("key %d: %v", id, err)
				}
			}
		}
		if src.count() != 10 || !b.IsClosed() {
			t.Errorf("%d queries, breaker %v; want one per key, and it closed", src.count(), b.State())
		}
	})
}

// LoadTimeout bounds the attempts and their pauses together.
func TestLoadTimeoutEndsTheRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, corral.Options{TTL: time.Minute, LoadTimeout: time.Second})
		src := &source{err: always(errDown)}
		load := corral.Chain(src.load, failsafe.With[int](retries(-1)))
		start := time.Now()
		_, err := l.GetOrLoad(t.Context(), 1, load)
		if took := time.Since(start); !errors.Is(err, corral.ErrLoadTimeout) || took != time.Second {
			t.Errorf("%v after %v, want ErrLoadTimeout after 1s", err, took)
		}
		synctest.Wait()
		n := src.count()
		time.Sleep(time.Hour)
		if src.count() != n {
			t.Errorf("%d queries after the timeout", src.count()-n)
		}
	})
}

// A panic counts as a failure, also for a breaker that is half-open.
func TestPanicIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, corral.Options{TTL: time.Minute})
		b := breaker()
		works := false
		load := corral.Chain(func(context.Context, int) (string, error) {
			if !works {
				panic(errDown)
			}
			return "v", nil
		}, failsafe.With[int](b))
		var crashed *corral.PanicError
		for i := range 6 { // three open it, and when it is half-open three open it again
			_, err := l.GetOrLoad(t.Context(), 1, load)
			if !errors.As(err, &crashed) || !errors.Is(err, errDown) {
				t.Errorf("call %d: %v, want the panic", i, err)
			}
			if open := i%3 == 2; b.IsOpen() != open {
				t.Errorf("call %d: breaker %v", i, b.State())
			}
			time.Sleep(10 * time.Minute)
		}
		works = true
		for range 3 {
			if v, err := l.GetOrLoad(t.Context(), 1, load); v != "v" || err != nil {
				t.Errorf("got %q, %v", v, err)
			}
			if err := l.Delete(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
		if !b.IsClosed() || l.Stats().Panics != 6 {
			t.Errorf("breaker %v, %d panics; want it closed, and 6", b.State(), l.Stats().Panics)
		}
	})
}

// What the Loader puts into the context of a load reaches every attempt.
func TestAttemptsKeepTheLoadsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, corral.Options{TTL: time.Minute})
		attempts := 0
		load := corral.Chain(func(ctx context.Context, id int) (string, error) {
			if attempts++; attempts < 3 {
				return "", errDown
			}
			c, ok := corral.FromContext[string](ctx)
			if !ok {
				return "", errors.New("the load has no control")
			}
			c.SetTTL(time.Second)
			return "v", nil
		}, failsafe.With[int](retries(2), breaker()))
		r, err := l.Lookup(t.Context(), 1, load)
		if err != nil || r.TTL != time.Second {
			t.Errorf("TTL %v, %v; want the 1s that the load chose", r.TTL, err)
		}
	})
}

func TestFailed(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errDown, true},
		{corral.ErrLoadTimeout, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, false},
		{corral.ErrNotModified, false},
		{fmt.Errorf("no row: %w", corral.ErrNotFound), false},
	} {
		if got := failsafe.Failed("", tc.err); got != tc.want {
			t.Errorf("Failed(%v) = %t, want %t", tc.err, got, tc.want)
		}
	}
}
