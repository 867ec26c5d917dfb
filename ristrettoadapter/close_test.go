package ristrettoadapter_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

func TestAfterClose(t *testing.T) {
	t.Run("New", func(t *testing.T) {
		c, raw := entries(t, nil)
		afterClose(t, c, raw.Close)
	})
	t.Run("Plain", func(t *testing.T) {
		c, raw := values(t, nil)
		afterClose(t, c, raw.Close)
	})
}

func afterClose(t *testing.T, c settling, shut func()) {
	must(t, c.Set(t.Context(), "k", lasting(1, time.Hour)))
	must(t, c.Settle(t.Context(), "k"))
	shut()
	wantValue(t, c, "k", -1)
	for range 2 {
		wantErr(t, c.Set(t.Context(), "k", lasting(2, time.Hour)), ristrettoadapter.ErrStoreClosed)
	}
	must(t, c.Delete(t.Context(), "k"))
	must(t, c.Settle(t.Context(), "k"))
	wantValue(t, c, "k", -1)
}

// The user may empty the cache at any time.
func TestClearRacesCalls(t *testing.T) {
	c, raw := entries(t, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			raw.Clear()
		}
	}()
	for n := 0; ; n++ {
		select {
		case <-done:
			must(t, c.Set(t.Context(), "k", lasting(n, time.Hour)))
			wantValue(t, c, "k", n)
			return
		default:
			must(t, c.Set(t.Context(), "k", lasting(n, time.Hour)))
			_ = c.Settle(t.Context(), "k") // refused, as far as anybody can tell
		}
	}
}

func TestNoCache(t *testing.T) {
	t.Run("New", func(t *testing.T) {
		noCache(t, ristrettoadapter.New((*ristretto.Cache[string, *corral.Entry[int]])(nil), ristrettoadapter.Options[int]{}))
	})
	t.Run("Plain", func(t *testing.T) {
		c := ristrettoadapter.Plain[string, int](nil, ristrettoadapter.Options[int]{})
		noCache(t, c)
		_, _, _, err := c.GetValue(t.Context(), "k")
		for _, err := range []error{err, c.SetValue(t.Context(), "k", 1, time.Hour)} {
			if err == nil {
				t.Error("no error")
			}
		}
	})
}

func noCache(t *testing.T, c interface {
	settling
	Check() error
}) {
	_, err := c.Get(t.Context(), "k")
	for _, err := range []error{
		err, c.Check(), c.Set(t.Context(), "k", lasting(1, time.Hour)),
		c.Delete(t.Context(), "k"), c.Settle(t.Context(), "k"),
	} {
		if err == nil || err.Error() != "ristrettoadapter: the *ristretto.Cache is nil" {
			t.Errorf("error is %v, want one that names the nil cache", err)
		}
	}
}

func TestNilEntry(t *testing.T) {
	both(t, func(t *testing.T, c settling) {
		if err := c.Set(t.Context(), "k", nil); err == nil {
			t.Error("Set of a nil entry returned nil")
		}
	})
	c, raw := entries(t, nil)
	raw.Set("k", item{}, 1)
	raw.Wait()
	wantValue(t, c, "k", -1)
}
