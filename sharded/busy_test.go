package sharded_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded"
)

// In a busy group a load starts, and times out, at most a millisecond too early,
// for those who join it too. The first ones are exact.
func TestTimeoutInABusyGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := sharded.NewGroup[int, int](sharded.Options[int]{Timeout: time.Second})
		hang := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := make([]time.Time, 300)
		var callers sync.WaitGroup
		for i := range began {
			began[i] = time.Now()
			for range 2 {
				callers.Go(func() {
					_, _, err := g.Do(ctx, i, hang)
					if early := time.Second - time.Since(began[i]); err != sharded.ErrLoadTimeout || !near(i, early) {
						t.Errorf("load %d timed out %v early, with %v", i, early, err)
					}
				})
			}
			time.Sleep(7 * time.Microsecond)
		}
		synctest.Wait()
		for i, f := range g.InFlight() {
			if early := began[i].Sub(f.Since); !near(i, early) {
				t.Errorf("load %d is said to have started %v early", i, early)
			}
		}
		callers.Wait()
	})
}

func near(i int, early time.Duration) bool {
	return early == 0 || i > 15 && early > 0 && early < time.Millisecond
}
