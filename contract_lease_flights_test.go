package corral_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_C1_AFlightThatADeleteDetachedWhileItWaited(t *testing.T) {
	bubble(t, "C1/its callers share the next", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		s := source{took: time.Second}
		go func() { _, _ = f.loader[0].GetOrLoad(t.Context(), "k", s.load) }()
		synctest.Wait()
		waiting := make(chan int, 1)
		go func() { waiting <- get(t, f.loader[1], "k", s.load) }()
		synctest.Wait()
		if err := f.loader[1].Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		v, w := get(t, f.loader[1], "k", s.load), <-waiting
		get(t, f.loader[0], "k", s.load)
		if s.loads.Load() == 3 { // it was woken in the middle of the Delete, which detached its next flight too
			return
		}
		if v != 2 || w != 2 {
			t.Errorf("the call after Delete got %d, the one before it %d; want 2 and 2", v, w)
		}
		if took := time.Since(start); took < time.Second || took > time.Second+480*time.Millisecond {
			t.Errorf("both took %v, want 1s, and a pause if the lease was asked for in the middle of the Delete", took)
		}
		s.wantLoads(t, 2)
	})
}

func TestContract_Lease_Refresh(t *testing.T) {
	bubble(t, "Lease/Refresh joins a load of another process", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		s := source{took: time.Second}
		get(t, f.loader[0], "k", s.load)
		go func() { _, _ = f.loader[0].Refresh(t.Context(), "k", s.load) }()
		synctest.Wait()
		v, err := f.loader[1].Refresh(t.Context(), "k", s.load)
		want(t, "Refresh", v, err, 2, nil)
		s.wantLoads(t, 2)
	})
	bubble(t, "Lease/Refresh loads though the entry is fresh", func(t *testing.T) {
		f := newFleet(t, 2, corral.Options{TTL: time.Minute})
		var s source
		get(t, f.loader[0], "k", s.load)
		v, err := f.loader[1].Refresh(t.Context(), "k", s.load)
		want(t, "Refresh", v, err, 2, nil)
		if v := get(t, f.loader[0], "k", s.load); v != 2 {
			t.Errorf("GetOrLoad = %d, want 2", v)
		}
	})
}
