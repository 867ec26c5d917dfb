package layered_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// plainFar is a far cache of bare values, with leases for one.
type plainFar struct {
	*memadapter.PlainCache[string, int]
	seen   entry // what Acquire was asked with
	answer corral.Lease[int]
	err    error
}

func (*plainFar) Far() bool { return true }

func (f *plainFar) GetValue(ctx context.Context, key string) (int, time.Duration, bool, error) {
	v, life, ok, err := f.PlainCache.GetValue(ctx, key)
	return v, life, ok, errors.Join(f.err, err)
}

func (*plainFar) LeaseLife() time.Duration                                 { return time.Second }
func (*plainFar) Renew(context.Context, string, string) error              { return nil }
func (*plainFar) Release(context.Context, string, string) error            { return nil }
func (*plainFar) Watch(string) (<-chan struct{}, func())                   { return nil, func() {} }
func (f *plainFar) Fill(ctx context.Context, key, _ string, e entry) error { return f.Set(ctx, key, e) }
func (f *plainFar) Acquire(_ context.Context, _ string, r corral.LeaseRequest[int]) (corral.Lease[int], error) {
	f.seen = r.Seen
	return f.answer, nil
}

func overPlain() (*cache, *plainFar) {
	far := &plainFar{PlainCache: memadapter.Plain[string, int]()}
	return layered.New(memadapter.New[string, int](), far, layered.Options{Unheard: time.Hour}), far
}

// What is left of a bare value's life, less the window in which it is stale, is
// fresh. The window is learnt from what is written.
func TestBareValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := overPlain()
		must(t, far.SetValue(t.Context(), "k", 1, 3*time.Minute))
		must(t, far.SetValue(t.Context(), "endless", 2, math.MaxInt64))

		e, err := c.Get(t.Context(), "k")
		must(t, err)
		if *e != (corral.Entry[int]{Value: 1, Keep: 3 * time.Minute}) {
			t.Errorf("before anything was written: %+v, want an entry of unknown age", e)
		}
		must(t, c.Set(t.Context(), "other", lasting(3))) // stale for a minute
		time.Sleep(time.Second)
		now := time.Now()
		for range 2 { // from far, then from near
			e, err = c.Get(t.Context(), "k")
			must(t, err)
			e.Version = 0
			want := corral.Entry[int]{Value: 1, LoadedAt: now, TTL: 119 * time.Second, Keep: 179 * time.Second}
			if *e != want {
				t.Errorf("Get = %+v, want %+v", e, want)
			}
		}
		e, err = c.Get(t.Context(), "endless")
		must(t, err)
		if e.TTL != math.MaxInt64 || e.Keep != math.MaxInt64 {
			t.Errorf("Get of a value without end = %+v, want one that is always fresh", e)
		}
	})
}

// An absent entry deletes the value, and is not copied: near holds what far does.
func TestAbsentOverBareValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := overPlain()
		absent := &corral.Entry[int]{LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Minute, Absent: true}
		for name, write := range map[string]func() error{
			"Set":  func() error { return c.Set(t.Context(), "k", absent) },
			"Fill": func() error { return c.Fill(t.Context(), "k", "t", absent) },
		} {
			must(t, c.Set(t.Context(), "k", lasting(1)))
			must(t, write())
			if e, err := c.Get(t.Context(), "k"); e != nil || err != nil {
				t.Errorf("Get after %s of an absent entry = %+v, %v, want a miss", name, e, err)
			}
			if _, _, ok, _ := far.GetValue(t.Context(), "k"); ok {
				t.Errorf("far holds a value after %s of an absent entry", name)
			}
		}
	})
}

func TestBareValueThatCannotBeRead(t *testing.T) {
	c, far := overPlain()
	must(t, far.SetValue(t.Context(), "k", 1, time.Minute))
	far.err = errBoom
	if e, err := c.Get(t.Context(), "k"); e != nil || !errors.Is(err, errBoom) {
		t.Errorf("Get = %v, %v, want far's error", e, err)
	}
}

// Far is asked with an entry as its own Get returns it, and its answer is an
// entry with times.
func TestLeasesOfBareValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, far := overPlain()
		must(t, c.Set(t.Context(), "k", lasting(1)))
		time.Sleep(time.Second)
		_, layer := c.Layers()
		seen, _ := layer.Get(t.Context(), "k")
		far.answer = corral.Lease[int]{State: corral.LeaseChanged, Entry: &corral.Entry[int]{Value: 2, Keep: 110 * time.Second}}
		got, err := c.Acquire(t.Context(), "k", corral.LeaseRequest[int]{Token: "t", Seen: seen})
		must(t, err)
		if *far.seen != (corral.Entry[int]{Value: 1, Keep: 119 * time.Second}) {
			t.Errorf("far was asked with %+v, want the entry of its Get", far.seen)
		}
		want := corral.Entry[int]{Value: 2, LoadedAt: time.Now(), TTL: 50 * time.Second, Keep: 110 * time.Second}
		if *got.Entry != want {
			t.Errorf("Acquire answered %+v, want %+v", got.Entry, want)
		}
		near, _ := c.Layers()
		if e, _ := near.Get(t.Context(), "k"); e == nil || e.Value != 2 {
			t.Errorf("near serves %v, want 2", show(e))
		}
	})
}
