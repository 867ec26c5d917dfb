package corral_test

import (
	"context"
	"testing"
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
