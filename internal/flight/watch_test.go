package flight

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func TestAlarms(t *testing.T) {
	sub(t, "ring once, to the nanosecond", func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{First: time.Second, Alarm: b.ring})
		f := start(t, table, "key")
		time.Sleep(time.Second - 1)
		b.wantRings(t, 0)
		time.Sleep(1)
		b.wantRings(t, 1)
		b.wantLast(t, f.Started()+int64(time.Second))
		time.Sleep(time.Hour)
		b.wantRings(t, 1)
	})
	sub(t, "of a landed flight do not ring", func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{First: time.Second, Alarm: b.ring})
		start(t, table, "key").Land(1, nil, false)
		kept := start(t, table, "kept")
		kept.Land(1, nil, true)
		time.Sleep(time.Hour)
		b.wantRings(t, 0)
		kept.Remove()
	})
	sub(t, "of detached flights ring", func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{First: time.Second, Alarm: b.ring})
		start(t, table, "key")
		table.Detach(spotOf(table, "key"), "key")
		time.Sleep(time.Second)
		b.wantRings(t, 1)
	})
	sub(t, "are set anew by each phase", func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{First: time.Second, Alarm: b.ring})
		f := start(t, table, "key")
		late, early := After(f.Started(), time.Minute), After(f.Started(), 10*time.Millisecond)
		f.Advance(0, 1, late)
		f.Advance(1, 2, early) // an alarm earlier than the one the timer waits for
		time.Sleep(10 * time.Millisecond)
		b.wantRings(t, 1)
		b.wantLast(t, early)
		if b.phase.Load() != 2 {
			t.Errorf("the alarm names phase %d, want 2", b.phase.Load())
		}
		f.Advance(2, 3, late)
		time.Sleep(time.Minute)
		b.wantRings(t, 2)
		b.wantLast(t, late)
		if f.Advance(2, 4, late) || f.Phase() != 3 {
			t.Errorf("Advance from a phase that is past changed phase 3 to %d", f.Phase())
		}
	})
	sub(t, "of never do not ring", func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{First: math.MaxInt64, Deadline: true, Alarm: b.ring})
		start(t, table, "key")
		start(t, table, "advanced").Advance(0, 1, 0)
		time.Sleep(100 * 365 * 24 * time.Hour)
		b.wantRings(t, 0)
	})
}

// One timer serves all: it fires for the earliest alarm, and again for the next.
func TestOneTimerServesAllFlights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{Shards: 4, First: time.Second, Alarm: b.ring})
		var first *time.Timer
		for i := range 100 {
			start(t, table, fmt.Sprint(i))
			if i == 0 {
				first = table.watch.timer
			}
			time.Sleep(time.Millisecond)
		}
		if table.watch.timer != first {
			t.Error("a second timer was made")
		}
		time.Sleep(900 * time.Millisecond)
		for i := range int64(100) {
			b.wantRings(t, i+1)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Hour)
		b.wantRings(t, 100)
		if at := table.watch.at.Load(); at != never {
			t.Errorf("the timer is armed for %d with nothing in flight", at)
		}
	})
}

// A handler that lands the flight and starts the next one, as a retry would.
func TestAlarmHandlersMayUseTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var table *Table[string, int]
		var rings atomic.Int64
		table = NewTable(Config[string, int]{First: time.Second, Alarm: func(f *Flight[string, int], _ uint8) {
			f.Land(0, nil, false)
			if rings.Add(1) < 3 {
				table.Join(background(), f.spot(), f.Key(), 0, false, false)
			}
		}})
		start(t, table, "key")
		time.Sleep(time.Hour)
		if rings.Load() != 3 {
			t.Errorf("%d alarms rang, want 3", rings.Load())
		}
	})
}

// A flight can be landed by another as soon as it is mapped: under -race this
// fails if its alarm is read without the lock.
func TestFlightsAreLandedWhileTheyStart(t *testing.T) {
	table := NewTable(Config[string, int]{Shards: 1, First: time.Hour})
	s, other := spotOf(table, "key"), spotOf(table, "other")
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 2000 {
			f, _, _ := table.Join(background(), s, "key", 0, false, true)
			runtime.Gosched()
			f.Replace(0, 0)
			runtime.Gosched()
			table.Lead(background(), other, "other", 0)
		}
	})
	wg.Go(func() {
		for range 2000 {
			for f := range table.All() {
				f.Land(0, nil, false)
			}
		}
	})
	wg.Wait()
}

// An armed timer does not keep an idle table in memory: programs may make a
// group per request.
func TestIdleTableIsCollected(t *testing.T) {
	table := NewTable(Config[string, int]{First: time.Hour, Alarm: func(*Flight[string, int], uint8) {}})
	p := weak.Make(table)
	start(t, table, "key").Land(1, nil, false)
	runtime.GC()
	if p.Value() == nil {
		t.Fatal("collected while in use")
	}
	runtime.KeepAlive(table)
	table = nil
	for range 10 {
		runtime.GC()
		if p.Value() == nil {
			return
		}
	}
	t.Error("an idle table is still in memory")
}

func TestAfterSaturates(t *testing.T) {
	for _, c := range []struct {
		at   int64
		d    time.Duration
		want int64
	}{
		{1, 2, 3}, {-5, 2, -3}, {1, math.MaxInt64, never}, {1, math.MaxInt64 - 1, never},
		{2, math.MaxInt64 - 1, never}, {0, math.MaxInt64, never}, {-5, math.MaxInt64, math.MaxInt64 - 5},
	} {
		if got := After(c.at, c.d); got != c.want {
			t.Errorf("After(%d, %d) = %d, want %d", c.at, c.d, got, c.want)
		}
	}
	if at, ok := loadContext(background(), never).Deadline(); ok {
		t.Errorf("a context that never ends has the deadline %v", at)
	}
}
