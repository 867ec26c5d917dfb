package redisadapter_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
)

// elsewhen is a server whose clock says something else than this process's.
type elsewhen struct {
	*miniredis.Miniredis
	ahead time.Duration
}

// sleep lets time pass for both.
func (e *elsewhen) sleep(d time.Duration) {
	time.Sleep(d)
	e.SetTime(time.Now().Add(e.ahead))
}

// P22: ages by the clock of a process. Entries travel between two processes by
// the server's clock alone: what is stored goes by it, and both see the same age,
// whatever it says next to theirs.
//
// Red when now, in clock.go, gives the process's time for the server's.
func TestPeers_P22_AgesGoByTheServersClock(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 40 * 365 * 24 * time.Hour, -20 * 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, client := mini(t)
				s := &elsewhen{m, ahead}
				s.sleep(0)
				writer, reader := users(client), users(client)
				e := fresh(User{Name: "Ann"})
				s.sleep(1500 * time.Microsecond)
				must(t, writer.Set(t.Context(), 42, e))
				if at := storedTime(t, m, "users:{42}", ahead); !at.Equal(e.LoadedAt) {
					t.Errorf("stored as loaded at %v, want %v", at, e.LoadedAt)
				}
				for _, d := range []time.Duration{0, time.Microsecond, 999 * time.Microsecond, 59 * time.Minute} {
					s.sleep(d)
					if got := get(t, reader, 42).LoadedAt; !got.Equal(e.LoadedAt) {
						t.Errorf("loaded at %v, want %v", got, e.LoadedAt)
					}
				}
			})
		})
	}
}

// storedTime returns when an entry was loaded, as a process sees it whose clock
// is right beside a server's that is ahead.
func storedTime(t *testing.T, m *miniredis.Miniredis, name string, ahead time.Duration) time.Time {
	t.Helper()
	data, err := m.Get(name)
	must(t, err)
	now := bytestore.Instant{Local: time.Now(), Store: time.Now().Add(ahead).UnixNano()}
	e, err := bytestore.Envelope[User]{}.Open(name, []byte(data), now)
	if e == nil || err != nil {
		t.Fatalf("stored is %v, %v; want the entry", e, err)
	}
	return e.LoadedAt
}

// A server that is set back sees entries from its future. They are no older than
// just loaded, and no younger later on.
func TestAServerThatIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		s := &elsewhen{m, 0}
		s.sleep(0)
		c := users(client)
		must(t, c.Set(t.Context(), 42, fresh(User{})))
		s.ahead = -time.Hour
		s.sleep(time.Minute)
		must(t, c.Set(t.Context(), 1, fresh(User{}))) // asks for the time again
		if age := time.Since(get(t, c, 42).LoadedAt); age != 0 {
			t.Errorf("age %v, want 0", age)
		}
		must(t, c.Set(t.Context(), 1, fresh(User{})))
		s.sleep(time.Second)
		if age := time.Since(get(t, c, 1).LoadedAt); age != time.Second {
			t.Errorf("age %v, want 1s", age)
		}
	})
}

// forbid makes a server refuse one command, and counts how often it does.
func forbid(m *miniredis.Miniredis, name string) *atomic.Int64 {
	refused := &atomic.Int64{}
	m.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		if strings.EqualFold(cmd, name) {
			refused.Add(1)
			c.WriteError("NOPERM this user has no permissions to run the '" + name + "' command")
			return true
		}
		return false
	})
	return refused
}

func TestWithoutTheTimeNothingIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		must(t, users(client).Set(t.Context(), 42, fresh(User{Name: "Ann"})))
		refused := forbid(m, "TIME")
		c := users(client)
		for range 2 { // with the question and, as that failed, without
			if e := get(t, c, 42); !e.LoadedAt.IsZero() || e.Value.Name != "Ann" {
				t.Errorf("got %+v, want the value and no age", e)
			}
		}
		if n := refused.Load(); n != 1 {
			t.Errorf("TIME was asked %d times, want once for now", n)
		}
		err := c.Set(t.Context(), 42, fresh(User{}))
		wantFailure(t, err)
		if !strings.Contains(err.Error(), "TIME: NOPERM") {
			t.Errorf("err = %v, want it to name TIME", err)
		}
		forbid(m, "")
		time.Sleep(time.Second)
		if e := get(t, c, 42); !time.Now().Add(-time.Second).Equal(e.LoadedAt) {
			t.Errorf("loaded at %v, want a second ago", e.LoadedAt)
		}
	})
}

// An entry of unknown age stays one.
func TestAnEntryOfUnknownAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		c := users(client)
		must(t, c.Set(t.Context(), 42, &corral.Entry[User]{TTL: time.Minute, Keep: time.Hour}))
		if e := get(t, c, 42); !e.LoadedAt.IsZero() {
			t.Errorf("loaded at %v, want no time", e.LoadedAt)
		}
		if life := m.TTL("users:{42}"); life != time.Hour {
			t.Errorf("kept for %v, want 1h", life)
		}
	})
}
