package flight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

func TestShardsDoNotShareCacheLines(t *testing.T) {
	if size := unsafe.Sizeof(padded[string, int]{}); unsafe.Sizeof(uintptr(0)) == 8 && size%128 != 0 {
		t.Errorf("a padded shard has %d bytes", size)
	}
}

// One allocation per flight is the price of a call: it must stay a small one.
func TestFlightIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(LoadContext{}); size > 64 {
		t.Errorf("a load's context has %d bytes, more than 64, which is a size class", size)
	}
	if size := unsafe.Sizeof(Flight[string, int]{}); size > 128 {
		t.Errorf("a flight has %d bytes, more than 128, which is a size class", size)
	}
}

func TestNumberOfShards(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 4, 64: 64, 65: 128, MaxShards: MaxShards, MaxShards + 1: MaxShards, math.MaxInt: MaxShards} {
		if got := len(NewTable(Config[string, int]{Shards: n}).Loads()); got != want {
			t.Errorf("Shards %d gives %d, want %d", n, got, want)
		}
	}
	if got := len(NewTable(Config[string, int]{}).Loads()); got < 8 || got&(got-1) != 0 {
		t.Errorf("by default there are %d shards", got)
	}
}

// C9: two tables send the same keys to different shards.
func TestShardChoiceIsSeeded(t *testing.T) {
	a, b := NewTable(Config[string, int]{Shards: 256}), NewTable(Config[string, int]{Shards: 256})
	same := 0
	for i := range 256 {
		if key := fmt.Sprint(i); place(a, key) == place(b, key) {
			same++
		}
	}
	if same > 32 { // 1 is to be expected
		t.Errorf("%d of 256 keys have the same place in two tables", same)
	}
}

// place returns the number of the shard of key.
func place(t *Table[string, int], key string) int {
	s := spotOf(t, key).shard
	for i := range t.shards {
		if &t.shards[i].Shard == s {
			return i
		}
	}
	panic("no such shard")
}

func TestOddKeys(t *testing.T) {
	type inner struct{ F float64 }
	wantOdd[string](t, false)
	wantOdd[[4]int](t, false)
	wantOdd[*float64](t, false)
	wantOdd[struct{ a, b string }](t, false)
	wantOdd[chan any](t, false)
	wantOdd[float32](t, true)
	wantOdd[complex64](t, true)
	wantOdd[any](t, true)
	wantOdd[error](t, true)
	wantOdd[[2]inner](t, true)
	wantOdd[struct {
		a string
		b [1]inner
	}](t, true)
}

func wantOdd[K comparable](t *testing.T, want bool) {
	t.Helper()
	if got := NewTable(Config[K, int]{}).Odd(); got != want {
		t.Errorf("%T is odd: %v, want %v", *new(K), got, want)
	}
}

func TestRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config[string, int]{CancelAbandoned: true, Ready: func(v *int) bool { return *v > 0 }})
		f := start(t, table, "key")
		s := f.spot()
		wantRole(t, table, f, Waiter, 0)
		f.Update(func(v *int) { *v = 5 })
		wantRole(t, table, f, Served, 5)
		if _, role, _ := table.Join(t.Context(), s, "key", 0, true, true); role != Waiter {
			t.Errorf("who insists is %v, want Waiter", role)
		}
		f.Leave()
		f.Leave()
		f.Leave()
		if f.Abandoned() {
			t.Error("a flight that somebody insisted on was abandoned")
		}
		f.Land(6, nil, true)
		wantRole(t, table, f, Served, 6)
		f.Remove()
		g := start(t, table, "key")
		g.Leave()
		wantRole(t, table, g, Queued, 0)
		g.Land(7, nil, true)
		if h := start(t, table, "key"); h == g {
			t.Error("a cancelled flight serves its value")
		}
	})
}

func wantRole(t *testing.T, table *Table[string, int], want *Flight[string, int], role Role, value int) {
	t.Helper()
	f, got, v := table.Join(t.Context(), want.spot(), want.key, 0, false, true)
	if f != want || got != role || v != value {
		t.Errorf("Join = another flight: %v, role %v, value %d; want role %v, value %d", f != want, got, v, role, value)
	}
}

func TestReplace(t *testing.T) {
	sub(t, "leaves no instant without a flight", func(t *testing.T) {
		table := NewTable(Config[string, int]{Ready: func(v *int) bool { return *v > 0 }})
		f := start(t, table, "key")
		var got int
		go func() {
			f.Wait(t.Context(), Leader, nil)
			got, _ = f.Outcome()
		}()
		g := f.Replace(1, 2)
		synctest.Wait()
		if got != 1 || g == nil || !g.Background() {
			t.Fatalf("the waiter got %d; the successor is %v", got, g)
		}
		wantRole(t, table, g, Served, 2)
		if table.Lead(t.Context(), f.spot(), "key", 3) != nil {
			t.Error("Lead started a second flight of the key")
		}
		g.Land(3, nil, false)
		if table.Has(f.spot(), "key") {
			t.Error("the key still has a flight")
		}
	})
	sub(t, "has no alarm until it is advanced", func(t *testing.T) {
		var b bell
		table := NewTable(Config[string, int]{First: time.Second, Alarm: b.ring})
		g := start(t, table, "key").Replace(1, 2)
		time.Sleep(time.Minute)
		b.wantRings(t, 0)
		g.Advance(0, 1, Now()+1)
		time.Sleep(time.Second)
		b.wantRings(t, 1)
		g.Land(3, nil, false)
	})
	sub(t, "of a detached flight starts nothing", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		f := start(t, table, "key")
		table.Detach(f.spot(), "key")
		if g := f.Replace(1, 2); g != nil || table.Has(f.spot(), "key") {
			t.Error("it started a flight")
		}
		if v, _ := f.Outcome(); v != 1 {
			t.Errorf("outcome %d, want 1", v)
		}
	})
	sub(t, "of a woken flight does nothing", func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		f := start(t, table, "key")
		f.Land(1, nil, true)
		if g := f.Replace(2, 3); g != nil {
			t.Error("it started a flight")
		}
		if v, _ := f.Outcome(); v != 1 {
			t.Errorf("outcome %d, want 1", v)
		}
	})
}

func TestFirstOutcomeStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config[string, int]{})
		f := start(t, table, "key")
		calls := 0
		f.Notify(func() { calls++ })
		if shared, ok := f.Land(1, nil, true); shared || !ok {
			t.Errorf("Land = %v, %v; want false, true", shared, ok)
		}
		if _, ok := f.Land(2, errors.New("late"), false); ok {
			t.Error("a second Land took place")
		}
		f.Wake(false, nil)
		f.Update(func(v *int) { *v = 3 })
		f.Notify(func() { calls++ })
		if v, err := f.Outcome(); v != 1 || err != nil || calls != 2 {
			t.Errorf("outcome %d, %v, %d notices; want 1, nil, 2", v, err, calls)
		}
		if f.Advance(0, 1, 0) {
			t.Error("a woken flight advanced")
		}
	})
}

func TestQueuePhaseIsAbandonedWithoutTheOption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(Config[string, int]{Queue: 1})
		f := start(t, table, "key")
		f.Advance(0, 1, 0)
		f.Leave()
		if !f.Abandoned() || f.Context().Err() != context.Canceled {
			t.Error("a flight that queued for nobody went on")
		}
		g := start(t, table, "other")
		g.Advance(0, 2, 0)
		g.Leave()
		if g.Abandoned() {
			t.Error("a flight that had begun was cancelled")
		}
	})
}

// C10: a burst leaves nothing behind, in any of a shard's maps, also when it ends
// while other flights go on.
func TestBurstGivesItsMemoryBack(t *testing.T) {
	const burst = 100_000
	table := NewTable(Config[string, int]{Shards: 4})
	stays := make([]*Flight[string, int], 8)
	for i := range stays {
		stays[i] = start(t, table, fmt.Sprint("stays ", i))
	}
	flights := make([]*Flight[string, int], burst)
	for i := range flights {
		flights[i] = start(t, table, fmt.Sprint(i))
		if i%2 == 0 {
			table.Detach(flights[i].spot(), flights[i].key)
		}
		table.BeginWrite(t.Context(), flights[i].spot(), fmt.Sprint("write ", i))
	}
	for i, f := range flights {
		f.Land(0, errors.New("source is down"), false)
		table.EndWrite(f.spot(), fmt.Sprint("write ", i))
	}
	for i := range table.shards {
		s := &table.shards[i].Shard
		for name, peak := range map[string]int{"flights": len(s.flights.heads), "loose": s.loose.peak, "writes": s.writes.peak} {
			if peak > 2*spare {
				t.Errorf("shard %d: the map of %s still has room for %d", i, name, peak)
			}
		}
	}
	for _, f := range stays {
		if g, role, _ := table.Join(t.Context(), f.spot(), f.key, 0, false, true); g != f || role != Waiter {
			t.Errorf("the flight of %q was lost", f.key)
		}
		f.Land(0, nil, false)
	}
}

// chains behaves as a map does, also where all hashes meet.
func TestChainsAreAMap(t *testing.T) {
	for _, bits := range []uint32{0, 1, 0xffffffff} {
		r := rand.New(rand.NewPCG(1, uint64(bits)))
		var c chains[int, int]
		want := map[int]*Flight[int, int]{}
		for i := range 20_000 {
			key := r.IntN(500)
			hash := uint32(key) * 0x9e3779b9 & bits
			if f := c.find(hash, key); f != want[key] {
				t.Fatalf("find(%d) is %p, want %p", key, f, want[key])
			}
			grows := r.IntN(1+i/1000%4) == 0
			switch f := want[key]; {
			case f == nil && grows:
				f = &Flight[int, int]{key: key, hash: hash}
				c.put(f)
				want[key] = f
			case f != nil && !grows:
				c.drop(f)
				delete(want, key)
			}
			if heads := len(c.heads); c.n != len(want) || heads > max(fewHeads, 8*c.n+8) {
				t.Fatalf("%d flights in %d chains, want %d", c.n, heads, len(want))
			}
		}
		n := 0
		c.all(func(f *Flight[int, int]) {
			if want[f.key] != f {
				t.Errorf("%d is there", f.key)
			}
			n++
		})
		if n != len(want) {
			t.Errorf("%d flights, want %d", n, len(want))
		}
	}
}

func TestElasticIsAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var e elastic[int, int]
	want := map[int]int{}
	for i := range 200_000 {
		key := r.IntN(5000)
		if r.IntN(1+i/1000%4) == 0 { // grows and shrinks in turn
			e.put(key, i)
			want[key] = i
		} else {
			e.drop(key)
			delete(want, key)
		}
	}
	if !maps.Equal(e.m, want) {
		t.Error("it does not hold what was put into it")
	}
}

// A flight's memory serves the next one only if nobody else can still hold it.
func TestOnlyUnseenFlightsAreReused(t *testing.T) {
	for name, see := range map[string]func(table *Table[string, int], f *Flight[string, int]){
		"nobody": func(*Table[string, int], *Flight[string, int]) {},
		"a waiter": func(table *Table[string, int], f *Flight[string, int]) {
			table.Join(context.Background(), f.spot(), f.key, 0, false, true)
		},
		"InFlight": func(table *Table[string, int], f *Flight[string, int]) {
			for range table.InFlight() {
			}
		},
		"Close, once detached": func(table *Table[string, int], f *Flight[string, int]) {
			table.Detach(f.spot(), f.key)
			for range table.All() {
			}
		},
		"an alarm": func(_ *Table[string, int], f *Flight[string, int]) { f.shard.due(never) },
	} {
		table := NewTable(Config[string, int]{Shards: 1, First: time.Hour})
		f := start(t, table, "key")
		ctx := f.Context()
		see(table, f)
		f.Finish(1, nil)
		g := start(t, table, "other")
		if reused := f == g; reused != (name == "nobody") {
			t.Errorf("seen by %s: reused is %v", name, reused)
		}
		if g.Context() == ctx {
			t.Errorf("seen by %s: a load may still hold the context", name)
		}
	}
}
