package corral

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// life counts what a Loader has under way, so that Close can wait for it.
type life struct {
	n     atomic.Int64 // what is under way, plus closing once Close was called
	begin sync.Once
	end   sync.Once
	idle  chan struct{} // closed when Close was called and nothing is under way
	over  atomic.Bool   // Close has returned: no hook and no write any more

	onClose func() // ends what runs without being under way; nil if nothing does
}

// closing makes the count negative whatever is under way.
const closing = math.MinInt64 / 2

// enter reports whether something may start; if so, leave must follow.
func (l *life) enter() bool {
	if l.n.Add(1) > 0 {
		return true
	}
	l.leave()
	return false
}

// again counts one more thing on behalf of something that is under way.
func (l *life) again() { l.n.Add(1) }

func (l *life) leave() {
	l.settle(l.n.Add(-1))
}

// settle closes idle if nothing is under way. A refused enter may see that too,
// after the last leave did.
func (l *life) settle(n int64) {
	if n == closing {
		l.end.Do(func() { close(l.idle) })
	}
}

func (l *life) closed() bool { return l.n.Load() < 0 }

// close refuses everything new.
func (l *life) close() {
	l.begin.Do(func() {
		if l.onClose != nil {
			l.onClose()
		}
		l.settle(l.n.Add(closing))
	})
}

// wait waits until nothing is under way or ctx ends.
func (l *life) wait(ctx context.Context) error {
	select {
	case <-l.idle:
		return nil
	default:
	}
	select {
	case <-l.idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
