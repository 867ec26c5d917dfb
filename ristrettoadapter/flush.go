package ristrettoadapter

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// firstPatience is how long a wait may take before another is begun beside it.
// A full buffer of 32,768 writes is applied in about 30 ms.
const firstPatience = 100 * time.Millisecond

// flusher lets any number of callers share Ristretto's Wait: one that asks
// while a wait is under way is served by the next, together with everybody who
// asked since. A wait that began after a write was buffered returns after the
// write is applied, because the buffer is a queue.
//
// A wait that meets Close can be stuck for ever: Close may leave its item in the
// buffer, unread. Nothing outside Ristretto can see or wake it. So a wait that
// takes too long gets a second one beside it, which returns at once if the cache
// is closed by then, and serves both. The stuck goroutine stays, one for each
// cache closed under a write; reading Ristretto's private fields was rejected.
type flusher struct {
	wait func()

	mu      sync.Mutex
	begun   atomic.Uint64 // changed under mu; waits begun, which is the number of the latest
	landed  atomic.Uint64 // changed under mu; the highest number that returned
	wanted  uint64        // guarded by mu; the highest number that was asked for
	since   time.Time     // guarded by mu; when the latest began
	changed chan struct{} // guarded by mu; closed and replaced when landed grows
}

func newFlusher(wait func()) *flusher {
	return &flusher{wait: wait, changed: make(chan struct{})}
}

// next returns the number of the wait that is the first to begin from now on:
// whoever has buffered a write before is served by it. One that is under way may
// have passed the write already.
func (f *flusher) next() uint64 { return f.begun.Load() + 1 }

// flush returns nil once every write that was buffered before is applied, or
// the cause of ctx's end.
func (f *flusher) flush(ctx context.Context) error { return f.flushTo(ctx, f.next()) }

// flushTo returns nil once the wait with a number has returned, for which it is
// begun if it was not. The writes of many keys thus cost one wait together,
// though they are asked for one by one.
func (f *flusher) flushTo(ctx context.Context, number uint64) error {
	if f.landed.Load() >= number {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) // a wait that nobody waits for could only meet Close
	}
	changed := f.ask(number)
	patience := firstPatience
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-changed:
			var landed bool
			if landed, changed = f.look(number); landed {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			f.again(number, patience)
			patience *= 2
			timer.Reset(patience)
		}
	}
}

// ask sees to it that a wait with the number begins, and returns what to watch. Of
// one that has returned it makes the channel that was closed.
func (f *flusher) ask(number uint64) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.landed.Load() >= number {
		over := make(chan struct{})
		close(over)
		return over
	}
	f.wanted = max(f.wanted, number)
	if f.begun.Load() == f.landed.Load() {
		f.beginLocked()
	}
	return f.changed
}

func (f *flusher) look(number uint64) (landed bool, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.landed.Load() >= number, f.changed
}

// again begins a wait beside one that has taken all of patience.
func (f *flusher) again(number uint64, patience time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.landed.Load() < number && time.Since(f.since) >= patience {
		f.beginLocked()
	}
}

func (f *flusher) beginLocked() {
	f.since = time.Now()
	go f.run(f.begun.Add(1))
}

func (f *flusher) run(number uint64) {
	f.waitQuietly()
	f.mu.Lock()
	defer f.mu.Unlock()
	if number <= f.landed.Load() {
		return
	}
	f.landed.Store(number)
	close(f.changed)
	f.changed = make(chan struct{})
	if begun := f.begun.Load(); number == begun && f.wanted > begun {
		f.beginLocked()
	}
}

// waitQuietly takes the panic of a Wait that Close overtook for the end of the
// wait: a closed cache has nothing left to apply.
func (f *flusher) waitQuietly() {
	defer func() { _ = recover() }()
	f.wait()
}
