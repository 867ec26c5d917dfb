package redisadapter_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
)

// leased is a cache of either kind with what a test needs to know of its server.
type leased struct {
	leaseCache
	m      *miniredis.Miniredis
	wire   *redistest.Wire
	client *redis.Client
	value  string // the server's key of key 42
	lease  string
}

type leaseCache interface {
	corral.Cache[int, User]
	corral.Leaser[int, User]
}

// bothKinds runs test in a bubble of its own for each kind of cache.
func bothKinds(t *testing.T, test func(t *testing.T, c *leased)) {
	for _, kind := range []string{"New", "Plain"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, wire, client := mini(t)
				c := leasedOver(client, kind)
				c.m, c.wire = m, wire
				test(t, c)
			})
		})
	}
}

func leasedOver(client *redis.Client, kind string) *leased {
	if kind == "Plain" {
		return &leased{leaseCache: plainUsers(client), client: client, value: "users:42", lease: "corral{users:42}"}
	}
	return &leased{leaseCache: users(client), client: client, value: "users:{42}", lease: "users:{42}:lease"}
}

// entry is one that a load has just returned, kept for an hour.
func entry(name string) *corral.Entry[User] {
	return &corral.Entry[User]{Value: User{Name: name}, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Hour}
}

func (c *leased) acquire(t *testing.T, token string, seen *corral.Entry[User]) corral.Lease[User] {
	t.Helper()
	l, err := c.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: token, Seen: seen})
	must(t, err)
	return l
}

// want compares all of a lease but its entry and token.
func want(t *testing.T, got, want corral.Lease[User]) {
	t.Helper()
	got.Entry, got.Token = nil, ""
	if got != want {
		t.Errorf("the lease is %+v, want %+v", got, want)
	}
}

// holds wants the value under key 42 to be name; empty for none.
func (c *leased) holds(t *testing.T, name string) {
	t.Helper()
	e, err := c.Get(t.Context(), 42)
	must(t, err)
	switch {
	case e == nil && name != "":
		t.Errorf("nothing is stored, want %s", name)
	case e != nil && e.Value.Name != name:
		t.Errorf("stored is %q, want %q", e.Value.Name, name)
	}
}

func wantLost(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, corral.ErrLeaseLost) {
		t.Errorf("err = %v, want ErrLeaseLost", err)
	}
}

func TestTheOutcomesOfAcquire(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		want(t, c.acquire(t, "a", nil), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
		time.Sleep(time.Second)
		want(t, c.acquire(t, "b", nil), corral.Lease[User]{State: corral.LeaseBusy, Empty: true, Left: time.Second})
		must(t, c.Fill(t.Context(), 42, "a", entry("Ann")))

		l := c.acquire(t, "b", nil)
		want(t, l, corral.Lease[User]{State: corral.LeaseChanged})
		if l.Entry == nil || l.Entry.Value.Name != "Ann" {
			t.Fatalf("the entry is %v", l.Entry)
		}
		seen, err := c.Get(t.Context(), 42)
		must(t, err)
		if *l.Entry != *seen {
			t.Errorf("the entry is %+v, and by Get %+v", l.Entry, seen)
		}
		time.Sleep(time.Second)
		want(t, c.acquire(t, "b", seen), corral.Lease[User]{State: corral.LeaseHeld})
		want(t, c.acquire(t, "c", seen), corral.Lease[User]{State: corral.LeaseBusy, Left: 2 * time.Second})
		must(t, c.Release(t.Context(), 42, "b"))
		want(t, c.acquire(t, "c", l.Entry), corral.Lease[User]{State: corral.LeaseHeld})
		longer := entry("Bob")
		longer.Keep = 2 * time.Hour
		must(t, c.Set(t.Context(), 42, longer))
		want(t, c.acquire(t, "d", seen), corral.Lease[User]{State: corral.LeaseChanged})
		l, err = c.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: "d", Seen: seen, Force: true})
		must(t, err)
		want(t, l, corral.Lease[User]{State: corral.LeaseHeld})
	})
}

// Clients repeat a command whose reply was lost.
func TestEveryCallOfALeaseMayBeRepeated(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		twice := func(call func() error) {
			t.Helper()
			for range 2 {
				must(t, call())
			}
		}
		for range 2 {
			want(t, c.acquire(t, "a", nil), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
		}
		twice(func() error { return c.Renew(t.Context(), 42, "a") })
		e := entry("Ann")
		twice(func() error { return c.Fill(t.Context(), 42, "a", e) })
		c.holds(t, "Ann")
		seen, _ := c.Get(t.Context(), 42)
		want(t, c.acquire(t, "b", seen), corral.Lease[User]{State: corral.LeaseHeld})
		must(t, c.Fill(t.Context(), 42, "a", e)) // also when another has the lease since
		twice(func() error { return c.Release(t.Context(), 42, "b") })
		want(t, c.acquire(t, "c", seen), corral.Lease[User]{State: corral.LeaseHeld})
		twice(func() error { return c.Fill(t.Context(), 42, "c", nil) })
		c.holds(t, "")
	})
}

// G2, G3: whatever came between, a late fill changes nothing.
func TestFencing(t *testing.T) {
	for name, between := range map[string]func(*testing.T, *leased){
		"Set":       func(t *testing.T, c *leased) { must(t, c.Set(t.Context(), 42, entry("Bob"))) },
		"Delete":    func(t *testing.T, c *leased) { must(t, c.Delete(t.Context(), 42)) },
		"Release":   func(t *testing.T, c *leased) { must(t, c.Release(t.Context(), 42, "a")) },
		"its end":   func(*testing.T, *leased) { time.Sleep(2 * time.Second) },
		"eviction":  func(t *testing.T, c *leased) { c.m.Del(c.lease) },
		"a restart": func(t *testing.T, c *leased) { c.m.FlushAll() },
		"a takeover": func(t *testing.T, c *leased) {
			time.Sleep(2 * time.Second)
			c.acquire(t, "b", nil)
		},
		"another's fill": func(t *testing.T, c *leased) {
			time.Sleep(2 * time.Second)
			c.acquire(t, "b", nil)
			must(t, c.Fill(t.Context(), 42, "b", entry("Bob")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bothKinds(t, func(t *testing.T, c *leased) {
				late := entry("Ann")
				c.acquire(t, "a", nil)
				between(t, c)
				before := c.m.Dump()
				wantLost(t, c.Fill(t.Context(), 42, "a", late))
				wantLost(t, c.Renew(t.Context(), 42, "a"))
				must(t, c.Release(t.Context(), 42, "a"))
				if after := c.m.Dump(); after != before {
					t.Errorf("the server holds\n%s\nwant\n%s", after, before)
				}
			})
		})
	}
}

// G8: a lease that is renewed lasts as long as the load.
func TestRenewal(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		c.acquire(t, "a", nil)
		for range 5 {
			time.Sleep(2*time.Second - time.Millisecond)
			must(t, c.Renew(t.Context(), 42, "a"))
		}
		want(t, c.acquire(t, "b", nil), corral.Lease[User]{State: corral.LeaseBusy, Empty: true, Left: 2 * time.Second})
		time.Sleep(2*time.Second - time.Millisecond)
		must(t, c.Fill(t.Context(), 42, "a", entry("Ann")))
		c.holds(t, "Ann")
		if c.m.Exists(c.lease) {
			t.Error("the lease is left")
		}
	})
}
