package flight

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

func rough() *Table[string, int] {
	return NewTable(Config[string, int]{
		Shards: 1, First: time.Second, Deadline: true, Rough: true,
		Alarm: func(f *Flight[string, int], _ uint8) { f.Land(0, nil, false) },
	})
}

// rush starts so many flights that the last one's read of the clock is shared.
func rush(t *testing.T, table *Table[string, int]) (shared int64) {
	t.Helper()
	for i := range busy {
		f := start(t, table, fmt.Sprint("rush ", i))
		wantStart(t, f, Now())
		shared = f.Started()
		f.Finish(0, nil)
	}
	return shared
}

func wantStart(t *testing.T, f *Flight[string, int], want int64) {
	t.Helper()
	if got := f.Started(); got != want {
		t.Errorf("started %v off its time", time.Duration(got-want))
	}
}

func TestBusyTableSharesAReadOfTheClock(t *testing.T) {
	sub(t, "for a millisecond", func(t *testing.T) {
		table := rough()
		for range 3 {
			at := rush(t, table)
			time.Sleep(sharing - 1)
			f := start(t, table, "key")
			wantStart(t, f, at)
			if end, ok := f.Context().Deadline(); !ok || !end.Equal(Time(at).Add(time.Second)) {
				t.Errorf("the deadline is %v off", end.Sub(Time(at).Add(time.Second)))
			}
			f.Finish(0, nil)
			time.Sleep(1)
			synctest.Wait()
			f = start(t, table, "key")
			wantStart(t, f, Now())
			f.Finish(0, nil)
			time.Sleep(sharing)
		}
	})
	sub(t, "not if it is less busy", func(t *testing.T) {
		table := rough()
		for range 10 * busy {
			f := start(t, table, "key")
			wantStart(t, f, Now())
			f.Finish(0, nil)
			time.Sleep(sharing/(busy-1) + 1)
		}
	})
	for name, cfg := range map[string]Config[string, int]{
		"not if every start is to be exact":   {First: time.Second},
		"not if a millisecond is much":        {First: time.Second - 1, Rough: true},
		"not if the flights have no deadline": {Rough: true},
	} {
		sub(t, name, func(t *testing.T) {
			table := NewTable(cfg)
			rush(t, table)
			time.Sleep(1)
			f := start(t, table, "key")
			wantStart(t, f, Now())
			f.Finish(0, nil)
		})
	}
}

// C11: where nothing starts any more the timer fires once and never again.
func TestIdleTableSharesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := rough()
		rush(t, table)
		time.Sleep(sharing)
		synctest.Wait()
		if at := table.clock.at.Load(); at != 0 {
			t.Error("the read is still shared")
		}
		if table.clock.timer.Stop() {
			t.Error("the timer is armed")
		}
	})
}

// A process that was paused, or too busy to look at its timers, shares a read that
// is an hour old. Whoever asks for a flight's time finds that out.
func TestOverdueReadIsNotBelieved(t *testing.T) {
	for name, ask := range map[string]func(*Table[string, int], *Flight[string, int]){
		"the timer":      func(t *Table[string, int], _ *Flight[string, int]) { t.clock.end() },
		"an alarm":       func(t *Table[string, int], _ *Flight[string, int]) { t.ring() },
		"Done":           func(_ *Table[string, int], f *Flight[string, int]) { f.Context().Done() },
		"Err":            func(_ *Table[string, int], f *Flight[string, int]) { f.Context().Err() },
		"Deadline":       func(_ *Table[string, int], f *Flight[string, int]) { f.Context().Deadline() },
		"Late":           func(_ *Table[string, int], f *Flight[string, int]) { f.Late() },
		"InFlight":       func(t *Table[string, int], _ *Flight[string, int]) { askInFlight(t) },
		"after a detach": func(t *Table[string, int], f *Flight[string, int]) { t.Detach(f.spot(), f.key); t.clock.end() },
	} {
		sub(t, name, func(t *testing.T) {
			table := rough()
			time.Sleep(time.Hour)
			table.clock.at.Store(Now() - int64(time.Hour))
			began := time.Now()
			f := start(t, table, "key")
			ask(table, f)
			wantStart(t, f, Now())
			if f.Late() || f.Context().Err() != nil {
				t.Errorf("the load ends as it begins: late %v, error %v", f.Late(), f.Context().Err())
			}
			<-f.Context().Done()
			f.Wait(background(), Waiter, nil)
			if took := time.Since(began); took != time.Second {
				t.Errorf("it timed out after %v, want 1s", took)
			}
			g := start(t, table, "key")
			wantStart(t, g, Now())
			g.Finish(0, nil)
		})
	}
}

func askInFlight(t *Table[string, int]) {
	for range t.InFlight() {
	}
}

// Only flights that shared the overdue read move, and only in their first phase.
func TestOverdueReadMovesNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := rough()
		exact := start(t, table, "exact")
		at := exact.Started()
		time.Sleep(time.Minute / 2)
		shared := at + 1
		table.clock.at.Store(shared)
		advanced := start(t, table, "advanced")
		advanced.Advance(0, 1, After(Now(), time.Hour))
		table.clock.end()
		wantStart(t, exact, at)
		wantStart(t, advanced, shared)
		for _, f := range []*Flight[string, int]{exact, advanced} {
			f.Land(0, nil, false)
		}
	})
}

// Who asks while flights are moved waits for that.
func TestAskerWaitsForTheMove(t *testing.T) {
	table := rough()
	began := time.Now()
	table.clock.at.Store(Now() - 2*int64(overdue))
	f := start(t, table, "key")
	f.shard.mu.Lock()
	var both sync.WaitGroup
	both.Go(table.clock.end)
	for !table.clock.moving.Load() {
		runtime.Gosched()
	}
	both.Go(func() {
		if end, _ := f.Context().Deadline(); end.Before(began.Add(time.Second)) {
			t.Errorf("the deadline is %v early", began.Add(time.Second).Sub(end))
		}
	})
	for range 1000 {
		runtime.Gosched()
	}
	f.shard.mu.Unlock()
	both.Wait()
	f.Finish(0, nil)
}

// Starts, ends, askers and a clock that is overdue again and again: for -race.
func TestSharingUnderRace(t *testing.T) {
	table := rough()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			key := fmt.Sprint(i % 2)
			for range 2000 {
				f, role, _ := table.Join(background(), spotOf(table, key), key, 0, false, false)
				if role != Leader {
					f.Wait(background(), role, nil)
					f.Collect(role)
					continue
				}
				f.Context().Deadline()
				f.Finish(0, f.Context().Err())
			}
		})
	}
	all.Go(func() {
		for range 2000 {
			table.clock.at.CompareAndSwap(0, Now()-int64(time.Minute))
			askInFlight(table)
			runtime.Gosched()
		}
	})
	all.Wait()
}

// The timer keeps a table that nobody uses no longer than it is armed.
func TestSharingTableIsCollected(t *testing.T) {
	table := rough()
	p := weak.Make(table)
	for i := range 2 * busy {
		start(t, table, fmt.Sprint(i)).Land(1, nil, false)
	}
	runtime.GC()
	if p.Value() == nil {
		t.Fatal("collected while in use")
	}
	runtime.KeepAlive(table)
	table = nil
	for range 1000 {
		runtime.GC()
		if p.Value() == nil {
			return
		}
	}
	t.Error("kept by its timer")
}
