//go:build !race

package layered_test

import (
	"context"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/ristrettoadapter"
)

// The race detector makes Ristretto's own sync.Pool forget, so that its Get
// allocates now and then.

// A hit of near allocates nothing, whether announcements are heard or not.
func TestAllocsNearHit(t *testing.T) {
	for _, heard := range []bool{true, false} {
		inMemory := ristrettoadapter.New(openRistretto[int](t), ristrettoadapter.Options[int]{})
		p := &process{t: t, cache: layered.New(inMemory, newStore().Process(), layered.Options{Unheard: time.Hour})}
		if heard {
			p.listen(func(...string) {})
		}
		must(t, p.Set(t.Context(), "k", lasting(1)))
		must(t, inMemory.Settle(t.Context(), "k"))
		near, _ := p.Layers()
		ctx := context.Background()
		if n := testing.AllocsPerRun(100, func() { _, _ = near.Get(ctx, "k") }); n != 0 {
			t.Errorf("heard %v: a hit of near allocates %v times", heard, n)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = near.(corral.Glancer[string, int]).Glance(ctx, "k") }); n != 0 {
			t.Errorf("heard %v: a glance at near allocates %v times", heard, n)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = p.Get(ctx, "k") }); n != 0 {
			t.Errorf("heard %v: a hit allocates %v times", heard, n)
		}
	}
}
