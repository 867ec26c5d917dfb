package corral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// The parts of MaxBatch that run wait, inside their loads, for one that has yet to
// start.
func TestBulk_LoadsInsidePartsOfMaxBatch(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, MaxBatch: 1, LoadTimeout: 10 * time.Second}
	for _, maxLoads := range []int{0, 1, 40} {
		opts.MaxLoads = maxLoads
		overBulk(t, "MaxBatch/a load made inside waits for a part that has yet to start", opts, func(t *testing.T, l *corral.Loader[string, int]) {
			keys := letters(20)
			root := keys[19]
			load := func(ctx context.Context, keys []string) (map[string]int, error) {
				time.Sleep(time.Second)
				if keys[0] != root {
					if _, err := l.GetOrLoad(ctx, root, func(context.Context, string) (int, error) { return 7, nil }); err != nil {
						return nil, err
					}
				}
				return map[string]int{keys[0]: 1}, nil
			}
			start := time.Now()
			got, err := l.GetOrLoadMany(t.Context(), keys, load)
			if err != nil || len(got) != 20 {
				t.Errorf("%d of 20 values after %v: %v", len(got), time.Since(start), err)
			}
		})
	}
}

// A key that everybody has left while its batch queued keeps nobody waiting.
func TestBulk_NewcomerOfAKeyLeftInTheQueue(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, MaxLoads: 1, LoadTimeout: 10 * time.Second}
	overBulk(t, "MaxLoads/a key that was left while its batch queues", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{}
		got := make(chan error, 1)
		go func() { // holds the slot
			_, err := l.GetOrLoad(t.Context(), "x", func(ctx context.Context, _ string) (int, error) {
				time.Sleep(3 * time.Second)
				return l.GetOrLoad(ctx, "a", s.one)
			})
			got <- err
		}()
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go l.GetOrLoadMany(ctx, []string{"a", "b"}, s.load)
		time.Sleep(time.Second / 2)
		go l.GetOrLoad(t.Context(), "b", s.one)
		start := time.Now()
		if err := <-got; err != nil {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// sickNear is a near cache of many keys that cannot be read.
type sickNear struct {
	*memadapter.Cache[string, int]
}

func (sickNear) GetMany(context.Context, []string) ([]*corral.Entry[int], error) {
	return nil, errors.New("near is sick")
}

// An error of a near layer is a miss, for FailClosed too, as it is of single calls.
func TestBulk_FailClosedIsNotAboutTheNearLayer(t *testing.T) {
	bubble(t, "FailClosed/near layer", func(t *testing.T) {
		far := memadapter.NewShared[string, int](time.Second).Process()
		c := layered.New[string, int](sickNear{memadapter.New[string, int]()}, far, layered.Options{})
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, FailClosed: true})
		s := &bulkSource{}
		got, err := l.GetOrLoadMany(t.Context(), []string{"a", "b"}, s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 1})
	})
}
