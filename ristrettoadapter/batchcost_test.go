//go:build !race

package ristrettoadapter_test

import (
	"context"
	"testing"
)

// The race detector makes Ristretto's own sync.Pool forget, so that its Get
// allocates now and then.
func TestGetManyAllocatesItsResult(t *testing.T) {
	c, _ := entries(t, nil)
	keys, list := numbered(100)
	ctx := context.Background()
	must(t, c.SetMany(ctx, keys[:50], list[:50]))
	for _, key := range keys {
		must(t, c.Settle(ctx, key))
	}
	if n := testing.AllocsPerRun(50, func() { _, _ = c.GetMany(ctx, keys) }); n != 1 {
		t.Errorf("GetMany of 50 hits and 50 misses allocates %v times, want once", n)
	}
}
