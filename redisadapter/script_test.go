package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// leaseCalls are the calls that run scripts.
func leaseCalls(c leaseCache) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Acquire": func(ctx context.Context) error {
			_, err := c.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: "a"})
			return err
		},
		"Renew":   func(ctx context.Context) error { return c.Renew(ctx, 42, "a") },
		"Fill":    func(ctx context.Context) error { return c.Fill(ctx, 42, "a", entry("Ann")) },
		"Release": func(ctx context.Context) error { return c.Release(ctx, 42, "a") },
		"Set":     func(ctx context.Context) error { return c.Set(ctx, 42, entry("Ann")) },
		"Delete":  func(ctx context.Context) error { return c.Delete(ctx, 42) },
	}
}

// F7: a server that lost its scripts gets them again.
func TestScriptsAreSentAgain(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		flush := func() { must(t, c.client.ScriptFlush(t.Context()).Err()) }
		flush()
		want(t, c.acquire(t, "a", nil), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
		for _, name := range []string{"Renew", "Fill", "Set", "Release", "Delete"} {
			flush()
			must(t, leaseCalls(c)[name](t.Context()))
		}
	})
}

// Keys of the value and of the lease that are no strings are nobody's: a load
// writes over them.
func TestContract_A2_MistypedKeysUnderALease(t *testing.T) {
	for _, mistyped := range []string{"value", "lease", "both"} {
		t.Run(mistyped, func(t *testing.T) {
			bothKinds(t, func(t *testing.T, c *leased) {
				if mistyped != "lease" {
					_, err := c.m.Lpush(c.value, "x")
					must(t, err)
				}
				if mistyped != "value" {
					_, err := c.m.Lpush(c.lease, "x")
					must(t, err)
				}
				wantLost(t, c.Renew(t.Context(), 42, "a"))
				wantLost(t, c.Fill(t.Context(), 42, "a", entry("Ann")))
				must(t, c.Release(t.Context(), 42, "a"))
				want(t, c.acquire(t, "a", nil), corral.Lease[User]{State: corral.LeaseHeld, Empty: mistyped == "lease"})
				must(t, c.Fill(t.Context(), 42, "a", entry("Ann")))
				c.holds(t, "Ann")
				_, err := c.m.Lpush(c.lease, "x")
				must(t, err)
				must(t, c.Delete(t.Context(), 42))
				if left := c.m.Keys(); len(left) != 0 {
					t.Errorf("%q are left", left)
				}
			})
		})
	}
}

// A4: what was found to have changed and is no entry is asked for with Force.
func TestContract_A4_AForeignValueUnderALease(t *testing.T) {
	for _, foreign := range []string{"x", text(11), text(100)} {
		bothKinds(t, func(t *testing.T, c *leased) {
			must(t, c.m.Set(c.value, foreign))
			r := corral.LeaseRequest[User]{Token: "a"}
			l, err := c.Acquire(t.Context(), 42, r)
			if err == nil && l.State == corral.LeaseHeld {
				return // too short to be told from nothing
			}
			if !errors.Is(err, corral.ErrUndecodable) || c.m.Exists(c.lease) {
				t.Errorf("Acquire = %v; want ErrUndecodable and no lease", err)
			}
			r.Force = true
			l, err = c.Acquire(t.Context(), 42, r)
			must(t, err)
			want(t, l, corral.Lease[User]{State: corral.LeaseHeld})
			must(t, c.Fill(t.Context(), 42, "a", entry("Ann")))
			c.holds(t, "Ann")
		})
	}
}

// A lease without an end, which is none of ours, keeps nobody out.
func TestALeaseWithoutAnEnd(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		must(t, c.m.Set(c.lease, "x"))
		want(t, c.acquire(t, "a", nil), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
		if life := c.m.TTL(c.lease); life != 2*time.Second {
			t.Errorf("the lease lasts %v", life)
		}
	})
}

func TestAFillThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		opts := redisadapter.Options[int, User]{Prefix: "p", MaxValueBytes: 100, Codec: bytestore.JSON[User]()}
		for _, c := range []leaseCache{redisadapter.New(client, opts), redisadapter.Plain(client, opts)} {
			must(t, c.Set(t.Context(), 42, entry("Ann")))
			large := entry(text(101))
			wantLost(t, c.Fill(t.Context(), 42, "a", large))
			if e, err := c.Get(t.Context(), 42); e == nil || err != nil {
				t.Errorf("Get = %v, %v; want what was stored", e, err)
			}
			r := corral.LeaseRequest[User]{Token: "a", Force: true}
			_, err := c.Acquire(t.Context(), 42, r)
			must(t, err)
			for range 2 {
				wantRefused(t, c.Fill(t.Context(), 42, "a", large))
			}
			if e, err := c.Get(t.Context(), 42); e != nil || err != nil {
				t.Errorf("Get = %v, %v; want nothing", e, err)
			}
		}
		if left := m.Keys(); len(left) != 0 {
			t.Errorf("%q are left", left)
		}
	})
}

// What has no life left is as good as nothing.
func TestAFillOfWhatIsOver(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		must(t, c.Set(t.Context(), 42, entry("Ann")))
		seen, err := c.Get(t.Context(), 42)
		must(t, err)
		c.acquire(t, "a", seen)
		over := entry("Bob")
		time.Sleep(time.Second)
		over.Keep = time.Second
		must(t, c.Fill(t.Context(), 42, "a", over))
		c.holds(t, "")
	})
}

// In the last instant of its Keep an entry is no more one, and still stored.
func TestAnEntryInItsLastInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		c := users(client)
		e := fresh(User{Name: "Ann"})
		e.Keep = 1500 * time.Microsecond // the server counts 2 ms
		must(t, c.Set(t.Context(), 42, e))
		time.Sleep(1500 * time.Microsecond)
		if e, err := c.Get(t.Context(), 42); e != nil || err != nil {
			t.Errorf("Get = %v, %v; want nothing", e, err)
		}
		want(t, acquire(t, c, "a"), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
	})
}

// An entry is known again by its Version, a plain value by its end.
func TestVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		c := users(client)
		versions := map[uint64]bool{}
		for i := range 100 {
			must(t, c.Set(t.Context(), 42, entry(fmt.Sprint(i%3))))
			first, second := get(t, c, 42), get(t, users(client), 42)
			if first.Version == 0 || first.Version != second.Version || versions[first.Version] {
				t.Fatalf("versions %#x and %#x of one entry; had %v", first.Version, second.Version, versions)
			}
			versions[first.Version] = true
			time.Sleep(time.Nanosecond)
		}
		unknown := get(t, c, 42)
		unknown.Version = 0
		l, err := c.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: "a", Seen: unknown})
		must(t, err)
		want(t, l, corral.Lease[User]{State: corral.LeaseChanged})
	})
}

func TestWhatAPlainValueIsKnownBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		c := plainUsers(client)
		for _, step := range []struct {
			seen, now time.Duration // left of the life; 0 without an end
			want      corral.LeaseState
		}{
			{time.Minute, time.Minute, corral.LeaseHeld},
			{time.Minute, time.Minute - time.Millisecond, corral.LeaseHeld},
			{time.Minute, time.Minute + time.Millisecond, corral.LeaseChanged},
			{time.Minute, 0, corral.LeaseChanged},
			{0, time.Minute, corral.LeaseHeld},
			{0, 0, corral.LeaseHeld},
		} {
			put := func(life time.Duration) {
				must(t, client.Set(t.Context(), "users:42", `{"Name":"Ann"}`, life).Err())
			}
			put(step.seen)
			seen, err := c.Get(t.Context(), 42)
			must(t, err)
			put(step.now)
			l, err := c.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: "a", Seen: seen})
			must(t, err)
			if l.State != step.want {
				t.Errorf("%v left, then %v: state %d, want %d", step.seen, step.now, l.State, step.want)
			}
			if l.Entry != nil && *l.Entry != *mustGet(t, c) {
				t.Errorf("the entry is %+v", l.Entry)
			}
			m.FlushAll()
		}
	})
}

func mustGet(t *testing.T, c *plain) *corral.Entry[User] {
	t.Helper()
	e, err := c.Get(t.Context(), 42)
	must(t, err)
	return e
}

// A server or a user without scripts: the error says so and what still works.
func TestWithoutLua(t *testing.T) {
	for _, reply := range []string{
		"ERR unknown command 'EVALSHA', with args beginning with: 'users:{42}' 'Ann' ",
		"NOPERM this user has no permissions to run the 'evalsha' command",
		"ERR The user executing the script can't publish to the channel mentioned in the command script: f, on @user_script:3.",
		"ERR ACL failure in script: User default has no permissions to run the 'publish' command",
	} {
		t.Run(reply, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := redistest.Client(t, redistest.Script(t, func(args []string) string {
					switch args[0] {
					case "TIME":
						return clockText()
					case "GET":
						return "$-1\r\n"
					case "SET":
						return "+OK\r\n"
					case "DEL":
						return ":1\r\n"
					case "PUBLISH":
						return "-ERR unknown command 'PUBLISH'\r\n"
					}
					return "-" + reply + "\r\n"
				}))
				for name, call := range leaseCalls(users(client)) {
					err := call(t.Context())
					wantFailure(t, err)
					wantNoSecret(t, name, err)
					if !strings.Contains(fmt.Sprint(err), "NoLease") {
						t.Errorf("%s: %v does not name NoLease", name, err)
					}
				}
				c := redisadapter.New(client, redisadapter.Options[int, User]{NoLease: true})
				must(t, c.Set(t.Context(), 42, entry("Ann")))
				must(t, c.Delete(t.Context(), 42))
				_, err := c.Get(t.Context(), 42)
				must(t, err)
			})
		})
	}
}

// Without leases nothing is asked of them, and whoever asks is told.
func TestNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, client := mini(t)
		opts := redisadapter.Options[int, User]{NoLease: true}
		for _, c := range []leaseCache{redisadapter.New(client, opts), redisadapter.Plain(client, opts)} {
			if life := c.LeaseLife(); life != 0 {
				t.Errorf("LeaseLife = %v", life)
			}
			calls := leaseCalls(c)
			for _, name := range []string{"Acquire", "Renew", "Fill", "Release"} {
				if err := calls[name](t.Context()); err == nil || !strings.Contains(err.Error(), "NoLease") {
					t.Errorf("%s = %v", name, err)
				}
			}
			must(t, calls["Set"](t.Context()))
			must(t, calls["Delete"](t.Context()))
		}
		for _, c := range []leaseCache{users(client), plainUsers(client)} {
			if life := c.LeaseLife(); life != 2*time.Second {
				t.Errorf("LeaseLife = %v, want 2s", life)
			}
			for _, err := range []error{
				c.Renew(t.Context(), 42, ""), c.Fill(t.Context(), 42, "", entry("Ann")), c.Release(t.Context(), 42, ""),
			} {
				if err == nil || !strings.Contains(err.Error(), "token") {
					t.Errorf("without a token: %v", err)
				}
			}
		}
		odd := redisadapter.New(client, redisadapter.Options[int, User]{Lease: 10*time.Millisecond + 1})
		if life := odd.LeaseLife(); life != 11*time.Millisecond {
			t.Errorf("LeaseLife = %v, want what the server can count", life)
		}
	})
}

// A slot that moves to another node runs no script that has two keys.
func TestASlotThatMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		var fail string
		client := redistest.Client(t, redistest.Script(t, func(args []string) string {
			sent = append(sent, strings.Join(args[:min(len(args), 2)], " "))
			switch {
			case strings.HasPrefix(args[0], "EVAL"):
				return "-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
			case fail != "" && strings.HasPrefix(sent[len(sent)-1], fail):
				return "-ERR no\r\n"
			case args[0] == "SET":
				return "+OK\r\n"
			default:
				return ":1\r\n"
			}
		}))
		c := plainUsers(client)
		set := func() error { return c.SetValue(t.Context(), 42, User{Name: "Ann"}, time.Minute) }
		must(t, set())
		sent = sent[1:]
		const steps = "DEL corral{users:42}, SET users:42, PUBLISH users:plain-writes, DEL corral{users:42}, PUBLISH users:plain-leases"
		if got := strings.ReplaceAll(strings.Join(sent, ", "), "users::", "users:"); got != steps {
			t.Errorf("sent %s, want %s", got, steps)
		}
		for _, fail = range []string{"DEL", "SET", "PUBLISH users::plain-writes", "PUBLISH users::plain-leases"} {
			wantFailure(t, set())
		}
		fail = ""
		must(t, c.Delete(t.Context(), 42))
		if err := c.Renew(t.Context(), 42, "a"); !redis.HasErrorPrefix(err, "TRYAGAIN") {
			t.Errorf("Renew = %v, want the server's", err)
		}
	})
}

// Whatever a script is said to have replied, every call comes back.
func TestOddRepliesToScripts(t *testing.T) {
	now := redistest.Bulk("1800000000")
	for _, reply := range []string{
		"$-1\r\n", ":1\r\n", "+held\r\n", "*0\r\n", "*1\r\n:1\r\n", "*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n",
		"*5\r\n" + redistest.Bulk("odd") + ":0\r\n" + now + now + redistest.Bulk(""),
		"*5\r\n" + redistest.Bulk("held") + redistest.Bulk("x") + now + now + redistest.Bulk(""),
		"*5\r\n" + redistest.Bulk("done") + ":0\r\n" + redistest.Bulk("x") + now + redistest.Bulk(""),
		"*5\r\n" + redistest.Bulk("held") + ":0\r\n" + now + now + "$-1\r\n",
		redistest.HangUp,
	} {
		t.Run(fmt.Sprintf("%.20q", reply), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := says(t, reply)
				for _, c := range []leaseCache{users(client), plainUsers(client)} {
					for name, call := range leaseCalls(c) {
						err := call(t.Context())
						wantFailure(t, err)
						wantNoSecret(t, name, err)
					}
				}
			})
		})
	}
}

// The time of a script's reply is learnt, and one that cannot be one changes
// nothing.
func TestScriptsTellTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		s := &elsewhen{m, time.Hour}
		s.sleep(0)
		c := users(client)
		want(t, acquire(t, c, "a"), corral.Lease[User]{State: corral.LeaseHeld, Empty: true})
		seen := spyOn(m)
		must(t, c.Fill(t.Context(), 42, "a", entry("Ann")))
		if got := seen.take(); strings.HasPrefix(got, "TIME") {
			t.Errorf("a Fill asks for the time by itself: %s", got)
		}
		s.ahead = -time.Hour
		s.sleep(time.Second)
		e := entry("Bob")
		must(t, c.Delete(t.Context(), 7)) // tells of the clock that was set
		must(t, c.Set(t.Context(), 42, e))
		if at := get(t, users(client), 42).LoadedAt; !at.Equal(e.LoadedAt) {
			t.Errorf("loaded at %v, want %v", at, e.LoadedAt)
		}
	})
}
