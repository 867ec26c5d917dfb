package memadapter_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/memadapter"
)

func TestContract_A6_Conformance(t *testing.T) {
	t.Run("entries", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[string, string]{
			New: func(*testing.T) corral.Cache[string, string] { return memadapter.New[string, string]() },
		})
	})
	t.Run("zero cache", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[int32, []byte]{
			New: func(*testing.T) corral.Cache[int32, []byte] { return new(memadapter.Cache[int32, []byte]) },
		})
	})
	t.Run("shared", func(t *testing.T) {
		var store *memadapter.Shared[string, string]
		adaptertest.Run(t, adaptertest.Config[string, string]{
			New: func(*testing.T) corral.Cache[string, string] {
				store = memadapter.NewShared[string, string](leaseLife)
				return store.Process()
			},
			Other: func(*testing.T) corral.Cache[string, string] { return store.Process() },
		})
	})
	t.Run("shared without leases", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[int64, string]{
			New: func(*testing.T) corral.Cache[int64, string] {
				return new(memadapter.Shared[int64, string]).Process()
			},
		})
	})
	t.Run("plain", func(t *testing.T) {
		var cache *memadapter.PlainCache[string, string]
		adaptertest.Run(t, adaptertest.Config[string, string]{
			Plain: true,
			New: func(*testing.T) corral.Cache[string, string] {
				cache = memadapter.Plain[string, string]()
				return cache
			},
			Endless: func(t *testing.T, key, value string) {
				if err := cache.SetValue(t.Context(), key, value, math.MaxInt64); err != nil {
					t.Error(err)
				}
			},
		})
	})
}

// The suite allows an entry at the instant at which its Keep ends; this cache
// is exact.
func TestKeepIsExact(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name         string
		age, keep    time.Duration
		last, ending time.Duration // after Set
	}{
		{"new", 0, time.Second, time.Second - 1, time.Second},
		{"one nanosecond", 0, 1, 0, 1},
		{"a minute old", time.Minute, time.Hour, 59*time.Minute - 1, 59 * time.Minute},
		{"from a clock that is ahead", -time.Minute, time.Second, time.Second - 1, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := memadapter.New[string, int]()
				e := &corral.Entry[int]{Value: 7, LoadedAt: time.Now().Add(-tt.age), Keep: tt.keep}
				if err := c.Set(ctx, "k", e); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.last)
				if got, _ := c.Get(ctx, "k"); got != e {
					t.Errorf("Get %v after Set = %v, want the entry", tt.last, got)
				}
				time.Sleep(tt.ending - tt.last)
				if got, _ := c.Get(ctx, "k"); got != nil {
					t.Errorf("Get %v after Set = %v, want a miss", tt.ending, got)
				}
			})
		})
	}
}

// A wall clock alone, as in an entry read from bytes, still gives the age.
func TestKeepWithoutMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memadapter.New[string, int]()
		_ = c.Set(t.Context(), "k", &corral.Entry[int]{LoadedAt: time.Now().Add(-time.Second).Round(0), Keep: 3 * time.Second})
		time.Sleep(2*time.Second - 1)
		if e, _ := c.Get(t.Context(), "k"); e == nil {
			t.Error("missed before Keep was over")
		}
		time.Sleep(1)
		if e, _ := c.Get(t.Context(), "k"); e != nil {
			t.Error("found after Keep was over")
		}
	})
}

// The least Keep there is, less an age, would be the longest.
func TestKeepDoesNotUnderflow(t *testing.T) {
	c := memadapter.New[string, int]()
	_ = c.Set(t.Context(), "k", &corral.Entry[int]{LoadedAt: time.Now().Add(-time.Hour), Keep: math.MinInt64})
	if e, _ := c.Get(t.Context(), "k"); e != nil {
		t.Errorf("Get = %v, want a miss", e)
	}
}

func TestNilEntry(t *testing.T) {
	for name, c := range map[string]corral.Cache[string, int]{
		"entries": memadapter.New[string, int](),
		"plain":   memadapter.Plain[string, int](),
	} {
		if err := c.Set(t.Context(), "k", nil); err == nil {
			t.Errorf("%s: Set of a nil entry returned nil", name)
		}
	}
}

func TestPlainGetIsOfUnknownAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memadapter.Plain[string, int]()
		for _, tt := range []struct{ life, keep time.Duration }{
			{time.Minute, 59 * time.Second},
			{math.MaxInt64, math.MaxInt64},
		} {
			_ = c.SetValue(t.Context(), "k", 7, tt.life)
			time.Sleep(time.Second)
			e, err := c.Get(t.Context(), "k")
			if err != nil || e == nil || *e != (corral.Entry[int]{Value: 7, Keep: tt.keep}) {
				t.Errorf("Get, 1s into a life of %v, = %+v, %v, want the value, Keep %v and no more", tt.life, e, err, tt.keep)
			}
		}
	})
}

func TestGetAllocatesNothing(t *testing.T) {
	type key struct {
		name string
		id   int
	}
	ctx, k := context.Background(), key{"a name", 12345}
	c, p := memadapter.New[key, string](), memadapter.Plain[key, string]()
	_ = c.Set(ctx, k, &corral.Entry[string]{Value: "v", LoadedAt: time.Now(), Keep: time.Hour})
	_ = p.SetValue(ctx, k, "v", time.Hour)
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Get(ctx, k) }); n != 0 {
		t.Errorf("Get allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _, _, _ = p.GetValue(ctx, k) }); n != 0 {
		t.Errorf("GetValue allocates %v times", n)
	}
}
