package corral_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

func TestContract_A1_LeasesOfAFailingCache(t *testing.T) {
	broken := errors.New("connection refused")
	opts := corral.Options{TTL: time.Minute}
	bubble(t, "A1/Acquire fails: loaded, served, not stored", func(t *testing.T) {
		f := newFleet(t, 1, opts)
		var s source
		f.process[0].break_(broken, nil, nil)
		if v := get(t, f.loader[0], "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d", v)
		}
		if n := f.process[0].fills.Load(); n != 0 {
			t.Errorf("%d fills", n)
		}
		if st := f.loader[0].Stats(); st.CacheErrors != 2 || st.Leases != 0 {
			t.Errorf("Stats = %+v", st)
		}
		f.process[0].break_(nil, nil, nil)
		get(t, f.loader[0], "k", s.load)
		get(t, f.loader[0], "k", s.load)
		s.wantLoads(t, 2)
	})
	bubble(t, "A1/FailClosed", func(t *testing.T) {
		opts := opts
		opts.FailClosed = true
		f := newFleet(t, 1, opts)
		var s source
		f.process[0].break_(broken, nil, nil)
		_, err := f.loader[0].GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", 0, err, 0, broken)
		s.wantLoads(t, 0)
	})
	bubble(t, "A1/Acquire hangs, and what it got late is given back", func(t *testing.T) {
		f := newFleet(t, 2, opts)
		hang := make(chan struct{})
		var s source
		s.took = time.Second
		done := make(chan struct{})
		go func() {
			defer close(done)
			start := time.Now()
			get(t, f.loader[0], "k", s.load)
			wantTook(t, "the call", start, 2*time.Second) // two time-outs of 500ms and the load
		}()
		f.process[0].break_(nil, nil, hang)
		<-done
		f.process[0].break_(nil, nil, nil)
		close(hang)
		synctest.Wait()
		start := time.Now()
		get(t, f.loader[1], "k", s.load)
		wantTook(t, "the other's call", start, time.Second)
	})
	bubble(t, "F16/an Acquire whose reply is lost", func(t *testing.T) {
		f := newFleet(t, 2, opts)
		f.process[0].acquireLost = broken
		s := source{took: time.Second}
		get(t, f.loader[0], "k", s.load) // not stored: for all it knows it has no lease
		start := time.Now()
		get(t, f.loader[1], "k", s.load)
		wantTook(t, "the other's call", start, time.Second)
	})
	bubble(t, "F16/a fill whose reply is lost", func(t *testing.T) {
		f := newFleet(t, 1, opts)
		s := source{took: time.Second}
		go func() {
			time.Sleep(500 * time.Millisecond)
			f.process[0].break_(nil, broken, nil)
		}()
		if v := get(t, f.loader[0], "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d", v)
		}
		synctest.Wait()
		f.process[0].break_(nil, nil, nil)
		if v := get(t, f.loader[0], "k", s.load); v != 1 { // it was stored
			t.Errorf("GetOrLoad = %d", v)
		}
	})
	bubble(t, "A1/a fill that fails gives the lease up", func(t *testing.T) {
		f := newFleet(t, 2, opts)
		f.process[0].fillErr = broken
		s := source{took: time.Second}
		get(t, f.loader[0], "k", s.load)
		synctest.Wait() // the lease is given up in the background
		start := time.Now()
		get(t, f.loader[1], "k", s.load)
		wantTook(t, "the other's call", start, time.Second)
	})
	bubble(t, "A1/Renew fails for a while", func(t *testing.T) {
		f := newFleet(t, 2, opts)
		s := source{took: 3 * leaseLife}
		go func() {
			time.Sleep(leaseLife / 2)
			f.process[0].break_(broken, nil, nil)
			time.Sleep(leaseLife / 2)
			f.process[0].break_(nil, nil, nil)
		}()
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		get(t, f.loader[1], "k", s.load)
		s.wantLoads(t, 1)
	})
	bubble(t, "A4/what nobody can read is loaded once and overwritten", func(t *testing.T) {
		f := newFleet(t, 2, opts)
		s := source{took: time.Second}
		for _, p := range f.process {
			p.break_(nil, nil, nil)
			p.unreadable = true
		}
		if err := f.store.Process().Set(t.Context(), "k", &corral.Entry[int]{Value: 9, LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}); err != nil {
			t.Fatal(err)
		}
		get(t, f.loader[0], "k", s.load)
		if e, _ := f.store.Process().Get(t.Context(), "k"); e == nil || e.Value != 1 {
			t.Errorf("the store holds %+v", e)
		}
		if n := f.loader[0].Stats().Undecodable; n != 2 {
			t.Errorf("Undecodable = %d, want 2: Get and Acquire", n)
		}
	})
}

func TestContract_Lease_RoundTrips(t *testing.T) {
	bubble(t, "Lease/a miss that loads is three calls, a hit one", func(t *testing.T) {
		f := newFleet(t, 1, corral.Options{TTL: time.Minute})
		var s source
		p := f.process[0]
		calls := func() [5]int64 {
			return [5]int64{p.gets.Load(), p.acquires.Load(), p.fills.Load(), p.renews.Load(), p.releases.Load()}
		}
		get(t, f.loader[0], "k", s.load)
		if got := calls(); got != [5]int64{1, 1, 1, 0, 0} {
			t.Errorf("a miss: get, acquire, fill, renew, release = %v", got)
		}
		get(t, f.loader[0], "k", s.load)
		if got := calls(); got != [5]int64{2, 1, 1, 0, 0} {
			t.Errorf("and a hit: get, acquire, fill, renew, release = %v", got)
		}
	})
}

func TestContract_Lease_MaxLoads(t *testing.T) {
	bubble(t, "Lease/who waits for another process holds no slot", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute, MaxLoads: 1})
		slow := source{took: 10 * time.Second}
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "slow", slow.load) }()
		synctest.Wait()
		go func() { _, _ = f.loader[1].GetOrLoad(t.Context(), "slow", slow.load) }()
		synctest.Wait()
		s := source{took: time.Second}
		start := time.Now()
		get(t, f.loader[1], "other", s.load)
		wantTook(t, "a load of another key", start, time.Second)
	})
	bubble(t, "Lease/who waited loads in its turn", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute, MaxLoads: 1})
		go func() {
			_, _ = f.loader[0].GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) {
				time.Sleep(time.Second)
				return 0, errors.New("no")
			})
		}()
		synctest.Wait()
		s := source{took: 5 * time.Second}
		go func() { _, _ = f.loader[1].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		get(t, f.loader[1], "other", s.load)
		time.Sleep(time.Minute)
		s.wantLoads(t, 2)
		if n := s.peak.Load(); n != 1 {
			t.Errorf("%d loads at once, want 1", n)
		}
	})
	bubble(t, "Lease/who waited needs no slot for what the other loaded", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute, MaxLoads: 1})
		s, long := source{took: time.Second}, source{took: time.Minute}
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		done := make(chan time.Duration)
		go func() {
			start := time.Now()
			get(t, f.loader[1], "k", s.load)
			done <- time.Since(start)
		}()
		synctest.Wait()
		go func() { _, _ = f.loader[1].GetOrLoad(t.Context(), "long", long.load) }()
		if took := <-done; took != time.Second {
			t.Errorf("it waited %v, want 1s", took)
		}
		s.wantLoads(t, 1)
	})
}

func TestContract_L1_CloseWithLeases(t *testing.T) {
	bubble(t, "L1/a flight that waits for another process ends", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		s := source{took: time.Minute}
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		waiting := make(chan error, 1)
		go func() {
			_, err := f.loader[1].GetOrLoad(t.Context(), "k", s.load)
			waiting <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.loader[1].Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if err := <-waiting; !errors.Is(err, corral.ErrClosed) {
			t.Errorf("the caller got %v", err)
		}
	})
	bubble(t, "L1/a cancelled load gives its lease up", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		go func() {
			_, _ = f.loader[0].GetOrLoad(t.Context(), "k", func(ctx context.Context, _ string) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = f.loader[0].Close(ctx)
		synctest.Wait() // the load is cancelled as Close returns
		var s source
		start := time.Now()
		get(t, f.loader[1], "k", s.load)
		wantTook(t, "the other's call", start, 0)
	})
}

func TestContract_Lease_Off(t *testing.T) {
	bubble(t, "Lease/a life of zero", func(t *testing.T) {
		p := &process{Process: memadapter.NewShared[string, int](0).Process()}
		l := newLoader[string, int](t, p, corral.Options{TTL: time.Minute})
		var s source
		get(t, l, "k", s.load)
		get(t, l, "k", s.load)
		s.wantLoads(t, 1)
		if n := p.acquires.Load() + p.fills.Load(); n != 0 {
			t.Errorf("%d calls for leases", n)
		}
	})
}
