package fleet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// What comes back is not always what went away: a server that loads a snapshot, or a
// replica that took over before it had heard of everything, holds what was deleted
// since. A shard that can tell ([corral.Incarnate]) is asked which one it is, and if it
// is another, what was loaded until now is fenced.

var (
	errOtherIncarnation = errors.New("fleet: the shard has come back as another incarnation: what was loaded before is not served")
	errUntold           = errors.New("fleet: the shard does not tell any more which incarnation it is: what was loaded before is not served, and what comes back cannot be told")
	errSeveral          = errors.New("fleet: the shard is an incarnation again that it was before: several servers answer for it, and what comes back cannot be told")
)

// doubtful is when a shard is due of which nobody knows what it is: before any call.
const doubtful = math.MinInt64 / 2

// maxPast is how many incarnations are remembered.
const maxPast = 16

// identity is which incarnation a shard is, as far as this process has asked.
type identity struct {
	asks corral.Incarnate // nil if the shard cannot tell
	due  atomic.Int64     // as ward.now; when it is to be asked again

	mu     sync.Mutex
	known  string   // guarded by mu; empty if it is not known
	past   []string // guarded by mu; what it was before
	doubts uint64   // guarded by mu; how often what is known came into doubt
	err    error    // guarded by mu; why it is not known
	under  *look    // guarded by mu; the question under way, nil if none is
}

// look is one question.
type look struct {
	began time.Time
	done  chan struct{} // closed when it is answered
	err   error         // why what was read may not be served; read after done
}

// doubt has the next read wait until the shard has said which incarnation it is.
func (i *identity) doubt() {
	if i.asks == nil || i.due.Load() == never {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.doubts++
	i.due.Store(doubtful)
}

func (i *identity) health(h *ShardHealth) {
	i.mu.Lock()
	defer i.mu.Unlock()
	h.Incarnation, h.Incarnations, h.IncarnationErr = i.known, uint64(len(i.past)), i.err
}

// recognize comes between what was read and who wants it. While there are reads the
// shard is asked in the background; after a pause, or a failure, what was read waits for
// an answer to a question that came after it.
func (m *member[K, V]) recognize(ctx context.Context, start time.Time) error {
	late := int64(start.Sub(m.vitals.ward.base)) - m.vitals.self.due.Load()
	if late < 0 {
		return nil
	}
	if late < int64(m.vitals.ward.opts.Recheck) {
		m.ask()
		return nil
	}
	return m.identify(ctx)
}

// identify waits until the shard has said which incarnation it is now.
func (m *member[K, V]) identify(ctx context.Context) error {
	if i := &m.vitals.self; i.asks == nil || i.due.Load() == never {
		return nil
	}
	for read := time.Now(); ; {
		l := m.ask()
		select {
		case <-l.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !l.began.Before(read) {
			return l.err
		}
	}
}

// identifyOr is identify before a shard that was out is read again. One that answers
// everything else and no longer tells which it is, such as a Redis whose user may not ask any
// more, would be out for ever. Where forgets says so, that is no reason not to read it: it is
// taken for another one than it was, and as one that cannot tell.
func (m *member[K, V]) identifyOr(ctx context.Context, forgets func() bool) error {
	err := m.identify(ctx)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrClosed) || !forgets() {
		return err
	}
	i := &m.vitals.self
	i.mu.Lock()
	i.known = ""
	i.mu.Unlock()
	m.fenceAll()
	m.vitals.replaced(ctx, fmt.Errorf("%w: %w", errUntold, err))
	return nil
}

// ask returns the question under way, or begins one.
func (m *member[K, V]) ask() *look {
	i, w := &m.vitals.self, m.vitals.ward
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.under != nil {
		return i.under
	}
	l := &look{began: time.Now(), done: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		l.err = ErrClosed
		close(l.done)
		return l
	}
	i.under = l
	doubts := i.doubts
	w.probes.Go(func() {
		defer close(l.done)
		ctx, cancel := context.WithTimeout(w.life, w.opts.ProbeTimeout)
		defer cancel()
		id, err := bounded.Do(ctx, i.asks.Incarnation)
		l.err = m.learnt(id, err, doubts)
	})
	return l
}

// learnt takes note of an answer to a question that was asked when so many doubts had
// come. It returns why what was read before must not be served.
func (m *member[K, V]) learnt(id string, err error, doubts uint64) error {
	i, w := &m.vitals.self, m.vitals.ward
	i.mu.Lock()
	defer i.mu.Unlock()
	i.under = nil
	i.err = err
	next := w.now() + int64(w.opts.Recheck)
	switch {
	case err != nil && i.known != "":
		i.due.Store(doubtful)
		return err
	case err != nil: // it may never tell: that is no reason not to read it
		i.due.Store(w.now() + int64(w.opts.MaxPause))
		return nil
	case id == "":
		i.known = ""
		i.due.Store(never)
		return nil
	}
	was := i.known
	if i.known = id; was != "" && was != id {
		if i.past = append(i.past, was); len(i.past) > maxPast {
			i.past = i.past[1:]
		}
		m.fenceAll()
		why := errOtherIncarnation
		if slices.Contains(i.past, id) {
			i.known, i.err, next, why = "", errSeveral, never, errSeveral
		}
		w.probes.Go(func() { m.vitals.replaced(w.life, why) })
	}
	if doubts == i.doubts || next == never {
		i.due.Store(next)
	}
	return nil
}
