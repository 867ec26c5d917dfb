package fleet

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/internal/bounded"
)

// epochLease is the right of a process to go by what it knows of the topology. It
// lasts for a while from when the process last asked, and whoever publishes waits as
// long before publishing more: so no process is ever more than one phase behind.
// Nothing runs while there are no calls.
type epochLease struct {
	epochs Epochs
	life   time.Duration
	adopt  func(ctx context.Context, p Published) error // puts into force what was published
	failed func(ctx context.Context, err error)         // is told of errors
	base   time.Time
	until  atomic.Int64 // after base; when the lease ends

	mu      sync.Mutex
	renewal chan struct{} // guarded by mu; closed when the renewal under way has ended
	pause   int64         // guarded by mu; after base; before it a renewal that failed is not repeated
	err     error         // guarded by mu; of the last renewal
}

func newEpochLease(epochs Epochs, life time.Duration, adopt func(context.Context, Published) error, failed func(context.Context, error)) *epochLease {
	return &epochLease{epochs: epochs, life: life, adopt: adopt, failed: failed, base: time.Now()}
}

func (e *epochLease) now() int64 { return int64(time.Since(e.base)) }

// valid reports whether the lease lasts.
func (e *epochLease) valid() bool { return e.now() < e.until.Load() }

// check returns ErrEpochUnknown unless the lease lasts, which it renews in time.
func (e *epochLease) check(ctx context.Context) error {
	left := e.until.Load() - e.now()
	if left > int64(e.life)*2/3 {
		return nil
	}
	renewal := e.renewSoon(ctx)
	if left > 0 {
		return nil
	}
	if renewal != nil {
		select {
		case <-renewal:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if e.valid() {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return fmt.Errorf("%w: %w", ErrEpochUnknown, e.err)
}

// renewSoon starts a renewal unless one is under way, and returns what is closed when
// that has ended; nil if the last one failed a moment ago.
func (e *epochLease) renewSoon(ctx context.Context) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.renewal == nil {
		if e.now() < e.pause {
			return nil
		}
		renewal := make(chan struct{})
		e.renewal = renewal
		go func() {
			defer close(renewal)
			e.renewed(ctx, e.renew(context.WithoutCancel(ctx)))
		}()
	}
	return e.renewal
}

func (e *epochLease) renewed(ctx context.Context, err error) {
	e.mu.Lock()
	e.renewal, e.err = nil, err
	if err != nil {
		e.pause = e.now() + int64(e.life)/10
	}
	e.mu.Unlock()
	if err != nil {
		e.failed(ctx, err)
	}
}

// renew asks what was published, puts it into force, and then makes the lease last
// from when it asked: a call that finds the lease valid goes by nothing older.
func (e *epochLease) renew(ctx context.Context) error {
	asked := e.now()
	ctx, cancel := context.WithTimeout(ctx, e.life)
	defer cancel()
	p, err := bounded.Do(ctx, e.epochs.Load)
	if err == nil {
		err = p.check()
	}
	if err == nil {
		err = e.adopt(ctx, p)
	}
	if err != nil {
		return fmt.Errorf("fleet: Options.Epochs: %w", err)
	}
	e.extend(asked)
	return nil
}

// extend makes the lease last from when it was asked for.
func (e *epochLease) extend(asked int64) {
	for until := asked + int64(e.life); ; {
		now := e.until.Load()
		if now >= until || e.until.CompareAndSwap(now, until) {
			return
		}
	}
}

// asked returns when the process asked last, and got an answer: what it hears of next was
// published after that. It is the zero time if it has not asked before.
func (e *epochLease) asked() time.Time {
	until := e.until.Load()
	if until == 0 {
		return time.Time{}
	}
	return e.base.Add(time.Duration(until) - e.life)
}

// grace is how long after a publication every process goes by it, or by nothing: a
// tenth more than a lease, as clocks do not all run at the same rate.
func (e *epochLease) grace() time.Duration { return e.life + e.life/10 }
