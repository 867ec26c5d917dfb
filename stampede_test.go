package corral_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// These are the promises of the README, seen from outside. Time is that of the
// bubble: what is counted is exact.

func TestStampede_ColdKeyIsOneLoad(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{took: time.Second}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute})
		wantAll(t, askAll(t.Context(), 10_000, l, "k", src.load), answer{1, nil, time.Second})
		src.wantLoads(t, 1)
		wantAll(t, askAll(t.Context(), 100, l, "k", src.load), answer{1, nil, 0})
		src.wantLoads(t, 1)
	})
}

// A cache that lost everything, as after a restart, costs one load for each key.
func TestStampede_EmptiedCacheIsOneLoadPerKey(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		const keys = 20
		src := &source{took: time.Second}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute})
		for round := int64(1); round <= 3; round++ {
			crowd(1000, func(i int) {
				if got := ask(t.Context(), l, fmt.Sprint(i%keys), src.load); got.err != nil || got.waited != time.Second {
					t.Errorf("caller %d got %+v, want a value after 1s", i, got)
				}
			})
			src.wantLoads(t, keys*round)
			time.Sleep(2 * time.Millisecond) // no flight serves in the cache's stead any more
			for i := range keys {
				if err := cache.Delete(t.Context(), fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// readers read key every 10 ms, n of them together, for so long, and return the
// longest that one had to wait.
func readers(t *testing.T, n int, lasting time.Duration, l *corral.Loader[string, int], load corral.LoadFunc[string, int]) time.Duration {
	end := time.Now().Add(lasting)
	longest := make([]time.Duration, n)
	crowd(n, func(i int) {
		for time.Now().Before(end) {
			got := ask(t.Context(), l, "hot", load)
			if got.err != nil {
				t.Error(got.err)
				return
			}
			longest[i] = max(longest[i], got.waited)
			time.Sleep(10 * time.Millisecond)
		}
	})
	return slices.Max(longest)
}

// moments is a source that notes when each load started.
type moments struct {
	source
	mu     sync.Mutex
	starts []time.Time // guarded by mu
}

func (s *moments) load(ctx context.Context, key string) (int, error) {
	s.mu.Lock()
	s.starts = append(s.starts, time.Now())
	s.mu.Unlock()
	return s.source.load(ctx, key)
}

// wantEvery fails unless there were n loads, one every period.
func (s *moments) wantEvery(t *testing.T, n int64, period time.Duration) {
	t.Helper()
	s.wantLoads(t, n)
	for i := 1; i < len(s.starts); i++ {
		if gap := s.starts[i].Sub(s.starts[i-1]); gap != period {
			t.Errorf("load %d began %v after the one before, want %v", i+1, gap, period)
		}
	}
}

func TestStampede_HotKeyExpiringIsOneLoadPerTTL(t *testing.T) {
	for _, c := range []struct {
		name     string
		staleFor time.Duration
		longest  time.Duration
	}{
		{"callers wait", 0, 100 * time.Millisecond},
		{"with StaleFor nobody waits", time.Minute, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
				src := &moments{source: source{took: 100 * time.Millisecond}}
				l := newLoader(t, cache, corral.Options{TTL: time.Second, StaleFor: c.staleFor})
				if first := ask(t.Context(), l, "hot", src.load); first.err != nil {
					t.Fatal(first.err)
				}
				if longest := readers(t, 20, 5500*time.Millisecond, l, src.load); longest != c.longest {
					t.Errorf("somebody waited %v, want %v at the most", longest, c.longest)
				}
				src.wantEvery(t, 6, 1100*time.Millisecond)
			})
		})
	}
}

// The caller that started the load leaves: nobody else notices.
func TestStampede_StarterCancelled(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{took: time.Second}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute})
		gone := errors.New("the client hung up")
		ctx, cancel := context.WithCancelCause(t.Context())
		var starter answer
		var all sync.WaitGroup
		all.Go(func() { starter = ask(ctx, l, "k", src.load) })
		synctest.Wait()
		all.Go(func() {
			time.Sleep(100 * time.Millisecond)
			cancel(gone)
		})
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{1, nil, time.Second})
		all.Wait()
		wantAll(t, []answer{starter}, answer{0, gone, 100 * time.Millisecond})
		src.wantLoads(t, 1)
	})
}

// Everybody's deadline is shorter than the load: it lands all the same, and the
// next caller has its value.
func TestStampede_DeadlinesShorterThanTheLoad(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{took: 100 * time.Millisecond}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute})
		for _, want := range []answer{
			{0, context.DeadlineExceeded, 60 * time.Millisecond},
			{1, nil, 40 * time.Millisecond},
			{1, nil, 0},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
			wantAll(t, askAll(ctx, 1000, l, "k", src.load), want)
			cancel()
		}
		src.wantLoads(t, 1)
	})
}

// What was loaded before a Delete is never served after it, nor stored.
func TestStampede_DeleteDuringLoad(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{took: time.Second}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, StaleFor: time.Minute, StaleIfError: time.Hour})
		var before []answer
		var all sync.WaitGroup
		all.Go(func() { before = askAll(t.Context(), 1000, l, "k", src.load) })
		time.Sleep(500 * time.Millisecond)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{2, nil, time.Second})
		all.Wait()
		wantAll(t, before, answer{1, nil, time.Second})
		wantAll(t, askAll(t.Context(), 10, l, "k", src.load), answer{2, nil, 0})
		src.wantLoads(t, 2)
	})
}

func TestStampede_SetDuringLoad(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{took: time.Second}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute})
		var before []answer
		var all sync.WaitGroup
		all.Go(func() { before = askAll(t.Context(), 1000, l, "k", src.load) })
		time.Sleep(500 * time.Millisecond)
		if err := l.Set(t.Context(), "k", 77); err != nil {
			t.Fatal(err)
		}
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{77, nil, 0})
		all.Wait()
		wantAll(t, before, answer{1, nil, time.Second})
		wantAll(t, askAll(t.Context(), 10, l, "k", src.load), answer{77, nil, 0})
		src.wantLoads(t, 1)
	})
}

// A deleted key's load that runs in the background is no better.
func TestStampede_DeleteDuringRefresh(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		src := &source{took: time.Second}
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, StaleFor: time.Hour})
		ask(t.Context(), l, "k", src.load)
		time.Sleep(time.Minute)
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{1, nil, 0}) // the refresh starts
		time.Sleep(500 * time.Millisecond)
		if err := l.Delete(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		wantAll(t, askAll(t.Context(), 1000, l, "k", src.load), answer{3, nil, time.Second})
		src.wantLoads(t, 3)
	})
}

// A slow load of one key delays nobody who wants another, though both are in the
// one shard that there is.
func TestStampede_OtherKeysDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, memadapter.New[string, int](), corral.Options{TTL: time.Hour, Shards: 1})
		slow, quick := &source{took: 20 * time.Second}, &source{took: time.Second}
		ask(t.Context(), l, "warm", quick.load)
		var all sync.WaitGroup
		all.Go(func() { ask(t.Context(), l, "slow", slow.load) })
		synctest.Wait()
		wantAll(t, askAll(t.Context(), 100, l, "warm", quick.load), answer{1, nil, 0})
		wantAll(t, askAll(t.Context(), 100, l, "cold", quick.load), answer{2, nil, time.Second})
		all.Wait()
		slow.wantLoads(t, 1)
	})
}
