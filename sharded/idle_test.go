package sharded_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded"
)

func TestContract_C8_ASlowLoadDelaysNoOtherKey(t *testing.T) {
	each(t, func(t *testing.T, ask ask) {
		g, source := newGroup(sharded.Options[string]{Shards: 1, Timeout: time.Hour}), counter{}
		slow := ask(cancellable(t), g, "slow", source.takes(time.Minute))
		start := time.Now()
		for i := range 100 {
			<-ask(cancellable(t), g, fmt.Sprint(i), func(context.Context) (int, error) {
				for range g.InFlight() { // user code may call the group: no lock is held
					g.Forget("nobody")
				}
				return i, nil
			})
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("other keys took %v", took)
		}
		<-slow
	})
}

func TestContract_C9_ShardsAreChosenByHashOrByTheCaller(t *testing.T) {
	sub(t, "by hash", func(t *testing.T) {
		g := sharded.NewGroup[int, int](sharded.Options[int]{Shards: 16})
		for i := range 1600 {
			g.Do(t.Context(), i, func(context.Context) (int, error) { return i, nil })
		}
		for i, s := range g.Shards() {
			if s.Started < 40 || s.Started > 200 { // 100 is expected, 6 sigma are 60
				t.Errorf("shard %d has %d of 1600 keys", i, s.Started)
			}
		}
	})
	sub(t, "by the caller", func(t *testing.T) {
		g := sharded.NewGroup[int, int](sharded.Options[int]{Shards: 4, Shard: func(k int) uint64 { return uint64(k) }})
		source := make(chan struct{})
		for i := range 8 {
			for range 1 + i%4 {
				g.DoChan(t.Context(), i, func(context.Context) (int, error) { <-source; return i, nil })
			}
		}
		for i, s := range g.Shards() {
			if want := (sharded.Shard{InFlight: 2, Started: 2, Joined: 2 * uint64(i)}); s != want {
				t.Errorf("shard %d is %+v, want %+v", i, s, want)
			}
		}
		close(source)
		synctest.Wait()
		if s := g.Shards()[0]; s != (sharded.Shard{Started: 2}) {
			t.Errorf("shard 0 is %+v after its loads", s)
		}
	})
}

// The maps themselves are looked at, with 100,000 keys, in internal/flight.
func TestContract_C10_ABurstLeavesNothingBehind(t *testing.T) {
	warm, g := newGroup(sharded.Options[string]{}), newGroup(sharded.Options[string]{})
	burst(warm, 20_000) // the runtime keeps what it needs for this many goroutines
	before := heap()
	burst(g, 20_000)
	if kept := heap() - before; kept > 1<<18 { // the maps alone would be 600 kB
		t.Errorf("%d bytes are kept", kept)
	}
	runtime.KeepAlive(warm)
	runtime.KeepAlive(g)
}

// burst lets the loads of n keys fail at once.
func burst(g *group, n int) {
	gate := make(chan struct{})
	for i := range n {
		g.DoChan(context.Background(), strconv.Itoa(i), func(context.Context) (int, error) {
			<-gate
			return 0, errors.New("source is down")
		})
	}
	close(gate)
	for flying(g) {
		runtime.Gosched()
	}
}

func flying(g *group) bool {
	for range g.InFlight() {
		return true
	}
	return false
}

// heap returns the bytes that are reachable.
func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestContract_C11_WaitersCostNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers = 100_000
		g, source := newGroup(sharded.Options[string]{}), counter{}
		idle := runtime.NumGoroutine() // maybe with one of an earlier test that is about to end
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var results [callers]<-chan result
		for i := range results {
			results[i] = g.DoChan(ctx, "key", source.takes(time.Second))
		}
		if n := runtime.NumGoroutine() - idle; n > 1 {
			t.Errorf("%d goroutines for a load with %d callers, want 1", n, callers)
		}
		if n := waiters(g, "key"); n != callers {
			t.Errorf("%d callers wait, want %d", n, callers)
		}
		for _, r := range results {
			if r := <-r; r != (result{Value: 1, Shared: true}) {
				t.Fatalf("a caller got %+v", r)
			}
		}
		synctest.Wait()
		n := runtime.NumGoroutine() - idle
		for range 1000 { // one of the runtime's may be at work for a moment
			if n <= 0 {
				break
			}
			runtime.Gosched()
			n = runtime.NumGoroutine() - idle
		}
		if n > 0 {
			t.Errorf("%d goroutines are left when idle", n)
		}
	})
}

func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, source := newGroup(sharded.Options[string]{}), counter{}
		start := time.Now()
		g.DoChan(t.Context(), "a", source.takes(5*time.Second))
		time.Sleep(time.Second)
		g.DoChan(t.Context(), "b", source.takes(5*time.Second))
		g.DoChan(t.Context(), "a", source.takes(0))
		got := map[string]sharded.Flight{}
		for key, f := range g.InFlight() {
			got[key] = f
		}
		a, b := got["a"], got["b"]
		if len(got) != 2 || !a.Since.Equal(start) || a.Waiters != 2 || b.Waiters != 1 || b.Since.Sub(start) != time.Second {
			t.Errorf("in flight are %+v", got)
		}
		for range g.InFlight() {
			break // an iteration may end early
		}
		time.Sleep(10 * time.Second)
		for key := range g.InFlight() {
			t.Errorf("%q is in flight when all is over", key)
		}
	})
}
