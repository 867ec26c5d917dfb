package redisadapter_test

import (
	"testing"
	"time"
)

// G2, G3: a client that got no answer to its acquire repeats it, and the first one
// may arrive when the load has begun and a Delete has ended its lease. That gives
// the attempt the lease again, and the load, which is older than the Delete, still
// has none.
func TestLease_LateAcquire(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		before := c.acquire(t, "a", nil)
		if again := c.acquire(t, "a", nil); again.Token != before.Token {
			t.Errorf("repeated at once, an acquire gets %q, want %q", again.Token, before.Token)
		}
		must(t, c.Delete(t.Context(), 42))
		time.Sleep(time.Microsecond) // the clock of a server does not stand still between two scripts
		late := c.acquire(t, "a", nil)

		wantLost(t, c.Renew(t.Context(), 42, before.Token))
		must(t, c.Release(t.Context(), 42, before.Token))
		wantLost(t, c.Fill(t.Context(), 42, before.Token, entry("Ann")))
		c.holds(t, "")
		must(t, c.Fill(t.Context(), 42, late.Token, entry("Bob")))
		c.holds(t, "Bob")
	})
}
