package redistest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Until calls try until it returns nil, every few milliseconds of real time, for
// half a minute at the most, and returns the last error. An error made by
// [Never] is returned at once.
func Until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, comeUp)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		var final *never
		switch {
		case err == nil:
			return nil
		case errors.As(err, &final):
			return final.err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("in vain for %v: %w", comeUp, err)
		}
	}
}

type never struct{ err error }

func (n *never) Error() string { return n.err.Error() }

// Never returns err as one that another try does not help against.
func Never(err error) error { return &never{err} }

// atOnce calls fn with 0 to n-1 concurrently and waits for all.
func atOnce(n int, fn func(i int)) {
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { fn(i) })
	}
	calls.Wait()
}
