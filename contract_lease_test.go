package corral_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

func TestContract_C1_OneLoadAcrossProcesses(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	bubble(t, "C1/cold key", func(t *testing.T) {
		f := newFleet(t, 8, opts)
		s := source{took: 100 * time.Millisecond}
		for _, a := range f.all(t, 50, "k", s.load) {
			want(t, "GetOrLoad", a.value, a.err, 1, nil)
			if a.took != 100*time.Millisecond { // woken by the fill, not by a poll
				t.Errorf("a caller waited %v, want the load's 100ms", a.took)
			}
		}
		s.wantLoads(t, 1)
		var leases, waits, shared, misses uint64
		for _, l := range f.loader {
			st := l.Stats()
			leases, waits = leases+st.Leases, waits+st.LeaseWaits
			shared, misses = shared+st.Shared, misses+st.Misses
			if st.Takeovers+st.Discarded+st.CacheErrors != 0 {
				t.Errorf("Stats = %+v", st)
			}
		}
		if leases != 1 || waits != 7 || misses != 400 || shared != 399 {
			t.Errorf("leases %d, waits %d, misses %d, shared %d; want 1, 7, 400, 399", leases, waits, misses, shared)
		}
	})
	bubble(t, "C1/each expiry", func(t *testing.T) {
		f := newFleet(t, 4, corral.Options{TTL: time.Second})
		s := source{took: 10 * time.Millisecond}
		for range 20 {
			f.all(t, 5, "k", s.load)
			time.Sleep(time.Second)
		}
		s.wantLoads(t, 20)
	})
	bubble(t, "C1/nobody hears", func(t *testing.T) {
		f := newFleet(t, 8, opts)
		for _, p := range f.process {
			p.quiet = true
		}
		s := source{took: 100 * time.Millisecond}
		for _, a := range f.all(t, 5, "k", s.load) {
			want(t, "GetOrLoad", a.value, a.err, 1, nil)
			if a.took > 100*time.Millisecond+480*time.Millisecond {
				t.Errorf("a caller waited %v", a.took)
			}
		}
		s.wantLoads(t, 1)
	})
}

func TestContract_F2_StaleIsServedWhileAnotherProcessLoads(t *testing.T) {
	bubble(t, "F2/nobody waits", func(t *testing.T) {
		f := newFleet(t, 8, corral.Options{TTL: time.Second, StaleFor: time.Minute})
		s := source{took: 100 * time.Millisecond}
		f.all(t, 1, "k", s.load)
		for i := range 20 {
			time.Sleep(time.Second)
			for range 5 { // while the refresh runs somewhere
				for _, a := range f.all(t, 5, "k", s.load) {
					if a.took != 0 || a.err != nil || a.value < i+1 {
						t.Fatalf("answer %+v after %d expiries", a, i)
					}
				}
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
		}
		s.wantLoads(t, 21)
	})
	bubble(t, "F2/a stale hit that triggers nothing is one call of the cache", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Second, StaleFor: time.Minute, MaxRefreshes: 1})
		s := source{took: time.Second}
		get(t, f.loader[0], "other", s.load)
		get(t, f.loader[0], "k", s.load)
		time.Sleep(time.Second)
		get(t, f.loader[0], "other", s.load) // takes the one place for a refresh
		synctest.Wait()
		before := f.process[0].gets.Load() + f.process[0].acquires.Load()
		get(t, f.loader[0], "k", s.load)
		if calls := f.process[0].gets.Load() + f.process[0].acquires.Load() - before; calls != 1 {
			t.Errorf("%d calls of the cache, want 1", calls)
		}
	})
}

func TestContract_F3_StaleIfErrorWhileAnotherProcessLoads(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleIfError: time.Hour, SoftTimeout: 50 * time.Millisecond}
	expired := func(t *testing.T, opts corral.Options) (*fleet, *source) {
		f := newFleet(t, 2, opts)
		s := &source{took: time.Second}
		get(t, f.loader[0], "k", s.load)
		time.Sleep(2 * time.Second)
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		return f, s
	}
	bubble(t, "F3/SoftTimeout", func(t *testing.T) {
		f, s := expired(t, opts)
		start := time.Now()
		if v := get(t, f.loader[1], "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want the stale 1", v)
		}
		wantTook(t, "the call", start, 50*time.Millisecond)
		time.Sleep(time.Second)
		s.wantLoads(t, 2)
	})
	bubble(t, "F3/a caller's deadline", func(t *testing.T) {
		opts := opts
		opts.SoftTimeout = 0
		f, s := expired(t, opts)
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		v, err := f.loader[1].GetOrLoad(ctx, "k", s.load)
		want(t, "GetOrLoad", v, err, 1, nil)
	})
}

func TestContract_Lease_HolderGone(t *testing.T) {
	bubble(t, "G1/killed", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		// A process that is no more has the lease, and nobody renews it.
		dead, err := f.store.Process().Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "dead"})
		if err != nil || dead.State != corral.LeaseHeld {
			t.Fatal(dead, err)
		}
		s := source{took: 100 * time.Millisecond}
		for _, a := range f.all(t, 10, "k", s.load) {
			want(t, "GetOrLoad", a.value, a.err, 1, nil)
			if a.took > leaseLife+100*time.Millisecond+500*time.Millisecond {
				t.Errorf("a caller waited %v", a.took)
			}
		}
		s.wantLoads(t, 1)
	})
	bubble(t, "G5/the load fails, panics, exits", func(t *testing.T) {
		failing := errors.New("no")
		for _, load := range []corral.LoadFunc[string, int]{
			func(context.Context, string) (int, error) { time.Sleep(time.Second); return 0, failing },
			func(context.Context, string) (int, error) { time.Sleep(time.Second); panic(failing) },
			func(context.Context, string) (int, error) { time.Sleep(time.Second); runtime.Goexit(); return 0, nil },
		} {
			f := newFleet(t, 2, corral.Options{TTL: time.Minute})
			go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", load) }()
			synctest.Wait()
			var s source
			start := time.Now()
			if v := get(t, f.loader[1], "k", s.load); v != 1 { // at once, not when the lease runs out
				t.Errorf("GetOrLoad = %d, want 1", v)
			}
			wantTook(t, "the other's call", start, time.Second)
		}
	})
	bubble(t, "G5/one waiter retries", func(t *testing.T) {
		f := newFleet(t, 4, corral.Options{TTL: time.Minute})
		s := source{took: time.Second}
		s.fail(errors.New("no"))
		go func() { time.Sleep(1500 * time.Millisecond); s.fail(nil) }()
		f.all(t, 10, "k", s.load)
		s.wantLoads(t, 2)
	})
	bubble(t, "G5/abandoned", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute, CancelAbandoned: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			_, _ = f.loader[0].GetOrLoad(ctx, "k", func(ctx context.Context, _ string) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
		}()
		synctest.Wait()
		var s source
		start := time.Now()
		get(t, f.loader[1], "k", s.load)
		wantTook(t, "the other's call", start, time.Second)
	})
	bubble(t, "G5/who waited and left does not load after all", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		s := source{took: time.Second}
		s.fail(errors.New("no"))
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := f.loader[1].GetOrLoad(ctx, "k", s.load)
		want(t, "GetOrLoad", 0, err, 0, context.DeadlineExceeded)
		time.Sleep(time.Minute)
		s.wantLoads(t, 1)
	})
	bubble(t, "G5/a value that is not to be stored", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		go func() {
			_, _ = f.loader[0].GetOrLoad(t.Context(), "k", func(ctx context.Context, _ string) (int, error) {
				c, _ := corral.FromContext[int](ctx)
				c.NoStore()
				time.Sleep(time.Second)
				return 7, nil
			})
		}()
		synctest.Wait()
		var s source
		start := time.Now()
		get(t, f.loader[1], "k", s.load)
		wantTook(t, "the other's call", start, time.Second)
	})
	bubble(t, "G7/a load that hangs", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute, LoadTimeout: 5 * time.Second})
		hung := make(chan struct{})
		defer close(hung)
		go func() {
			_, _ = f.loader[0].GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) { <-hung; return 7, nil })
		}()
		synctest.Wait()
		time.Sleep(time.Second)
		var s source
		start := time.Now()
		if v := get(t, f.loader[1], "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
		wantTook(t, "the other's call", start, 4*time.Second)
	})
}

func TestContract_Lease_SlowHolder(t *testing.T) {
	bubble(t, "G8/renewed while it loads", func(t *testing.T) {
		f := newFleet(t, 4, corral.Options{TTL: time.Minute})
		s := source{took: 10 * leaseLife}
		for _, a := range f.all(t, 5, "k", s.load) {
			want(t, "GetOrLoad", a.value, a.err, 1, nil)
		}
		s.wantLoads(t, 1)
		if n := f.loader[0].Stats().Takeovers; n != 0 {
			t.Errorf("Takeovers = %d", n)
		}
	})
	bubble(t, "G2/stopped for longer than the lease", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		first := make(chan reply, 1)
		go func() {
			v, err := f.loader[0].GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) {
				time.Sleep(3 * leaseLife)
				return 7, nil
			})
			first <- reply{value: v, err: err}
		}()
		synctest.Wait()
		stopped := make(chan struct{})
		f.process[0].break_(nil, nil, stopped) // as if it had been: nothing reaches the store
		var s source
		start := time.Now()
		if v := get(t, f.loader[1], "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
		if took := time.Since(start); took > leaseLife+500*time.Millisecond {
			t.Errorf("the other waited %v", took)
		}
		time.Sleep(2*leaseLife - time.Second)
		close(stopped)
		f.process[0].break_(nil, nil, nil)
		a := <-first
		want(t, "the stopped one's GetOrLoad", a.value, a.err, 7, nil)
		time.Sleep(time.Second)
		if v := get(t, f.loader[0], "k", s.load); v != 1 {
			t.Errorf("the store holds %d: a late fill went through", v)
		}
		if st := f.loader[0].Stats(); st.Takeovers != 1 {
			t.Errorf("Stats = %+v, want a takeover", st)
		}
	})
	bubble(t, "G9/a wait without end ends", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute, LoadTimeout: 5 * time.Second})
		other := f.store.Process()
		if _, err := other.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "other"}); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case <-time.After(leaseLife / 3):
					_ = other.Renew(t.Context(), "k", "other")
				case <-done:
					return
				}
			}
		}()
		s := source{took: time.Second}
		for _, a := range f.all(t, 5, "k", s.load) {
			if a.err != nil || a.took != 6*time.Second {
				t.Errorf("answer %+v, want a value after LoadTimeout and a load", a)
			}
		}
		s.wantLoads(t, 2) // one per process, and neither is stored
		if e, _ := other.Get(t.Context(), "k"); e != nil {
			t.Error("a load without the lease was stored")
		}
	})
}

func TestContract_W1_NothingOlderIsStoredAcrossProcesses(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	during := func(t *testing.T, write func(l *corral.Loader[string, int]) error) (*fleet, *source) {
		f := newFleet(t, 3, opts)
		s := &source{took: time.Second}
		first := make(chan reply, 1)
		go func() {
			v, err := f.loader[0].GetOrLoad(t.Context(), "k", s.load)
			first <- reply{value: v, err: err}
		}()
		time.Sleep(500 * time.Millisecond)
		if err := write(f.loader[1]); err != nil {
			t.Fatal(err)
		}
		a := <-first
		want(t, "the open call", a.value, a.err, 1, nil)
		time.Sleep(time.Second)
		if n := f.loader[0].Stats().Discarded; n != 1 {
			t.Errorf("Discarded = %d, want 1", n)
		}
		if n := f.loader[0].Stats().Takeovers; n != 0 {
			t.Errorf("Takeovers = %d, want 0: a write ended the lease", n)
		}
		return f, s
	}
	bubble(t, "W1/Delete elsewhere during a load", func(t *testing.T) {
		f, s := during(t, func(l *corral.Loader[string, int]) error { return l.Delete(t.Context(), "k") })
		for _, a := range f.all(t, 1, "k", s.load) {
			want(t, "a call after it", a.value, a.err, 2, nil)
		}
		s.wantLoads(t, 2)
	})
	bubble(t, "W2/Set elsewhere during a load", func(t *testing.T) {
		f, s := during(t, func(l *corral.Loader[string, int]) error { return l.Set(t.Context(), "k", 100) })
		for _, a := range f.all(t, 1, "k", s.load) {
			want(t, "a call after it", a.value, a.err, 100, nil)
		}
		s.wantLoads(t, 1)
	})
	bubble(t, "W1/who heard of a Delete elsewhere lets nobody join the open flight", func(t *testing.T) {
		f := newFleet(t, 2, opts)
		l := newLoader[string, int](t, layers{f.process[0], memadapter.New[string, int]()}, opts)
		s := source{took: 500 * time.Millisecond} // before the first renewal
		go func() { _, _ = l.GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		if err := f.loader[1].Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := get(t, l, "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want 2", v)
		}
	})
	bubble(t, "W1/who heard of a Delete elsewhere lets nobody join a flight that waits", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Second, StaleFor: time.Hour})
		l := newLoader[string, int](t, layers{f.process[0], memadapter.New[string, int]()}, corral.Options{TTL: time.Second, StaleFor: time.Hour})
		f.process[0].quiet = true
		s := source{took: time.Second}
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Second)
		get(t, f.loader[1], "k", s.load) // its refresh runs
		synctest.Wait()
		get(t, l, "k", s.load) // waits for it, in the background
		synctest.Wait()
		if err := f.loader[1].Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := get(t, l, "k", s.load); v != 3 {
			t.Errorf("GetOrLoad = %d, want 3", v)
		}
	})
	bubble(t, "W1/Delete elsewhere during a refresh drops the previous value", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Second, StaleFor: time.Hour})
		s := source{took: time.Second}
		get(t, f.loader[0], "k", s.load)
		time.Sleep(2 * time.Second)
		get(t, f.loader[0], "k", s.load) // its refresh runs
		synctest.Wait()
		get(t, f.loader[1], "k", s.load) // waits for it, in the background
		synctest.Wait()
		if err := f.loader[0].Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := get(t, f.loader[1], "k", s.load); v != 3 {
			t.Errorf("GetOrLoad after Delete elsewhere = %d, want 3", v)
		}
	})
}
