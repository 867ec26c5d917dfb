package flight

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestWritesOfAKeyAreInOrder(t *testing.T) {
	sub(t, "one at a time", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		s := spotOf(table, "key")
		var ends []time.Duration
		start := time.Now()
		for range 5 {
			go func() {
				if err := table.BeginWrite(t.Context(), s, "key"); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				ends = append(ends, time.Since(start))
				table.EndWrite(s, "key")
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{1e9, 2e9, 3e9, 4e9, 5e9}; !slices.Equal(ends, want) {
			t.Errorf("writes ended at %v, want %v", ends, want)
		}
	})
	sub(t, "other keys do not wait", func(t *testing.T) {
		table := NewTable(Config[string, int]{Shards: 1})
		s := spotOf(table, "key")
		for _, key := range []string{"a", "b", "c"} {
			if err := table.BeginWrite(t.Context(), s, key); err != nil {
				t.Error(err)
			}
		}
	})
	sub(t, "who waits gives up when its context ends", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		s := spotOf(table, "key")
		cause := errors.New("cause")
		table.BeginWrite(t.Context(), s, "key")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		start := time.Now()
		if err := table.BeginWrite(ctx, s, "key"); err != cause {
			t.Errorf("BeginWrite = %v, want the cause", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %v, want 1s", took)
		}
		table.EndWrite(s, "key")
		if err := table.BeginWrite(ctx, s, "key"); err != nil {
			t.Errorf("a write whose turn it is = %v", err)
		}
	})
	sub(t, "who waits is woken by the end of a fill", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		f := start(t, table, "key")
		f.Store(1, nil, 0, 1, 0)
		begun := make(chan error)
		go func() { begun <- table.BeginWrite(t.Context(), f.spot(), "key") }()
		synctest.Wait()
		select {
		case <-begun:
			t.Error("the write did not wait for the fill")
		default:
		}
		f.Stored()
		if err := <-begun; err != nil {
			t.Error(err)
		}
		f.Wake(true, func(v *int) { *v = 2 })
		if v, _ := f.Outcome(); v != 2 {
			t.Errorf("outcome %d, want what Wake made of it, 2", v)
		}
	})
}

// A fill keeps its turn whatever takes its flight out of the map meanwhile.
func TestFillKeepsItsTurn(t *testing.T) {
	for name, unmap := range map[string]func(f *Flight[string, int]){
		"of a flight that stays":       func(*Flight[string, int]) {},
		"of a flight that is detached": (*Flight[string, int]).Detach,
		"of a flight that is removed":  (*Flight[string, int]).Remove,
		"of a flight that is woken":    func(f *Flight[string, int]) { f.Wake(false, nil) },
	} {
		sub(t, name, func(t *testing.T) {
			table := NewTable(Config[string, int]{})
			s := spotOf(table, "key")
			f, _, _ := table.Join(t.Context(), s, "key", 0, false, true)
			if store, ok := f.Store(1, nil, 0, 1, 0); !store || !ok {
				t.Fatalf("Store = %v, %v, want true, true", store, ok)
			}
			unmap(f)
			if _, ok := table.TryWrite(s, "key"); ok {
				t.Error("a write has its turn during the fill")
			}
			f.Stored()
			if _, ok := table.TryWrite(s, "key"); !ok {
				t.Error("a write has not its turn after the fill")
			}
			table.EndWrite(s, "key")
			if n := len(s.shard.writes.m); n != 0 {
				t.Errorf("%d writes are left", n)
			}
		})
	}
}

func TestStoreIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		before    func(table *Table[string, int], f *Flight[string, int])
		store, ok bool
	}{
		"never without a reason":       {func(*Table[string, int], *Flight[string, int]) {}, true, true},
		"to a detached flight":         {func(t *Table[string, int], f *Flight[string, int]) { t.Detach(f.spot(), "key") }, false, true},
		"to a flight a write detached": {func(t *Table[string, int], f *Flight[string, int]) { write(t, f) }, false, true},
		"to an abandoned flight":       {func(_ *Table[string, int], f *Flight[string, int]) { f.Leave() }, false, true},
		"in another phase":             {func(_ *Table[string, int], f *Flight[string, int]) { f.Advance(0, 5, 0) }, false, false},
		"to a flight that landed":      {func(_ *Table[string, int], f *Flight[string, int]) { f.Land(7, nil, true) }, false, false},
		"while another fill is going on": {func(t *Table[string, int], f *Flight[string, int]) {
			f.shard.mu.Lock()
			f.shard.beginLocked("key")
			f.shard.mu.Unlock()
		}, false, true},
	} {
		sub(t, name, func(t *testing.T) {
			table := NewTable(Config[string, int]{CancelAbandoned: true})
			f := start(t, table, "key")
			c.before(table, f)
			store, ok := f.Store(1, nil, 0, 1, 0)
			if store != c.store || ok != c.ok {
				t.Errorf("Store = %v, %v; want %v, %v", store, ok, c.store, c.ok)
			}
			if v, _ := f.Peek(); ok != (v == 1) {
				t.Errorf("ok is %v and the value is %d", ok, v)
			}
		})
	}
}

func write(table *Table[string, int], f *Flight[string, int]) {
	table.BeginWrite(background(), f.spot(), f.key)
	table.EndWrite(f.spot(), f.key)
}

// A flight that started during a write may have read what the write replaced.
func TestFlightStartedDuringAWriteIsDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		s := spotOf(table, "key")
		before := start(t, table, "key")
		table.BeginWrite(t.Context(), s, "key")
		during := start(t, table, "key")
		if store, ok := during.Store(1, nil, 0, 1, 0); store || !ok {
			t.Errorf("Store during a write = %v, %v; want false, true", store, ok)
		}
		table.EndWrite(s, "key")
		after := start(t, table, "key")
		for name, f := range map[string]*Flight[string, int]{"before": before, "during": during} {
			if f.mapped {
				t.Errorf("the flight that started %s the write is still mapped", name)
			}
			f.Land(1, nil, false)
		}
		if store, ok := after.Store(1, nil, 0, 1, 0); !store || !ok {
			t.Errorf("Store after the write = %v, %v; want true, true", store, ok)
		}
		after.Stored()
		after.Land(1, nil, false)
	})
}

// The alarm of a phase that stores rings while the fill is going on.
func TestStoreHasAnAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{Alarm: b.ring})
		f := start(t, table, "key")
		at := After(Now(), time.Second)
		f.Store(1, nil, 0, 1, at)
		time.Sleep(time.Hour)
		b.wantRings(t, 1)
		b.wantLast(t, at)
		f.Wake(true, nil)
		f.Wake(true, func(v *int) { *v = 2 })
		if v, _ := f.Outcome(); v != 1 {
			t.Errorf("Wake changed a woken flight's value to %d", v)
		}
		f.Stored()
	})
}
