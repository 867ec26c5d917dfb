package redisadapter_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
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

// late is a connection whose answers take their time.
type late struct {
	net.Conn
	by *atomic.Int64
}

func (c late) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	time.Sleep(time.Duration(c.by.Load()))
	return n, err
}

// A process that was kept from running hears of an entry when that is over, and
// another one was stored since: that one it must not load again.
func TestLease_LateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		var by atomic.Int64
		slow := users(redistest.Client(t, func(context.Context, string, string) (net.Conn, error) {
			conn, err := m.Dial()
			return late{conn, &by}, err
		}))
		quick := users(client)
		short := fresh(User{"Ann"})
		short.Keep = 100 * time.Millisecond
		must(t, quick.Set(t.Context(), 42, short))
		_, err := slow.Acquire(t.Context(), 1, corral.LeaseRequest[User]{Token: "a"}) // it knows the time, and the server the script
		must(t, err)

		by.Store(int64(200 * time.Millisecond))
		time.AfterFunc(150*time.Millisecond, func() {
			by.Store(0)
			must(t, quick.Set(t.Context(), 42, fresh(User{"Bob"})))
		})
		l, err := slow.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: "a"})
		must(t, err)
		if l.State != corral.LeaseChanged || l.Entry.Value.Name != "Bob" || l.Empty {
			t.Errorf("the lease is %+v, want the entry that was stored", l)
		}
	})
}

// A Fill that is repeated seals its entry anew, perhaps by a better estimate of the
// server's clock.
func TestLease_FillRepeatedByAnotherClock(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		got := c.acquire(t, "a", nil)
		e := entry("Ann")
		must(t, c.Fill(t.Context(), 42, got.Token, e))
		again, other := *e, *e
		again.LoadedAt = e.LoadedAt.Add(-time.Millisecond)
		must(t, c.Fill(t.Context(), 42, got.Token, &again))
		other.Value.Name = "Bob"
		wantLost(t, c.Fill(t.Context(), 42, got.Token, &other))
		c.holds(t, "Ann")
	})
}
