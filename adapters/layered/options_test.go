package layered_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
)

// unchecked is a far cache that panics when it is asked whether it is one.
type unchecked struct{ corral.Cache[string, int] }

func (unchecked) Far() bool { panic("Far") }

func TestCheck(t *testing.T) {
	near, far := memadapter.New[string, int](), new(store).Process()
	for _, tt := range []struct {
		name      string
		near, far corral.Cache[string, int]
		opts      layered.Options
		field     string // "": it fits
	}{
		{name: "fits", near: near, far: far},
		{name: "the longest Unheard", near: near, far: far, opts: layered.Options{Unheard: math.MaxInt64}},
		{name: "no near", far: far, field: "near"},
		{name: "nil near", near: (*memadapter.Cache[string, int])(nil), far: far, field: "near"},
		{name: "no far", near: near, field: "far"},
		{name: "nil far", near: near, far: (*memadapter.Process[string, int])(nil), field: "far"},
		{name: "neither", field: "near"},
		{name: "near is far", near: far, far: far, field: "near"},
		{name: "near is plain", near: memadapter.Plain[string, int](), far: far, field: "near"},
		{name: "far is near", near: near, far: near, field: "far"},
		{name: "far is layered", near: near, far: layered.New(near, far, layered.Options{}), field: "far"},
		{name: "negative", near: near, far: far, opts: layered.Options{Unheard: -1}, field: "Options.Unheard"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := layered.New(tt.near, tt.far, tt.opts)
			err := c.Check()
			if tt.field == "" {
				must(t, err)
				return
			}
			var option *corral.OptionError
			if !errors.As(err, &option) || !strings.HasSuffix(option.Field, tt.field) || option.Bound == "" {
				t.Fatalf("Check = %v, want an OptionError of %s", err, tt.field)
			}
			_, got := corral.New(c, corral.Options{TTL: time.Minute})
			if !errors.Is(got, err) {
				t.Errorf("corral.New = %v, want what Check says", got)
			}
			wantFault(t, c, err)
		})
	}
}

// wantFault: every call of a cache that cannot work says so.
func wantFault(t *testing.T, c *cache, fault error) {
	t.Helper()
	_, got := c.Get(t.Context(), "k")
	for name, err := range map[string]error{
		"Get": got, "Set": c.Set(t.Context(), "k", lasting(1)), "Delete": c.Delete(t.Context(), "k"),
	} {
		if !errors.Is(err, fault) {
			t.Errorf("%s = %v, want %v", name, err, fault)
		}
	}
	if err := c.Settle(t.Context(), "k"); err != nil {
		t.Error(err)
	}
}

// What the two caches say of themselves is passed on.
func TestCheckAsksBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := memadapter.NewShared[string, int](-1).Process()
		c := layered.New(memadapter.New[string, int](), far, layered.Options{})
		if err := c.Check(); err == nil || err.Error() != far.Check().Error() {
			t.Errorf("Check = %v, want %v", err, far.Check())
		}
		p := newProcess(t, newStore(), layered.Options{})
		p.near.checkErr = errBoom
		if err := p.Check(); !errors.Is(err, errBoom) {
			t.Errorf("Check = %v, want near's", err)
		}
	})
}

func TestCheckSurvivesAPanic(t *testing.T) {
	c := layered.New(memadapter.New[string, int](), unchecked{}, layered.Options{})
	if err := c.Check(); err == nil {
		t.Error("Check of a cache whose Far panics returned nil")
	}
}

// A key that is not equal to itself is never copied, and leaves nothing behind.
func TestKeyThatIsNotEqualToItself(t *testing.T) {
	near, far := memadapter.New[float64, int](), new(memadapter.Shared[float64, int]).Process()
	c := layered.New(near, far, layered.Options{})
	for range 10 {
		must(t, c.Set(t.Context(), math.NaN(), lasting(1)))
		if e, err := c.Get(t.Context(), math.NaN()); e != nil || err != nil {
			t.Errorf("Get = %v, %v, want a miss", show(e), err)
		}
		must(t, c.Delete(t.Context(), math.NaN()))
	}
	if n := layered.Gates(c); n != 0 {
		t.Errorf("%d gates are left", n)
	}
}

// C10: what is under way is all that is remembered.
func TestBurstLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProcess(t, newStore(), layered.Options{})
		open := make(chan struct{})
		p.far.going = func(string) error { <-open; return nil }
		const burst = 10_000
		for n := range burst {
			go func() { _, _ = p.Get(t.Context(), string(rune(n))) }()
		}
		synctest.Wait()
		if n := layered.Gates(p.cache); n < burst/2 {
			t.Fatalf("%d gates for %d reads", n, burst)
		}
		close(open)
		synctest.Wait()
		if n := layered.Gates(p.cache); n != 0 {
			t.Errorf("%d gates are left", n)
		}
		if layered.Maps(p.cache) != 0 {
			t.Error("the maps keep the size of the burst")
		}
	})
}
