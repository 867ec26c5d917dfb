package flight

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sub runs a sub-test in a bubble of its own.
func sub(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// start joins key as a caller that waits, and fails unless it leads.
func start(t *testing.T, table *Table[string, int], key string) *Flight[string, int] {
	t.Helper()
	f, role, _ := table.Join(t.Context(), spotOf(table, key), key, 0, false, true)
	if role != Leader {
		t.Fatalf("role %v for %q, want Leader", role, key)
	}
	return f
}

func spotOf(table *Table[string, int], key string) Spot[string, int] {
	s, _ := table.Locate(key)
	return s
}

func (f *Flight[K, V]) spot() Spot[K, V] { return Spot[K, V]{f.shard, f.hash} }

// bell counts the alarms of a table.
type bell struct {
	rang  atomic.Int64
	last  atomic.Int64 // when, as Now counts
	phase atomic.Uint32
}

func (b *bell) ring(_ *Flight[string, int], phase uint8) {
	b.rang.Add(1)
	b.last.Store(Now())
	b.phase.Store(uint32(phase))
}

func (b *bell) wantRings(t *testing.T, want int64) {
	t.Helper()
	synctest.Wait()
	if got := b.rang.Load(); got != want {
		t.Errorf("%d alarms rang, want %d", got, want)
	}
}

func (b *bell) wantLast(t *testing.T, want int64) {
	t.Helper()
	if got := b.last.Load(); got != want {
		t.Errorf("the alarm rang %v off its time", time.Duration(got-want))
	}
}

type valueKey struct{}

func background() context.Context { return context.Background() }
