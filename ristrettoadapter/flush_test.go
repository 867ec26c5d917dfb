package ristrettoadapter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever asks while a wait is under way shares the next one.
func TestFlushIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := 0
		f := newFlusher(func() { waits++; time.Sleep(time.Millisecond) })
		start := time.Now()
		var all sync.WaitGroup
		all.Go(func() { flushed(t, f) })
		synctest.Wait()
		for range 1000 {
			all.Go(func() { flushed(t, f) })
		}
		all.Wait()
		if took := time.Since(start); waits != 2 || took != 2*time.Millisecond {
			t.Errorf("%d waits in %v, want 2 in 2ms", waits, took)
		}
	})
}

// Close leaves the first wait stuck. The one beside it returns at once, and so
// does everything after.
func TestFlushBesideAStuckWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		var waits atomic.Int64
		f := newFlusher(func() {
			if waits.Add(1) == 1 {
				<-stuck
			}
		})
		start := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { flushed(t, f) })
		}
		all.Wait()
		if took := time.Since(start); waits.Load() != 2 || took != firstPatience {
			t.Errorf("%d waits in %v, want 2 in %v", waits.Load(), took, firstPatience)
		}
		flushed(t, f)
		if took := time.Since(start); waits.Load() != 3 || took != firstPatience {
			t.Errorf("%d waits in %v, want 3 in %v", waits.Load(), took, firstPatience)
		}
	})
}

// A slow cache is not buried under waits.
func TestFlushIsPatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits atomic.Int64
		f := newFlusher(func() { waits.Add(1); time.Sleep(10 * time.Second) })
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { flushed(t, f) })
		}
		all.Wait()
		synctest.Wait()
		if waits.Load() > 9 {
			t.Errorf("%d waits in 10 s", waits.Load())
		}
		time.Sleep(time.Minute)
	})
}

func TestFlushEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		f := newFlusher(func() { <-release })
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("enough"))
		defer cancel()
		if err := f.flush(ctx); err == nil || err.Error() != "enough" {
			t.Errorf("error is %v, want the cause", err)
		}
		if err := f.flush(ctx); err == nil || f.begun.Load() != 1 {
			t.Errorf("error is %v with an ended context, %d waits begun, want 1", err, f.begun.Load())
		}
	})
}

func TestFlushSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlusher(func() { panic("send on closed channel") })
		flushed(t, f)
		flushed(t, f)
	})
}

func flushed(t *testing.T, f *flusher) {
	if err := f.flush(t.Context()); err != nil {
		t.Error(err)
	}
}
