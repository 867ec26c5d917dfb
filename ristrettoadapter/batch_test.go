package ristrettoadapter_test

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
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

func numbered(n int) (keys []string, list []entry) {
	for i := range n {
		keys, list = append(keys, fmt.Sprintf("k%d", i)), append(list, lasting(i, time.Hour))
	}
	return keys, list
}

// The buffer is waited for once, not for each key.
func TestDeleteManyWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := entries(t, nil)
		keys, list := numbered(1000)
		ctx := t.Context()
		must(t, c.SetMany(ctx, keys, list))
		before := ristrettoadapter.Waits(c)
		must(t, c.DeleteMany(ctx, keys))
		if n := ristrettoadapter.Waits(c) - before; n != 1 {
			t.Errorf("DeleteMany of 1,000 keys waited %d times, want once", n)
		}
		if n := ristrettoadapter.Watched(c); n != 0 {
			t.Errorf("%d keys are watched that were deleted", n)
		}
		must(t, c.SetMany(ctx, keys, list))
		for i := range list {
			list[i] = lasting(0, -1)
		}
		before = ristrettoadapter.Waits(c)
		must(t, c.SetMany(ctx, keys, list))
		if n := ristrettoadapter.Waits(c) - before; n != 1 {
			t.Errorf("SetMany of 1,000 entries that are over waited %d times, want once", n)
		}
	})
}

// A key that somebody is writing delays itself alone.
func TestDeleteManyBesideAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := entries(t, nil)
		keys, list := numbered(3)
		must(t, c.SetMany(t.Context(), keys, list))
		for _, key := range keys {
			must(t, c.Settle(t.Context(), key))
		}
		end := ristrettoadapter.WriteOf(c, keys[1])
		deleted := make(chan error, 1)
		go func() { deleted <- c.DeleteMany(t.Context(), keys) }()
		synctest.Wait()
		wantValue(t, c, keys[0], -1)
		wantValue(t, c, keys[1], 1)
		wantValue(t, c, keys[2], -1)
		must(t, c.Set(t.Context(), keys[2], list[2])) // not owned by the call that still waits
		end()
		must(t, <-deleted)
		wantValue(t, c, keys[1], -1)
		wantValue(t, c, keys[2], 2)
	})
}

// An ended context is the error of every key that it kept from being deleted.
func TestDeleteManyThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := entries(t, nil)
		keys, list := numbered(3)
		must(t, c.SetMany(t.Context(), keys, list))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var some *corral.KeyErrors[string]
		if err := c.DeleteMany(ctx, keys); !errors.As(err, &some) || len(some.Errors) != 3 {
			t.Errorf("error %v, want one of each key", err)
		}
		must(t, c.DeleteMany(t.Context(), keys))
		wantValue(t, c, keys[0], -1)
	})
}

// One bad entry is its key's error.
func TestSetManyWithBadEntries(t *testing.T) {
	raw := open(t, func(cfg *config) { cfg.MaxCost = 10 })
	c := ristrettoadapter.New(raw, ristrettoadapter.Options[int]{Cost: costOf})
	list := []entry{lasting(1, time.Hour), nil, lasting(11, time.Hour), lasting(2, time.Hour)}
	var some *corral.KeyErrors[string]
	err := c.SetMany(t.Context(), []string{"a", "nil", "large", "b"}, list)
	if !errors.As(err, &some) || len(some.Errors) != 2 || some.Errors["nil"] == nil {
		t.Fatalf("error %v, want those of two keys", err)
	}
	wantErr(t, some.Errors["large"], corral.ErrRefused)
	wantValue(t, c, "a", 1)
	wantValue(t, c, "b", 2)
	if err := c.SetMany(t.Context(), []string{"a"}, list); err == nil {
		t.Error("four entries for one key are no error")
	}
}

func TestManyKeysWithoutACache(t *testing.T) {
	ctx, keys := context.Background(), []string{"a"}
	c := ristrettoadapter.New((*ristretto.Cache[string, *corral.Entry[int]])(nil), ristrettoadapter.Options[int]{})
	p := ristrettoadapter.Plain[string, int](nil, ristrettoadapter.Options[int]{})
	_, get := c.GetMany(ctx, keys)
	_, getPlain := p.GetMany(ctx, keys)
	for name, err := range map[string]error{
		"GetMany": get, "SetMany": c.SetMany(ctx, keys, make([]entry, 1)), "DeleteMany": c.DeleteMany(ctx, keys),
		"plain GetMany": getPlain, "plain SetMany": p.SetMany(ctx, keys, make([]entry, 1)), "plain DeleteMany": p.DeleteMany(ctx, keys),
	} {
		if err == nil {
			t.Errorf("%s over no cache returned no error", name)
		}
	}
}

// Batches in crossing orders, beside single writes, all come to their end.
func TestStressCrossingBatches(t *testing.T) {
	c, _ := entries(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	keys, list := numbered(40)
	back := slices.Clone(keys)
	slices.Reverse(back)
	var all sync.WaitGroup
	for w := range 6 {
		all.Go(func() {
			order := [][]string{keys, back}[w%2]
			for n := range 60 {
				var err error
				switch (n + w) % 3 {
				case 0:
					err = c.DeleteMany(ctx, order)
				case 1:
					err = c.SetMany(ctx, order, list)
				default:
					err = c.Delete(ctx, keys[n%len(keys)])
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(t, c.DeleteMany(ctx, keys))
	for _, key := range keys {
		wantValue(t, c, key, -1)
	}
}
