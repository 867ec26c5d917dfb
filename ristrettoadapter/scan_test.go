package ristrettoadapter_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

func enumerable(t testing.TB, change func(*config)) (*ristrettoadapter.Cache[string, int], *ristretto.Cache[string, item]) {
	raw := open(t, change)
	return ristrettoadapter.New(raw, ristrettoadapter.Options[int]{Enumerable: true}), raw
}

func keysOf(t testing.TB, c *ristrettoadapter.Cache[string, int], count int) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	for cursor := ""; ; {
		items, next, err := c.ScanPage(t.Context(), cursor, count, true)
		must(t, err)
		for _, it := range items {
			keys[it.Key] = true
		}
		if cursor = next; cursor == "" {
			return keys
		}
	}
}

func TestOnlyAnEnumerableCacheIsScanned(t *testing.T) {
	c, _ := entries(t, nil)
	_, _, err := c.ScanPage(t.Context(), "", 10, false)
	for _, err := range []error{c.CheckScan(), err} {
		var option *corral.OptionError
		if !errors.As(err, &option) || option.Field != "ristrettoadapter.Options.Enumerable" {
			t.Errorf("the error is %v", err)
		}
	}
	p := ristrettoadapter.Plain(open[int](t, nil), ristrettoadapter.Options[int]{Enumerable: true})
	var option *corral.OptionError
	if err := p.Check(); !errors.As(err, &option) {
		t.Errorf("Check of a plain cache = %v", err)
	}
	var none *ristretto.Cache[string, item]
	if err := ristrettoadapter.New(none, ristrettoadapter.Options[int]{Enumerable: true}).CheckScan(); err == nil {
		t.Error("no error without a cache")
	}
}

// Every Set that has returned is visited, also while it is buffered, and beside scans
// that forget what they do not find.
func TestAScanFindsEachSet(t *testing.T) {
	c, _ := enumerable(t, nil)
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for n := range 500 {
				key := fmt.Sprint(w, "/", n%10)
				if err := c.Set(t.Context(), key, lasting(n, time.Hour)); err != nil {
					t.Error(err)
				}
				if !keysOf(t, c, 1000)[key] {
					t.Errorf("after Set %d of %s a scan did not find it", n, key)
				}
				if err := c.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
				if keysOf(t, c, 3)[key] {
					t.Errorf("after Delete %d of %s a scan found it", n, key)
				}
			}
		})
	}
	all.Wait()
}

// What Ristretto let go, the index lets go: it stays within twice what there is.
func TestTheIndexIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := enumerable(t, func(cfg *config) { cfg.MaxCost, cfg.IgnoreInternalCost = 1000, true })
		for n := range 50_000 {
			if err := c.Set(t.Context(), fmt.Sprint(n), lasting(n, time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if n := ristrettoadapter.Indexed(c); n > 64*256 {
			t.Errorf("%d keys are kept for 1,000 entries", n)
		}
		time.Sleep(time.Second) // which settles what is buffered
		there := len(keysOf(t, c, 1000))
		if n := ristrettoadapter.Indexed(c); n != there || n > 1000 {
			t.Errorf("after a scan that found %d, %d keys are kept", there, n)
		}
		time.Sleep(2 * time.Hour)
		if n := len(keysOf(t, c, 1000)); n > 0 || ristrettoadapter.Indexed(c) > 0 {
			t.Errorf("of dead entries a scan found %d, and %d keys are kept", n, ristrettoadapter.Indexed(c))
		}
	})
}
