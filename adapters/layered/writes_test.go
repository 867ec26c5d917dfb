package layered_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
)

// H5, W3: near is clean before far is asked to delete, and stays so, whatever far
// makes of it.
func TestDelete(t *testing.T) {
	for _, tt := range []struct {
		name      string
		near, far error
	}{
		{"of both", nil, nil},
		{"far fails", nil, errBoom},
		{"near fails", errBoom, nil},
		{"both fail", errBoom, context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := hearing(t, newStore(), layered.Options{})
				must(t, p.Set(t.Context(), "k", lasting(1)))
				p.near.deleteErr = tt.near
				p.far.going = func(string) error {
					if tt.near == nil {
						p.wantNone("k", "when far is asked to delete")
					}
					return tt.far
				}
				err := p.Delete(t.Context(), "k")
				for _, want := range []error{tt.near, tt.far} {
					if want != nil && !errors.Is(err, want) {
						t.Errorf("Delete = %v, want %v", err, want)
					}
				}
				if tt.near == nil && tt.far == nil && err != nil {
					t.Error(err)
				}
				if tt.near == nil {
					p.wantNone("k", "after Delete")
				}
				if e, _ := p.far.Process.Get(t.Context(), "k"); tt.far == nil && e != nil {
					t.Error("far was not asked to delete")
				}
			})
		})
	}
}

// A caller in a hurry leaves no old copy behind: near is written whatever
// becomes of the context.
func TestDeleteWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.near.onDelete = func(ctx context.Context) {
			if err := ctx.Err(); err != nil {
				t.Errorf("near's Delete was given a context that has ended: %v", err)
			}
		}
		must(t, p.Delete(ctx, "k"))
		p.wantNone("k", "after Delete")
	})
}

// The copy that is there is served until far has the new entry: whoever reads
// during a refresh does not wait for it. Whatever far makes of the Set, the old
// copy is gone when it returns.
func TestSet(t *testing.T) {
	for _, far := range []error{nil, errBoom, corral.ErrRefused} {
		t.Run(fmt.Sprint(far), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := hearing(t, newStore(), layered.Options{})
				must(t, p.Set(t.Context(), "k", lasting(1)))
				p.far.coming = func(string) error {
					p.wantCopy("k", 1, "while far is written")
					return far
				}
				if err := p.Set(t.Context(), "k", lasting(2)); !errors.Is(err, far) {
					t.Errorf("Set = %v, want %v", err, far)
				}
				if far == nil {
					p.wantCopy("k", 2, "after Set")
				} else {
					p.wantNone("k", "after a Set that failed")
				}
			})
		})
	}
}

func TestSetWhereNearCannotDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		p.near.deleteErr = errBoom
		if err := p.Set(t.Context(), "k", lasting(2)); !errors.Is(err, errBoom) {
			t.Errorf("Set = %v although near may serve the old copy, want near's error", err)
		}
	})
}

// Near holds copies: what it cannot take is a miss there, told to NearError.
func TestNearThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		p := hearing(t, newStore(), layered.Options{NearError: func(err error) { told = append(told, err) }})
		wantTold := func(what string, err error) {
			t.Helper()
			if len(told) != 1 || !errors.Is(told[0], err) {
				t.Errorf("%s: NearError was told %v, want once %v", what, told, err)
			}
			told = nil
		}
		p.near.setErr = errBoom
		must(t, p.Set(t.Context(), "k", lasting(1)))
		wantTold("Set", errBoom)
		if e := p.read("k"); e == nil || e.Value != 1 {
			t.Errorf("Get = %v, want far's entry", show(e))
		}
		wantTold("Get", errBoom)
		p.near.getErr = context.Canceled
		p.near.setErr = nil
		if e := p.read("k"); e == nil || e.Value != 1 {
			t.Errorf("Get = %v, want far's entry", show(e))
		}
		wantTold("Get of a near cache that cannot read", context.Canceled)
		p.near.settleErr = errBoom
		must(t, p.Settle(t.Context(), "k"))
		wantTold("Settle", errBoom)
		for _, refused := range []error{corral.ErrRefused, fmt.Errorf("cost: %w", corral.ErrRefused)} {
			p.near.setErr, p.near.settleErr = refused, refused
			must(t, p.Set(t.Context(), "k", lasting(1)))
			must(t, p.Settle(t.Context(), "k"))
		}
		if len(told) > 0 {
			t.Errorf("NearError was told of refusals: %v", told)
		}
	})
}

// No panic of near, far or NearError leaves a lock held or a key closed.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{NearError: func(error) { panic("user") }})
		p.near.panics = true
		must(t, p.Set(t.Context(), "k", lasting(1)))
		p.near.panics = false
		for _, call := range []func(){
			func() { p.read("k") },
			func() { _ = p.Set(t.Context(), "k", lasting(2)) },
			func() { _ = p.Delete(t.Context(), "k") },
		} {
			p.far.going = func(string) error { panic("far") }
			func() {
				defer func() {
					if recover() == nil {
						t.Error("far's panic was swallowed")
					}
				}()
				call()
			}()
			p.far.going = nil
		}
		must(t, p.Set(t.Context(), "k", lasting(3)))
		p.wantCopy("k", 3, "after all panics")
	})
}

// An entry of unknown age is kept from when it is set: a copy would outlive it.
// Nil is for far to refuse.
func TestEntriesThatAreNotCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		must(t, p.Set(t.Context(), "k", lasting(1)))
		must(t, p.Set(t.Context(), "k", &corral.Entry[int]{Value: 2, Keep: time.Minute}))
		p.wantNone("k", "after Set of an entry of unknown age")
		p.read("k")
		p.wantNone("k", "after Get of an entry of unknown age")
		if err := p.Set(t.Context(), "k", nil); err == nil {
			t.Error("Set of a nil entry returned nil")
		}
	})
}

// The layers that a Loader is given write to both.
func TestLayersWriteToBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hearing(t, newStore(), layered.Options{})
		near, far := p.Layers()
		for n, layer := range []corral.Cache[string, int]{near, far} {
			must(t, layer.Set(t.Context(), "k", lasting(n+1)))
			p.wantCopy("k", n+1, "after Set of a layer")
			if e, _ := p.far.Process.Get(t.Context(), "k"); e == nil || e.Value != n+1 {
				t.Errorf("after Set of a layer far has %v", show(e))
			}
			must(t, layer.Delete(t.Context(), "k"))
			p.wantNone("k", "after Delete of a layer")
			if e, _ := far.Get(t.Context(), "k"); e != nil {
				t.Errorf("after Delete of a layer far has %v", show(e))
			}
		}
	})
}
