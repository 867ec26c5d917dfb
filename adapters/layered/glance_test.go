package layered_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// H1: a near cache that glances has no copies but those that Get finds: none of
// before a gap, and while nothing is heard none that is older than Unheard.
func TestGlanceFindsWhatGetFinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near := ristrettoadapter.New(openRistretto[int](t), ristrettoadapter.Options[int]{})
		shared := memadapter.NewShared[string, int](0)
		p := &process{t: t, cache: layered.New(near, shared.Process(), layered.Options{Unheard: time.Second})}
		layer, _ := p.Layers()
		glancer := layer.(corral.Glancer[string, int])
		want := func(when string, found bool) {
			t.Helper()
			g, err := glancer.Glance(t.Context(), "k")
			must(t, err)
			if (g.Entry != nil) != found || g.Quiet != found {
				t.Errorf("%s: glance is %+v, want an entry: %v", when, g, found)
			}
			e, err := layer.Get(t.Context(), "k")
			must(t, err)
			if (e != nil) != found {
				t.Errorf("%s: Get is %v, want an entry: %v", when, show(e), found)
			}
		}
		want("at first", false)
		must(t, p.Set(t.Context(), "k", lasting(1)))
		want("unheard, new", true)
		time.Sleep(time.Second)
		want("unheard, old", false)
		stop := p.listen(func(...string) {})
		want("heard, of before", false)
		must(t, p.Set(t.Context(), "k", lasting(1)))
		must(t, near.Settle(t.Context(), "k"))
		time.Sleep(30 * time.Second)
		want("heard", true)
		stop()
		want("after the gap", false)
	})
}
