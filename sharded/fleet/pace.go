package fleet

import (
	"context"
	"math"
	"sync"
	"time"
)

// pace is how fast a migration goes: how many batches at a time, by how long the calls
// of shards take, and how many bytes a second. It adds to the one and halves it, as TCP
// does, so that the traffic of a shard that slows down comes first.
type pace struct {
	most    float64
	latency time.Duration
	rate    int64 // bytes in a second; 0 for no bound

	mu    sync.Mutex
	limit float64       // guarded by mu; batches at a time, 1 to most
	pause time.Duration // guarded by mu; before each batch, where one at a time is too much
	busy  int           // guarded by mu
	due   time.Time     // guarded by mu; when the bytes so far are paid for
	freed chan struct{} // guarded by mu; closed when there may be room
}

// longestPause is how far a migration slows down: it should end, too.
const longestPause = time.Second

func newPace(workers int, latency time.Duration, rate int64) *pace {
	return &pace{most: float64(workers), latency: latency, rate: rate, limit: 1, freed: make(chan struct{})}
}

// enter waits for its turn; whoever got it calls leave.
func (p *pace) enter(ctx context.Context) error {
	for {
		p.mu.Lock()
		wait, freed := max(p.pause, time.Until(p.due)), p.freed
		if p.busy < int(p.limit) {
			p.busy++
			p.mu.Unlock()
			if err := sleep(ctx, wait); err != nil {
				p.leave(0, 0)
				return err
			}
			return nil
		}
		p.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leave takes note of what a batch took; zero is for one that was none.
func (p *pace) leave(took time.Duration, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	if took > 0 || bytes > 0 {
		p.learnLocked(took)
	}
	if now := time.Now(); p.rate > 0 && bytes > 0 {
		if p.due.Before(now) {
			p.due = now
		}
		p.due = p.due.Add(time.Duration(float64(bytes) / float64(p.rate) * float64(time.Second)))
	}
	close(p.freed)
	p.freed = make(chan struct{})
}

// learnLocked adds a batch in as many as there are, and halves their number.
func (p *pace) learnLocked(took time.Duration) {
	switch slow := took > p.latency; {
	case slow && p.limit > 1:
		p.limit = max(1, p.limit/2)
	case slow:
		p.pause = min(max(2*p.pause, p.latency), longestPause)
	case p.pause > 0:
		if p.pause /= 2; p.pause < time.Millisecond {
			p.pause = 0
		}
	default:
		p.limit = math.Min(p.most, p.limit+1/p.limit)
	}
}

// sleep waits unless ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
