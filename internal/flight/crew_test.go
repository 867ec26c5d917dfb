package flight

import (
	"context"
	"errors"
	"testing"
	"time"
)

var errEnough = errors.New("enough")

func TestCrewIsCancelledWithItsLastFlight(t *testing.T) {
	sub(t, "each of them", func(t *testing.T) {
		table := NewTable(Config[string, int]{CancelAbandoned: true})
		a, b := start(t, table, "a"), start(t, table, "b")
		c := Together(t.Context(), []*Flight[string, int]{a, b})
		a.Leave()
		a.Context().Cancel(errEnough) // a second time
		if c.Err() != nil {
			t.Error("the crew was cancelled with its first flight")
		}
		b.Context().Cancel(errEnough)
		if c.Err() == nil || context.Cause(c) != errEnough {
			t.Errorf("the crew's context says %v, want the cause of the last", context.Cause(c))
		}
	})
	sub(t, "one that was before", func(t *testing.T) {
		table := NewTable(Config[string, int]{CancelAbandoned: true})
		a, b := start(t, table, "a"), start(t, table, "b")
		a.Leave()
		c := Together(t.Context(), []*Flight[string, int]{a, b})
		if c.Err() != nil {
			t.Error("the crew was cancelled with its first flight")
		}
		b.Leave()
		if c.Err() == nil {
			t.Error("the crew was not cancelled with its last flight")
		}
	})
	sub(t, "a part of it", func(t *testing.T) {
		table := NewTable(Config[string, int]{CancelAbandoned: true})
		a, b := start(t, table, "a"), start(t, table, "b")
		all := Together(t.Context(), []*Flight[string, int]{a, b})
		part := Together(t.Context(), []*Flight[string, int]{b})
		b.Leave()
		if all.Err() != nil || part.Err() == nil {
			t.Errorf("all: %v, the part: %v; want the part cancelled", all.Err(), part.Err())
		}
	})
}

// A call inside the crew's load is made by each of its flights.
func TestCrewInTheGraph(t *testing.T) {
	sub(t, "its own flights", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		a, b := start(t, table, "a"), start(t, table, "b")
		other := start(t, table, "other")
		c := Together(t.Context(), []*Flight[string, int]{a, b})
		for _, f := range []*Flight[string, int]{a, b} {
			if f.Wait(c, Waiter, nil) != Recursive {
				t.Error("the load waits for its own flight")
			}
			if f.Wait(c.Values(0), Queued, nil) != Recursive {
				t.Error("a call of the cache waits for its own flight")
			}
		}
		if release, ok := other.Hold(c); !ok {
			t.Error("the load may not wait for another flight")
		} else if b.Wait(other.Context(), Waiter, nil) != Recursive {
			t.Error("two loads wait for each other")
		} else {
			release()
		}
	})
	sub(t, "deadline", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		c := Together(t.Context(), []*Flight[string, int]{start(t, table, "a")})
		c.SetDeadline(After(Now(), time.Second))
		if c.Late() {
			t.Error("it is late at once")
		}
		time.Sleep(time.Second)
		if !c.Late() || !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("late: %v, %v", c.Late(), c.Err())
		}
	})
}

func TestTryWrite(t *testing.T) {
	sub(t, "a turn at a time", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		f := start(t, table, "key")
		at := f.spot()
		if _, ok := table.TryWrite(at, "key"); !ok || !f.Detached() {
			t.Fatal("no turn, or the flight is not detached")
		}
		turn, ok := table.TryWrite(at, "key")
		if ok {
			t.Fatal("two turns at once")
		}
		select {
		case <-turn:
			t.Error("the turn is over")
		default:
		}
		table.EndWrite(at, "key")
		<-turn
		if _, ok := table.TryWrite(at, "key"); !ok {
			t.Error("no turn after the write")
		}
		table.EndWrite(at, "key")
		f.Land(0, nil, false)
	})
}
