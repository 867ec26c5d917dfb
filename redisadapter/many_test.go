package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// batchCache is what both kinds of cache are.
type batchCache interface {
	corral.BatchCache[int, User]
	corral.BatchLeaser[int, User]
}

// bothMany are the two kinds over a client.
func bothMany(client redis.UniversalClient) map[string]batchCache {
	return map[string]batchCache{"New": users(client), "Plain": plainUsers(client)}
}

// upTo returns the keys below n.
func upTo(n int) []int {
	keys := make([]int, n)
	for i := range keys {
		keys[i] = i
	}
	return keys
}

// named are entries that tell their keys.
func named(keys []int) []*corral.Entry[User] {
	entries := make([]*corral.Entry[User], len(keys))
	for i, key := range keys {
		entries[i] = entry(fmt.Sprint(key))
	}
	return entries
}

// wantKeys wants err to name exactly these keys, with errors that check accepts.
func wantKeys[K comparable](t *testing.T, err error, check func(error) bool, keys ...K) {
	t.Helper()
	var some *corral.KeyErrors[K]
	if !errors.As(err, &some) {
		t.Errorf("err = %v, want a *KeyErrors", err)
		return
	}
	for _, key := range keys {
		if err := some.Errors[key]; err == nil || !check(err) {
			t.Errorf("of %v the error is %v", key, err)
		}
	}
	if len(some.Errors) != len(keys) {
		t.Errorf("the error names %d keys, want %d: %v", len(some.Errors), len(keys), some.Errors)
	}
}

func isErr(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

// wantNamed wants the entries of keys to be named after them, but for those of
// missing.
func wantNamed(t *testing.T, keys []int, got []*corral.Entry[User], missing ...int) {
	t.Helper()
	if len(got) != len(keys) {
		t.Fatalf("%d entries, want %d", len(got), len(keys))
	}
	for i, e := range got {
		switch gone := slices.Contains(missing, keys[i]); {
		case gone && e != nil:
			t.Errorf("%d: %v, want nothing", keys[i], e)
		case !gone && (e == nil || e.Value.Name != fmt.Sprint(keys[i])):
			t.Errorf("%d: %v, want its entry", keys[i], e)
		}
	}
}

// What each call sends, in one round trip.
func TestManyKeysAreOneRoundTrip(t *testing.T) {
	for kind, reads := range map[string]string{"New": "MGET", "Plain": "PTTL GET PTTL GET PTTL GET"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, wire, client := mini(t)
				c := bothMany(client)[kind]
				keys, tokens := []int{1, 2, 3}, []string{"a", "b", "c"}
				asks := []corral.LeaseRequest[User]{{Token: "a"}, {Token: "b"}, {Token: "c"}}
				calls := manyCalls(c, keys, tokens, asks)
				for _, call := range calls { // the server knows the scripts, and the cache the time
					_ = call.run(t.Context())
				}
				seen := spyOn(m)
				wire.Delay(time.Millisecond)
				for _, call := range calls {
					start := time.Now()
					must(t, call.run(t.Context()))
					want := "EVALSHA EVALSHA EVALSHA"
					if call.name == "GetMany" {
						want = reads
					}
					sent := seen.take()
					if got := sentByClient(sent); got != want {
						t.Errorf("%s sent %q, want %q", call.name, got, want)
					}
					if took := time.Since(start); took != time.Millisecond {
						t.Errorf("%s took %v, want one round trip of 1ms", call.name, took)
					}
				}
			})
		})
	}
}

// sentByClient leaves out what scripts run.
func sentByClient(commands string) string {
	if !strings.Contains(commands, "EVAL") {
		return commands
	}
	return strings.Join(slices.DeleteFunc(strings.Fields(commands), func(c string) bool { return !strings.HasPrefix(c, "EVAL") }), " ")
}

type manyCall struct {
	name string
	run  func(context.Context) error
}

// manyCalls are the calls in the order of a load, so that each succeeds.
func manyCalls(c batchCache, keys []int, tokens []string, asks []corral.LeaseRequest[User]) []manyCall {
	return []manyCall{
		{"DeleteMany", func(ctx context.Context) error { return c.DeleteMany(ctx, keys) }},
		{"AcquireMany", func(ctx context.Context) error { _, err := c.AcquireMany(ctx, keys, asks); return err }},
		{"RenewMany", func(ctx context.Context) error { return c.RenewMany(ctx, keys, tokens) }},
		{"FillMany", func(ctx context.Context) error { return c.FillMany(ctx, keys, tokens, named(keys)) }},
		{"ReleaseMany", func(ctx context.Context) error { return c.ReleaseMany(ctx, keys, tokens) }},
		{"SetMany", func(ctx context.Context) error { return c.SetMany(ctx, keys, named(keys)) }},
		{"GetMany", func(ctx context.Context) error { _, err := c.GetMany(ctx, keys); return err }},
	}
}

// Without leases the announcement of each write goes with it.
func TestManyKeysWithoutLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		c := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", NoLease: true})
		keys := []int{1, 2}
		must(t, c.SetMany(t.Context(), keys, named(keys)))
		seen := spyOn(m)
		must(t, c.SetMany(t.Context(), keys, named(keys)))
		must(t, c.DeleteMany(t.Context(), keys))
		if got, want := seen.take(), "SET PUBLISH SET PUBLISH DEL PUBLISH DEL PUBLISH"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		if err := c.ReleaseMany(t.Context(), keys, []string{"a", "b"}); err == nil {
			t.Error("a lease was released where there are none")
		}
	})
}

// D6: a key fails alone, whatever ails it.
func TestOneKeyOfManyFailsAlone(t *testing.T) {
	for _, kind := range []string{"New", "Plain"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, client := mini(t)
				opts := redisadapter.Options[int, User]{Prefix: "p:", MaxValueBytes: 200, Key: func(key int) string {
					if key == 3 {
						panic("no key")
					}
					return fmt.Sprint(key)
				}}
				var c batchCache = redisadapter.New(client, opts)
				name := redisadapter.Name(opts)
				if kind == "Plain" {
					c, name = redisadapter.Plain(client, opts), redisadapter.PlainName(opts)
				}
				keys := []int{5, 4, 3, 2, 1, 0}
				entries := named(keys)
				entries[0].Value.Name = text(300)
				entries[5] = nil
				wantKeys(t, c.SetMany(t.Context(), keys, entries), func(error) bool { return true }, 5, 3, 0)
				wantKeys(t, c.SetMany(t.Context(), []int{5, 1}, []*corral.Entry[User]{entries[0], entries[4]}), isErr(corral.ErrRefused), 5)
				must(t, m.Set(name(2), "{"))
				m.Del(name(1))
				_, err := m.Lpush(name(1), "a list")
				must(t, err)
				got, err := c.GetMany(t.Context(), keys)
				wantNamed(t, keys, got, 5, 3, 2, 1, 0)
				wrong := []int{3, 2}
				if kind == "Plain" { // MGET says nil, and that is a miss
					wrong = append(wrong, 1)
				}
				wantKeys(t, err, func(error) bool { return true }, wrong...)
				wantKeys(t, c.DeleteMany(t.Context(), keys), func(error) bool { return true }, 3)
				if left := m.Keys(); len(left) > 0 {
					t.Errorf("%q are left", left)
				}
				wantKeys(t, c.RenewMany(t.Context(), []int{1, 2}, []string{"", "lost"}), func(error) bool { return true }, 1, 2)
			})
		})
	}
}

// F7: the server has lost its scripts, or, behind a client of several, one of them
// has: only those keys are sent again.
func TestManyKeysAndAScriptThatIsGone(t *testing.T) {
	for kind := range bothMany(nil) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _, client := mini(t)
				c := bothMany(client)[kind]
				keys := upTo(4)
				must(t, c.SetMany(t.Context(), keys, named(keys)))
				must(t, c.DeleteMany(t.Context(), keys))
				var calls atomic.Int64
				var sent []string
				m.Server().SetPreHook(func(p *server.Peer, cmd string, args ...string) bool {
					switch cmd = strings.ToUpper(cmd); {
					case cmd == "EVALSHA" && calls.Add(1)%2 == 0:
						p.WriteError("NOSCRIPT No matching script. Please use EVAL.")
						return true
					case cmd == "EVAL":
						sent = append(sent, args[2])
					}
					return false
				})
				must(t, c.SetMany(t.Context(), keys, named(keys)))
				if len(sent) != 2 || !strings.Contains(sent[0], "1") || !strings.Contains(sent[1], "3") {
					t.Errorf("sent again were %q, want those of keys 1 and 3", sent)
				}
				m.Server().SetPreHook(nil)
				got, err := c.GetMany(t.Context(), keys)
				must(t, err)
				wantNamed(t, keys, got)

				must(t, client.ScriptFlush(t.Context()).Err())
				must(t, c.DeleteMany(t.Context(), keys))
				got, err = c.GetMany(t.Context(), keys)
				must(t, err)
				wantNamed(t, keys, got, keys...)
			})
		})
	}
}

// D9: more keys than a pipeline takes, and more bytes.
func TestManyKeysAreSeveralPipelines(t *testing.T) {
	for kind := range bothMany(nil) {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, wire, client := mini(t)
				c := bothMany(client)[kind]
				keys := upTo(2049)
				must(t, c.SetMany(t.Context(), keys, named(keys)))
				wire.Delay(time.Millisecond)
				start := time.Now()
				got, err := c.GetMany(t.Context(), keys)
				must(t, err)
				wantNamed(t, keys, got)
				if took := time.Since(start); took != 3*time.Millisecond {
					t.Errorf("2,049 keys took %v, want 3 round trips of 1ms", took)
				}
				big := named([]int{1, 2, 3})
				for _, e := range big {
					e.Value.Name = text(600 << 10)
				}
				start = time.Now()
				must(t, c.SetMany(t.Context(), []int{1, 2, 3}, big))
				if took := time.Since(start); took != 2*time.Millisecond {
					t.Errorf("3 values of 600 KiB took %v, want 2 round trips of 1ms", took)
				}
				ctx := timeout(t, 1500*time.Microsecond)
				if _, err := c.GetMany(ctx, keys); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v, want the caller's deadline", err)
				}
				seen := wire.Dials.Load()
				time.Sleep(time.Second)
				must(t, client.Ping(t.Context()).Err())
				if n := wire.Dials.Load(); n != seen {
					t.Errorf("%d connections were made after a caller had left, want none", n-seen)
				}
			})
		})
	}
}

// A server that takes no MGET is asked by GETs from then on.
func TestManyKeysWithoutMGET(t *testing.T) {
	for _, reply := range []string{
		"CROSSSLOT Keys in request don't hash to the same slot",
		"NOPERM this user has no permissions to run the 'mget' command",
		"ERR unknown command 'MGET', with args beginning with: 'users:{0}'",
	} {
		synctest.Test(t, func(t *testing.T) {
			m, _, client := mini(t)
			c := users(client)
			keys := upTo(3)
			must(t, c.SetMany(t.Context(), keys, named(keys)))
			var sent []string
			m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
				if cmd != "HELLO" { // a client may dial anew
					sent = append(sent, strings.ToUpper(cmd))
				}
				if cmd == "MGET" {
					p.WriteError(reply)
				}
				return cmd == "MGET"
			})
			for range 2 {
				got, err := c.GetMany(t.Context(), keys)
				must(t, err)
				wantNamed(t, keys, got)
			}
			if got := strings.Join(sent, " "); got != "MGET GET GET GET GET GET GET" {
				t.Errorf("%s: sent %q, want MGET once", reply, got)
			}
		})
	}
}

func TestManyKeysThatDoNotFit(t *testing.T) {
	for kind, c := range bothMany(redistest.Client(t, redistest.Script(t, nil))) {
		ctx, keys := t.Context(), []int{1, 2}
		_, err := c.AcquireMany(ctx, keys, nil)
		for name, err := range map[string]error{
			"SetMany":     c.SetMany(ctx, keys, nil),
			"AcquireMany": err,
			"RenewMany":   c.RenewMany(ctx, keys, nil),
			"FillMany":    errors.Join(c.FillMany(ctx, keys, []string{"a", "b"}, nil), c.FillMany(ctx, keys, nil, named(keys))),
			"ReleaseMany": c.ReleaseMany(ctx, keys, nil),
		} {
			if err == nil || !strings.Contains(err.Error(), name+" got 2 keys and 0") {
				t.Errorf("%s, %s: %v, want an error that says so", kind, name, err)
			}
		}
		got, err := c.GetMany(ctx, nil)
		if len(got) != 0 || errors.Join(err, c.SetMany(ctx, nil, nil), c.DeleteMany(ctx, nil), c.RenewMany(ctx, nil, nil)) != nil {
			t.Errorf("%s: no keys: %v, %v", kind, got, err)
		}
	}
}
