package memadapter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// A hit allocates nothing.
func TestAllocsHit(t *testing.T) {
	ctx, c, p := context.Background(), memadapter.New[string, int](), memadapter.Plain[string, int]()
	e := &corral.Entry[int]{Value: 1, LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}
	if err := errors.Join(c.Set(ctx, "k", e), p.SetValue(ctx, "k", 1, time.Hour)); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(){
		"Get":      func() { _, _ = c.Get(ctx, "k") },
		"GetValue": func() { _, _, _, _ = p.GetValue(ctx, "k") },
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s allocates %v times, want 0", name, n)
		}
	}
}
