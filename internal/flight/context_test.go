package flight

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// loadContext returns a context as a load gets it whose caller's context is ctx.
func loadContext(ctx context.Context, deadline int64) *LoadContext {
	return &LoadContext{Context: Context{deadline: deadline, values: ctx}}
}

func TestContextHasTheValuesAndNotTheEnd(t *testing.T) {
	for name, look := range map[string]func(*LoadContext){
		"not made": func(*LoadContext) {},
		"made":     func(c *LoadContext) { c.Done() },
	} {
		sub(t, name, func(t *testing.T) {
			caller, cancel := context.WithTimeoutCause(context.WithValue(t.Context(), valueKey{}, "v"), time.Second, errors.New("the caller's"))
			defer cancel()
			c := loadContext(caller, 0)
			look(c)
			time.Sleep(2 * time.Second)
			if got := c.Value(valueKey{}); got != "v" {
				t.Errorf("Value = %v, want the caller's", got)
			}
			if at, ok := c.Deadline(); ok {
				t.Errorf("deadline %v, want none", at)
			}
			if err, cause := c.Err(), context.Cause(c); err != nil || cause != nil {
				t.Errorf("Err = %v, Cause = %v; want nil", err, cause)
			}
			c.End()
			if got := c.Value(valueKey{}); got != "v" {
				t.Errorf("after its end Value = %v, want the caller's", got)
			}
			if cause := context.Cause(c); cause != context.Canceled {
				t.Errorf("after its end Cause = %v, want canceled and not the caller's", cause)
			}
		})
	}
}

func TestContextEndsAtItsDeadline(t *testing.T) {
	sub(t, "made", func(t *testing.T) {
		start := time.Now()
		c := loadContext(t.Context(), After(Now(), time.Second))
		if at, ok := c.Deadline(); !ok || !at.Equal(start.Add(time.Second)) {
			t.Errorf("Deadline = %v, %v; want %v", at, ok, start.Add(time.Second))
		}
		<-c.Done()
		if took := time.Since(start); took != time.Second {
			t.Errorf("ended after %v, want 1s", took)
		}
		wantEnd(t, c, context.DeadlineExceeded)
		c.End()
		wantEnd(t, c, context.DeadlineExceeded)
	})
	sub(t, "not made", func(t *testing.T) {
		c := loadContext(t.Context(), After(Now(), time.Second))
		time.Sleep(time.Second - 1)
		if err := c.Err(); err != nil {
			t.Errorf("Err = %v before the deadline", err)
		}
		time.Sleep(1)
		if err := c.Err(); err != context.DeadlineExceeded {
			t.Errorf("Err = %v at the deadline", err)
		}
		c.End()
		wantEnd(t, c, context.DeadlineExceeded) // Err never changes its mind
	})
}

func wantEnd(t *testing.T, c context.Context, want error) {
	t.Helper()
	if err, cause := c.Err(), context.Cause(c); err != want || cause != want {
		t.Errorf("Err = %v, Cause = %v; want %v", err, cause, want)
	}
	select {
	case <-c.Done():
	default:
		t.Error("Done is not closed")
	}
}

func TestContextEndsWithItsWork(t *testing.T) {
	for name, look := range map[string]func(*LoadContext){
		"not made": func(*LoadContext) {},
		"made":     func(c *LoadContext) { c.Done() },
	} {
		sub(t, name, func(t *testing.T) {
			c := loadContext(t.Context(), After(Now(), time.Second))
			look(c)
			c.End()
			wantEnd(t, c, context.Canceled)
			c.End()
			child, cancel := context.WithCancel(c)
			defer cancel()
			wantEnd(t, child, context.Canceled)
		})
	}
}

func TestCancelGivesTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("closed")
		c := loadContext(t.Context(), After(Now(), time.Second))
		c.Cancel(cause)
		if c.Err() != context.Canceled || context.Cause(c) != cause {
			t.Errorf("Err = %v, Cause = %v; want canceled for %v", c.Err(), context.Cause(c), cause)
		}
		c.End()
		if context.Cause(c) != cause {
			t.Errorf("after End the cause is %v", context.Cause(c))
		}
	})
}

func TestSetDeadline(t *testing.T) {
	for name, look := range map[string]func(*LoadContext){
		"not made": func(*LoadContext) {},
		"made":     func(c *LoadContext) { c.Done() },
	} {
		sub(t, name, func(t *testing.T) {
			start := time.Now()
			c := loadContext(t.Context(), 0)
			look(c)
			c.SetDeadline(After(Now(), time.Second))
			<-c.Done()
			if took := time.Since(start); took != time.Second {
				t.Errorf("ended after %v, want 1s", took)
			}
			wantEnd(t, c, context.DeadlineExceeded)
			c.End()
		})
		sub(t, name+", cancelled", func(t *testing.T) {
			c := loadContext(t.Context(), 0)
			look(c)
			c.SetDeadline(After(Now(), time.Second))
			cause := errors.New("closed")
			c.Cancel(cause)
			if context.Cause(c) != cause {
				t.Errorf("Cause = %v, want %v", context.Cause(c), cause)
			}
		})
	}
}

// Contexts derived from ours find the standard library's context in it. Those
// that do not cost a goroutine each.
func TestDerivedContextsCostNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caller, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := loadContext(caller, After(Now(), time.Second))
		before := runtime.NumGoroutine()
		var called atomic.Int64
		for range 100 {
			a, stop := context.WithCancel(c)
			defer stop()
			b, stop := context.WithTimeout(a, time.Minute)
			defer stop()
			context.AfterFunc(b, func() { called.Add(1) })
		}
		if more := runtime.NumGoroutine() - before; more > 0 {
			t.Errorf("%d goroutines for derived contexts", more)
		}
		c.End()
		synctest.Wait()
		if called.Load() != 100 {
			t.Errorf("%d of 100 derived contexts ended with it", called.Load())
		}
	})
}

// A context made by two goroutines at once is one context.
func TestContextIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 200 {
			c := loadContext(t.Context(), After(Now(), time.Second))
			got := make(chan (<-chan struct{}), 2)
			for range 2 {
				go func() { got <- c.Done() }()
			}
			if one, other := <-got, <-got; one != other {
				t.Fatal("two Done channels")
			}
			c.End()
		}
	})
}

func TestContextOfACallHasTheFlightsPlaceInTheGraph(t *testing.T) {
	outer := loadContext(context.Background(), 0)
	table := NewTable(Config[string, int]{})
	f, _, _ := table.Join(outer, spotOf(table, "key"), "key", 0, false, true)
	derived := context.WithoutCancel(context.WithValue(f.Values(0), valueKey{}, 1))
	if nodeOf(derived) != &f.ctx.node {
		t.Error("a call made for a flight is not the flight's")
	}
	f.Land(0, nil, false)
	if inner := loadContext(derived, 0); nodeOf(inner) != &inner.node {
		t.Error("a load inside a load is not itself")
	}
	if nodeOf(context.Background()) != nil {
		t.Error("a call outside loads has a node")
	}
}

func TestContextThatEndedBeforeItsDeadlineWasCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := loadContext(t.Context(), After(Now(), time.Second))
		c.End()
		time.Sleep(time.Hour)
		wantEnd(t, c, context.Canceled)
	})
}

// Whichever of the work's end and the deadline comes first in one instant, the
// deadline has passed.
func TestContextWhoseWorkEndsAtItsDeadline(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			c := loadContext(t.Context(), After(Now(), time.Second))
			c.Done()
			time.Sleep(time.Second)
			c.End()
			synctest.Wait()
			wantEnd(t, c, context.DeadlineExceeded)
		})
	}
}

// A context that is made while its work ends has ended.
func TestContextIsMadeWhileItsWorkEnds(t *testing.T) {
	for i := range 20_000 {
		c := loadContext(context.Background(), 0)
		var both sync.WaitGroup
		var ready atomic.Bool
		both.Go(func() {
			ready.Store(true)
			c.Done()
		})
		for !ready.Load() {
			runtime.Gosched()
		}
		for range i % 1000 { // about as long as it takes to make one
			ready.Load()
		}
		c.End()
		both.Wait()
		if c.Err() != context.Canceled {
			t.Fatal("it goes on")
		}
	}
}

// A write that a load's user asks for is none of the flight's own, and one that is
// made for a flight stays that, whatever is derived from its context.
func TestOwn(t *testing.T) {
	own := &CallContext{Context: Context{values: t.Context()}, node: &node{}}
	load := loadContext(own, 0)
	within, cancel := context.WithTimeout(context.WithValue(own, valueKey{}, "v"), time.Second)
	defer cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		want bool
	}{
		"a caller's":                    {t.Context(), false},
		"a flight's":                    {own, true},
		"derived of a flight's":         {within, true},
		"a load's, begun by a flight's": {load, false},
		"derived of a load's":           {context.WithoutCancel(load), false},
	} {
		if got := Own(c.ctx); got != c.want {
			t.Errorf("%s: Own = %v", name, got)
		}
	}
}
