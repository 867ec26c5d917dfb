package fleet_test

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/corralcache/corral/sharded/fleet"
)

// ownContext is a context of somebody's own, of whose end others hear from a goroutine.
type ownContext struct {
	context.Context
	done  chan struct{}
	ended atomic.Bool
	after atomic.Bool // it ends as soon as somebody has looked whether it has
}

var errOwnEnd = errors.New("it has ended")

func (c *ownContext) Done() <-chan struct{} { return c.done }

func (c *ownContext) Err() error {
	if c.after.CompareAndSwap(true, false) {
		c.end()
		synctest.Wait() // until all others know
		return nil
	}
	if c.ended.Load() {
		return errOwnEnd
	}
	return nil
}

func (c *ownContext) end() {
	c.ended.Store(true)
	close(c.done)
}

// A source that ends without a word when its context does, which is that of the Merge, is
// no source that was merged whole.
func TestMerge_OfSourcesThatEndWithItsContext(t *testing.T) {
	for range 500 { // which of the two is seen first is a matter of luck
		own := &ownContext{Context: t.Context(), done: make(chan struct{})}
		std, cancel := context.WithCancelCause(t.Context())
		for _, c := range []struct {
			ctx context.Context
			end func()
		}{{own, own.end}, {std, func() { cancel(errOwnEnd) }}} {
			waits := func(yield func(int, error) bool) {
				if yield(1, nil) {
					<-c.ctx.Done()
				}
			}
			seen, err := 0, error(nil)
			for _, err = range fleet.Merge(c.ctx, cmp.Compare[int], 1, waits, iter.Seq2[int, error](waits)) {
				if seen++; seen == 1 { // for another element of that source it waits
					go c.end()
				}
			}
			if !errors.Is(err, errOwnEnd) || seen != 2 {
				t.Fatalf("after %d turns the merge ended with %v, want the end of its context", seen, err)
			}
		}
	}
}

// So it is if the context ends between two looks at it, and the source is first.
func TestMerge_ItsContextEndsBetweenTwoLooks(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			own := &ownContext{Context: t.Context(), done: make(chan struct{})}
			waits := func(yield func(int, error) bool) {
				if yield(1, nil) {
					<-own.done
				}
			}
			seen, err := 0, error(nil)
			for _, err = range fleet.Merge(own, cmp.Compare[int], 1, waits, iter.Seq2[int, error](waits)) {
				seen++
				own.after.Store(seen == 1)
			}
			if !errors.Is(err, errOwnEnd) || seen != 2 {
				t.Errorf("after %d turns the merge ended with %v, want the end of its context", seen, err)
			}
		})
	}
}
