package corral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

// The clauses on flights, writes and the cache, for the keys of a batch.

func TestContract_W1_Bulk(t *testing.T) {
	opts := corral.Options{TTL: time.Minute, StaleIfError: time.Hour}
	overBulk(t, "W1/a deleted key of a batch that loads is not stored, the others are", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := &bulkSource{took: time.Second}
		done := make(chan map[string]int)
		go func() {
			got, _ := l.GetOrLoadMany(t.Context(), letters(3), s.load)
			done <- got
		}()
		time.Sleep(time.Second / 2)
		if err := l.Delete(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		if got := <-done; len(got) != 3 {
			t.Errorf("the batch got %v", got)
		}
		synctest.Wait()
		got, err := l.GetOrLoadMany(t.Context(), letters(3), s.load)
		wantMany(t, got, err, map[string]int{"a": 1, "b": 2, "c": 1})
		if n := l.Stats().Discarded; n != 1 {
			t.Errorf("Discarded is %d, want 1", n)
		}
	})
	bubble(t, "W1/Deletes of crossing keys", func(t *testing.T) {
		for _, c := range []corral.Cache[string, int]{newFar(), newBatch(false), newBatch(true)} {
			l := newLoader(t, c, opts)
			start := time.Now()
			crowd(50, func(i int) {
				keys := []string{"a", "b", "c", "d", "a"}
				if i%2 == 1 {
					keys = []string{"d", "c", "b", "a"}
				}
				if err := l.Delete(t.Context(), keys...); err != nil {
					t.Error(err)
				}
			})
			wantTook(t, "they", start, 0)
		}
	})
	bubble(t, "W1/a Delete waits for a fill, its other keys do not", func(t *testing.T) {
		c := &lingering{farCache: newFar()}
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute})
		c.late.Store(int64(2 * time.Second))
		get(t, l, "slow", (&source{}).load) // its fill goes on for 1.5 s
		c.late.Store(0)
		get(t, l, "quick", (&source{}).load)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := l.Delete(ctx, "slow", "quick")
		wantFailed(t, err, "slow")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Delete: %v", err)
		}
		if e, _ := c.Cache.Get(t.Context(), "quick"); e != nil {
			t.Error("the other key was not deleted")
		}
		if err := l.Delete(t.Context(), "quick", "slow"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	})
	bubble(t, "W3/a key that cannot be deleted", func(t *testing.T) {
		c := newBatch(false)
		l := newLoader[string, int](t, c, opts)
		c.spoil(map[string]error{"b": errSource})
		err := l.Delete(t.Context(), "a", "b", "c")
		wantFailed(t, err, "b")
		if n := l.Stats().CacheErrors; n != 1 {
			t.Errorf("CacheErrors is %d, want 1", n)
		}
		c.break_(errSource, nil)
		wantFailed(t, l.Delete(t.Context(), "a", "b", "c"), "a", "b", "c")
	})
}

func TestContract_A1_Bulk_TheCacheFails(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	bubble(t, "A1/some keys cannot be read", func(t *testing.T) {
		for _, near := range []bool{true, false} {
			c := newBatch(near)
			l := newLoader[string, int](t, c, opts)
			s := &bulkSource{}
			l.GetOrLoadMany(t.Context(), letters(3), s.load)
			synctest.Wait()
			c.spoil(map[string]error{"b": errSource, "c": fmt.Errorf("x: %w", corral.ErrUndecodable)})
			got, err := l.GetOrLoadMany(t.Context(), letters(3), s.load)
			wantMany(t, got, err, map[string]int{"a": 1, "b": 2, "c": 2})
			synctest.Wait()
			if stats := l.Stats(); stats.Undecodable == 0 || stats.CacheErrors == 0 {
				t.Errorf("near %v: %+v", near, stats)
			}
		}
	})
	for name, open := range map[string]func() corral.Cache[string, int]{
		"far": func() corral.Cache[string, int] { return newFar() }, "far batch": func() corral.Cache[string, int] { return newBatch(false) },
	} {
		bubble(t, "A1/it fails, hangs and comes back/"+name, func(t *testing.T) {
			c := open()
			far, _ := c.(*farCache)
			if b, ok := c.(*batchCache); ok {
				far = b.farCache
			}
			l := newLoader(t, c, opts)
			s := &bulkSource{}
			far.break_(errSource, nil)
			for i := range 10 {
				got, err := l.GetOrLoadMany(t.Context(), letters(20), s.load)
				if err != nil || len(got) != 20 || got["a"] != i+1 {
					t.Errorf("GetOrLoadMany = %v, %v", got, err)
				}
			}
			hang := make(chan struct{})
			far.break_(nil, hang)
			time.Sleep(10 * time.Second)
			start := time.Now()
			got, err := l.GetOrLoadMany(t.Context(), letters(20), s.load)
			if err != nil || len(got) != 20 {
				t.Errorf("GetOrLoadMany = %v, %v", got, err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("a cache that hangs held the batch up for %v", took)
			}
			close(hang)
			far.break_(nil, nil)
			time.Sleep(10 * time.Second)
			l.GetOrLoadMany(t.Context(), letters(20), s.load)
			time.Sleep(10 * time.Second)
			l.GetOrLoadMany(t.Context(), letters(20), s.load)
			synctest.Wait()
			before := len(s.asked())
			l.GetOrLoadMany(t.Context(), letters(20), s.load)
			if len(s.asked()) != before {
				t.Error("the cache did not come back")
			}
		})
	}
	bubble(t, "FailClosed", func(t *testing.T) {
		for _, near := range []bool{true, false} {
			c := newBatch(near)
			l := newLoader[string, int](t, c, corral.Options{TTL: time.Minute, FailClosed: true})
			c.spoil(map[string]error{"b": errSource})
			got, err := l.GetOrLoadMany(t.Context(), letters(3), (&bulkSource{}).load)
			if failed := wantFailed(t, err, "b"); failed["b"] != errSource || len(got) != 2 {
				t.Errorf("GetOrLoadMany = %v, %v", got, err)
			}
		}
	})
	bubble(t, "A1/answers that do not fit the keys", func(t *testing.T) {
		for _, near := range []bool{true, false} {
			c := &misfitting{newBatch(near)}
			l := newLoader[string, int](t, c, opts)
			got, err := l.GetOrLoadMany(t.Context(), letters(3), (&bulkSource{}).load)
			if err != nil || len(got) != 3 || l.Stats().CacheErrors == 0 {
				t.Errorf("GetOrLoadMany = %v, %v", got, err)
			}
		}
	})
}

// misfitting answers for one key too few.
type misfitting struct{ *batchCache }

func (c *misfitting) GetMany(_ context.Context, keys []string) ([]*corral.Entry[int], error) {
	return make([]*corral.Entry[int], len(keys)-1), nil
}

func TestContract_L1_Bulk_Close(t *testing.T) {
	overBulk(t, "L1", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		errs := make(chan error, 1)
		go func() {
			_, err := l.GetOrLoadMany(t.Context(), letters(3), func(ctx context.Context, _ []string) (map[string]int, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
			errs <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if err := <-errs; !errors.Is(err, corral.ErrClosed) {
			t.Errorf("the batch got %v, want ErrClosed", err)
		}
	})
}
