package memadapter_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// Glance finds an entry as long as Get does, and says that it is quiet up to the
// nanosecond in which its early refresh may be drawn for.
func TestGlance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := memadapter.New[string, int]()
		e := &corral.Entry[int]{Value: 1, LoadedAt: time.Now(), LoadTime: time.Second, TTL: time.Hour, Keep: 2 * time.Hour}
		if err := c.Set(t.Context(), "k", e); err != nil {
			t.Fatal(err)
		}
		want := func(when string, entry *corral.Entry[int], quiet bool) {
			t.Helper()
			if g, err := c.Glance(t.Context(), "k"); err != nil || g.Entry != entry || g.Quiet != quiet {
				t.Errorf("%s: glance is %+v, %v, want %v, quiet %v", when, g, err, entry, quiet)
			}
		}
		time.Sleep(e.Quiet() - 1)
		want("before the lead", e, true)
		time.Sleep(1)
		want("within it", e, false)
		time.Sleep(2*time.Hour - e.Quiet() - 1)
		want("before the end of Keep", e, false)
		time.Sleep(1)
		want("at the end of Keep", nil, false)
	})
}
