//go:build !race

// Ristretto's Close closes a channel that others send to, which the race
// detector reports as a race of Ristretto's, in any program.

package ristrettoadapter_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// E11: Ristretto panics or hangs when a write meets Close. Here every call
// returns, with nothing worse than an error, and at most one goroutine stays
// for each cache that was closed under a write. BufferItems is above the number
// of reads: Close races the counting of reads too.
func TestCloseRacesCalls(t *testing.T) {
	const rounds, atOnce = 1_000, 20
	var outcome struct{ fine, closed atomic.Int64 }
	var all sync.WaitGroup
	for w := range atOnce {
		all.Go(func() {
			for round := w; round < rounds; round += atOnce {
				c, raw := entries(t, func(cfg *config) { cfg.NumCounters, cfg.BufferItems = 100, 1<<20 })
				switch err := closeRace(t.Context(), c, raw, round); {
				case err == nil:
					outcome.fine.Add(1)
				case errors.Is(err, ristrettoadapter.ErrStoreClosed):
					outcome.closed.Add(1)
				default:
					t.Errorf("round %d: %v", round, err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d rounds ended before Close, %d by it; %d goroutines stay", outcome.fine.Load(), outcome.closed.Load(), stuckWaits())
	if stuck := stuckWaits(); stuck > rounds {
		t.Errorf("%d goroutines are stuck in Ristretto's Wait after %d rounds", stuck, rounds)
	}
	if outcome.closed.Load() == 0 {
		t.Error("no write met Close")
	}
}

// closeRace closes raw while three goroutines write and returns their first
// error that is not about a refused entry.
func closeRace(ctx context.Context, c settling, raw *ristretto.Cache[string, item], round int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	underWay := make(chan struct{}, 3)
	errs := make(chan error, 3)
	for w := range 3 {
		go func() {
			var first error
			for n := 0; n < 30 && first == nil; n++ {
				key := strconv.Itoa(w<<8 + n%8)
				err := c.Set(ctx, key, lasting(n, time.Hour))
				if n == round%20 {
					underWay <- struct{}{}
				}
				_ = c.Settle(ctx, key)
				first = firstErr(err, c.Delete(ctx, key))
			}
			errs <- first
		}()
	}
	<-underWay
	raw.Close()
	return firstErr(<-errs, <-errs, <-errs)
}

// firstErr returns the first error there is.
func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func stuckWaits() int {
	stacks := make([]byte, 64<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), stuckWait+"(")
}
