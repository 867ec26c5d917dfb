package ristrettoadapter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
	"go.uber.org/goleak"
)

type (
	entry  = *corral.Entry[int]
	item   = ristrettoadapter.Item[int]
	config = ristretto.Config[string, item]
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(stuckWait)) }

// stuckWait is where a goroutine stays that Ristretto's Close left behind: the
// one leak that the package's documentation admits.
const stuckWait = "github.com/dgraph-io/ristretto/v2.(*Cache[...]).Wait"

// open returns a roomy cache with changes, closed at the end of the test.
func open[V any](t testing.TB, change func(*ristretto.Config[string, V])) *ristretto.Cache[string, V] {
	t.Helper()
	cfg := &ristretto.Config[string, V]{NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64, IgnoreInternalCost: true}
	if change != nil {
		change(cfg)
	}
	c, err := ristretto.NewCache(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func entries(t testing.TB, change func(*config)) (*ristrettoadapter.Cache[string, int], *ristretto.Cache[string, item]) {
	t.Helper()
	c := open(t, change)
	return ristrettoadapter.New(c, ristrettoadapter.Options[int]{}), c
}

func values(t testing.TB, change func(*ristretto.Config[string, int])) (*ristrettoadapter.PlainCache[string, int], *ristretto.Cache[string, int]) {
	t.Helper()
	c := open(t, change)
	return ristrettoadapter.Plain(c, ristrettoadapter.Options[int]{}), c
}

// lasting returns an entry that is kept for so long from now.
func lasting(value int, keep time.Duration) entry {
	return &corral.Entry[int]{Value: value, LoadedAt: time.Now(), TTL: keep, Keep: keep}
}

// held is what Ristretto holds for such an entry.
func held(value int, keep time.Duration) item { return ristrettoadapter.ItemOf(lasting(value, keep)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// wantValue fails unless key's value is want; below zero is a miss.
func wantValue(t testing.TB, c corral.Cache[string, int], key string, want int) {
	t.Helper()
	e, err := c.Get(context.Background(), key)
	must(t, err)
	got := -1
	if e != nil {
		got = e.Value
	}
	if got != want {
		t.Fatalf("Get(%q) is %d, want %d", key, got, want)
	}
}
