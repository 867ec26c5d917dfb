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

// slowStore is a process's view of a store of which each call takes a while.
type slowStore struct {
	*memadapter.Process[string, int]
	took time.Duration
}

func (p slowStore) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	time.Sleep(p.took)
	return p.Process.Get(ctx, key)
}

func (p slowStore) Acquire(ctx context.Context, key string, r corral.LeaseRequest[int]) (corral.Lease[int], error) {
	time.Sleep(p.took)
	return p.Process.Acquire(ctx, key, r)
}

// slowRead is a process of which a read, once it is made, takes a while.
type slowRead struct {
	*process
	took time.Duration
}

func (p slowRead) Get(ctx context.Context, key string) (*corral.Entry[int], error) {
	defer time.Sleep(p.took)
	return p.process.Get(ctx, key)
}

// Callers who come one after the other, and leave each while the lease is asked
// for, do not wait in vain for ever.
func TestContract_C4_CallersLeaveWhileTheLeaseIsAskedFor(t *testing.T) {
	calls := map[string]func(ctx context.Context, l *corral.Loader[string, int], s *source){
		"one": func(ctx context.Context, l *corral.Loader[string, int], s *source) {
			_, _ = l.GetOrLoad(ctx, "k", s.load)
		},
		"many": func(ctx context.Context, l *corral.Loader[string, int], s *source) {
			_, _ = l.GetOrLoadMany(ctx, []string{"k"}, func(ctx context.Context, keys []string) (map[string]int, error) {
				v, err := s.load(ctx, keys[0])
				return map[string]int{"k": v}, err
			})
		},
	}
	for name, call := range calls {
		for _, opts := range []corral.Options{{TTL: time.Minute}, {TTL: time.Minute, MaxLoads: 1}} {
			bubble(t, "C4/"+name, func(t *testing.T) {
				store := memadapter.NewShared[string, int](leaseLife)
				l := newLoader(t, oneByOne(slowStore{store.Process(), 40 * time.Millisecond}), opts)
				s := source{took: 100 * time.Millisecond}
				for range 5 {
					ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
					call(ctx, l, &s)
					cancel()
					time.Sleep(time.Second)
				}
				s.wantLoads(t, 1)
				if v := get(t, l, "k", s.load); v != 1 {
					t.Errorf("GetOrLoad = %d, want the 1 that was stored", v)
				}
			})
		}
	}
}

// F16: of a lease whose grant got lost nobody knows; it is given back.
func TestBulk_LeasesWhoseGrantGotLost(t *testing.T) {
	overFleets(t, "F16", 2, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		f.process[0].acquireLost = errSource
		s := &bulkSource{took: time.Second}
		got, err := f.loader[0].GetOrLoadMany(t.Context(), letters(2), s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
		start := time.Now()
		got, err = f.loader[1].GetOrLoadMany(t.Context(), letters(2), s.load)
		wantMany(t, got, err, map[string]int{"a": 2, "b": 2})
		wantTook(t, "the other's call", start, time.Second)
	})
}

// A call about a lease that outlived its time is still a call of the cache: the
// user closes that after the Loader.
func TestContract_L1_CloseWaitsForCallsAboutLeases(t *testing.T) {
	overFleets(t, "L1", 1, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		l, p, hang := f.loader[0], f.process[0], make(chan struct{})
		get(t, l, "warm", (&source{}).load)
		time.AfterFunc(100*time.Millisecond, func() { p.break_(nil, nil, hang) })
		_, _ = l.GetOrLoadMany(t.Context(), letters(2), func(context.Context, []string) (map[string]int, error) {
			time.Sleep(leaseLife) // renewals hang
			return nil, errSource // and the release does
		})
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v while the cache was called", err)
		}
		close(hang)
		synctest.Wait()
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	overFleets(t, "L1/Acquire", 1, corral.Options{TTL: time.Minute}, func(t *testing.T, f *fleet) {
		l, p, hang := f.loader[0], f.process[0], make(chan struct{})
		p.break_(nil, nil, hang)
		go func() { _, _ = l.GetOrLoadMany(t.Context(), letters(2), (&bulkSource{}).load) }()
		time.Sleep(10 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close returned %v while the cache was called", err)
		}
		close(hang)
		synctest.Wait()
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestContract_L1_CloseWaitsForACallAboutALease(t *testing.T) {
	hangs := map[string]func(p *process, hang chan struct{}){
		"Acquire": func(p *process, hang chan struct{}) {
			time.Sleep(20 * time.Millisecond) // the read has begun
			p.break_(nil, nil, hang)
		},
		"Renew":   func(p *process, hang chan struct{}) { time.Sleep(leaseLife / 6); p.break_(nil, nil, hang) },
		"Release": func(p *process, hang chan struct{}) { time.Sleep(leaseLife / 4); p.break_(nil, nil, hang) },
	}
	for name, begin := range hangs {
		bubble(t, "L1/"+name, func(t *testing.T) {
			f := newFleet(t, 1, corral.Options{TTL: time.Minute})
			l, hang := newLoader(t, oneByOne(slowRead{f.process[0], 40 * time.Millisecond}), corral.Options{TTL: time.Minute}), make(chan struct{})
			took := leaseLife
			if name == "Release" {
				took = leaseLife/4 + time.Millisecond // no renewal comes before it
			}
			go func() {
				_, _ = l.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) {
					time.Sleep(took)
					return 0, errSource
				})
			}()
			begin(f.process[0], hang)
			time.Sleep(10 * time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close returned %v while the cache was called", err)
			}
			close(hang)
			if err := l.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}
