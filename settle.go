package corral

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/internal/flight"
)

// settling is the flights that stay until the cache shows what they wrote. Their
// callers are gone, and the flights serve newcomers: there is no hurry. So they
// settle together, which for Ristretto takes one wait for all of them where each
// by itself would take a goroutine and a wait: for a miss that is half its time.
type settling[K comparable, V any] struct {
	mu      sync.Mutex
	flights []*flight.Flight[K, ride[K, V]] // guarded by mu; each is under way
	timer   *time.Timer                     // guarded by mu; armed while there are flights
}

const (
	// settlePause is how long flights are gathered.
	settlePause = time.Millisecond

	// slowSettle is how long may be waited for some before others are waited for
	// beside them.
	slowSettle = 10 * time.Millisecond
)

// settleLater keeps a flight that was woken until the cache shows its entry.
func (l *Loader[K, V]) settleLater(f *flight.Flight[K, ride[K, V]]) {
	l.life.again()
	s := &l.settling
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flights = append(s.flights, f)
	switch {
	case len(s.flights) > 1:
	case s.timer == nil:
		s.timer = time.AfterFunc(l.settlePause(), l.settleNow)
	default:
		s.timer.Reset(l.settlePause())
	}
}

// settlePause is none once somebody may wait for the flights, as Close does.
func (l *Loader[K, V]) settlePause() time.Duration {
	if l.life.closed() {
		return 0
	}
	return settlePause
}

// settleNow settles the flights that were gathered.
func (l *Loader[K, V]) settleNow() {
	s := &l.settling
	s.mu.Lock()
	flights := s.flights
	s.flights = nil
	s.mu.Unlock()
	if len(flights) > 0 {
		go l.settleAll(flights)
	}
}

// settleAll settles flights one after the other. If one takes long, half of the
// rest goes on beside it.
func (l *Loader[K, V]) settleAll(flights []*flight.Flight[K, ride[K, V]]) {
	returned := false
	defer func() {
		if !returned && len(flights) > 0 { // the cache ends this goroutine
			go l.settleAll(flights)
		}
	}()
	start := flight.Now()
	for len(flights) > 0 {
		f := flights[0]
		flights = flights[1:]
		now := flight.Now()
		if n := len(flights) / 2; n > 0 && now-start >= int64(slowSettle) {
			go l.settleAll(flights[n:])
			flights, start = flights[:n], now
		}
		l.settleFlight(f, flight.After(now, l.opts.CacheTimeout))
	}
	returned = true
}

// settleFlight waits until the cache shows the entry of a flight, until end at the
// most, and removes the flight.
func (l *Loader[K, V]) settleFlight(f *flight.Flight[K, ride[K, V]], end int64) {
	defer l.life.leave()
	defer f.Remove()
	shown := Event{Op: OpCacheSettle}
	start := l.stopwatch()
	ctx := f.Values(end)
	shown.Err = l.settleOnce(ctx, f.Key())
	shown.Took = start.read()
	ctx.End()
	if shown.Err != nil { // the callers have their value
		l.judgeFlight(f, shown, usual)
	}
}

func (l *Loader[K, V]) settleOnce(ctx context.Context, key K) (err error) {
	defer bounded.Recover("the cache", &err)
	err = l.settler.Settle(ctx, key)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = errCacheTimeout
	}
	return err
}
