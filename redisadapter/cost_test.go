package redisadapter_test

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
)

func TestAHitIsOneGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, wire, client := mini(t)
		c := users(client)
		must(t, c.Set(t.Context(), 42, fresh(User{Name: "Ann"})))
		seen := spyOn(m)
		wire.Delay(time.Millisecond)
		for range 3 {
			start := time.Now()
			get(t, c, 42)
			if took := time.Since(start); took != time.Millisecond {
				t.Errorf("a hit took %v, want one round trip of 1ms", took)
			}
			if got := seen.take(); got != "GET" {
				t.Errorf("a hit sent %q, want one GET", got)
			}
		}
	})
}

func TestAPlainHitIsOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, wire, client := mini(t)
		c := plainUsers(client)
		must(t, c.SetValue(t.Context(), 42, User{Name: "Ann"}, time.Minute))
		_, _ = c.Get(t.Context(), 42) // newer clients have another connection for pipelines
		seen := spyOn(m)
		wire.Delay(time.Millisecond)
		start := time.Now()
		u, life, ok, err := c.GetValue(t.Context(), 42)
		if u.Name != "Ann" || life != time.Minute-time.Millisecond || !ok || err != nil {
			t.Errorf("GetValue = %v, %v, %v, %v", u, life, ok, err)
		}
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("a hit took %v, want one round trip of 1ms", took)
		}
		if got := seen.take(); got != "PTTL GET" {
			t.Errorf("a hit sent %q", got)
		}
	})
}

// The time comes with the first command, with every script's reply, and where
// there are only reads now and then; never by itself but before a first command
// that is a Set.
func TestTimeRidesAlong(t *testing.T) {
	const (
		set  = "EVALSHA TIME EXISTS PUBLISH SET DEL"
		load = "EVALSHA EVAL TIME EXISTS PUBLISH SET DEL"
	)
	rides(t, redisadapter.Options[int, User]{}, []ride{
		{0, read, "GET TIME"},
		{0, read, "GET"},
		{0, write, load},
		{time.Minute, write, set},
		{10*time.Minute - 1, read, "GET"},
		{1, read, "GET TIME"},
		{0, read, "GET"},
		{0, remove, "EVALSHA TIME EXISTS PUBLISH DEL DEL"},
	})
	rides(t, redisadapter.Options[int, User]{}, []ride{{0, write, "TIME " + load}})
}

// Without leases there are no scripts, and the time comes now and then.
func TestTimeRidesAlongWithoutLeases(t *testing.T) {
	rides(t, redisadapter.Options[int, User]{NoLease: true}, []ride{
		{0, read, "GET TIME"},
		{0, read, "GET"},
		{0, write, "SET PUBLISH"},
		{time.Minute - 1, write, "SET PUBLISH"},
		{1, write, "SET TIME PUBLISH"},
		{0, write, "SET PUBLISH"},
		{9 * time.Minute, read, "GET"},
		{time.Minute, read, "GET TIME"},
		{0, read, "GET"},
		{0, remove, "DEL PUBLISH"},
	})
	rides(t, redisadapter.Options[int, User]{NoLease: true}, []ride{{0, write, "TIME SET PUBLISH"}})
}

// ride is a call and the commands that the server gets by it.
type ride struct {
	after time.Duration
	do    func(context.Context, *cache) error
	want  string
}

func read(ctx context.Context, c *cache) error {
	_, err := c.Get(ctx, 1)
	return err
}

func write(ctx context.Context, c *cache) error  { return c.Set(ctx, 1, fresh(User{})) }
func remove(ctx context.Context, c *cache) error { return c.Delete(ctx, 1) }

func rides(t *testing.T, opts redisadapter.Options[int, User], steps []ride) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		_ = client.Ping(t.Context()) // the server is there from the first connection on
		seen := spyOn(m)
		c := redisadapter.New(client, opts)
		for i, step := range steps {
			time.Sleep(step.after)
			must(t, step.do(t.Context(), c))
			if got := seen.take(); got != step.want {
				t.Errorf("step %d sent %q, want %q", i, got, step.want)
			}
		}
	})
}

// What each call costs: one round trip, and what the server does in it.
func TestRoundTrips(t *testing.T) {
	bothKinds(t, func(t *testing.T, c *leased) {
		ctx, plain := t.Context(), c.value == "users:42"
		var seen *corral.Entry[User]
		read := func() (err error) {
			seen, err = c.Get(ctx, 42)
			return err
		}
		acquire := func(token string) func() error {
			return func() error {
				_, err := c.Acquire(ctx, 42, corral.LeaseRequest[User]{Token: token, Seen: seen})
				return err
			}
		}
		for _, call := range leaseCalls(c) { // the server knows the scripts, and the cache the time
			_ = call(ctx)
		}
		must(t, c.Delete(ctx, 42))
		must(t, read())
		commands := spyOn(c.m)
		c.wire.Delay(time.Millisecond)
		for _, step := range []struct {
			name  string
			call  func() error
			want  string
			plain string // if another than want without TIME
		}{
			{"a miss reads", read, "GET", "PTTL GET"},
			{"acquires", acquire("a"), "EVALSHA TIME TYPE EXISTS TYPE SET", "EVALSHA TYPE EXISTS TYPE TIME SET"},
			{"is renewed", func() error { return c.Renew(ctx, 42, "a") }, "EVALSHA TIME TYPE GET PEXPIRE", ""},
			{"and fills", func() error { return c.Fill(ctx, 42, "a", entry("Ann")) }, "EVALSHA TIME TYPE GET PUBLISH SET DEL", ""},
			{"another finds it", acquire("b"), "EVALSHA TIME TYPE GETRANGE GET", "EVALSHA TYPE PTTL GET"},
			{"a hit, stale or not", read, "GET", "PTTL GET"},
			{"is refreshed", acquire("b"), "EVALSHA TIME TYPE GETRANGE EXISTS TYPE SET", "EVALSHA TYPE PTTL EXISTS TYPE TIME SET"},
			{"in vain", func() error { return c.Release(ctx, 42, "b") }, "EVALSHA TIME TYPE GET PUBLISH DEL", ""},
			{"a Set", func() error { return c.Set(ctx, 42, entry("Ann")) }, "EVALSHA TIME EXISTS PUBLISH SET DEL", ""},
			{"a Delete", func() error { return c.Delete(ctx, 42) }, "EVALSHA TIME EXISTS PUBLISH DEL DEL", ""},
		} {
			want := step.want
			if plain {
				want = cmp.Or(step.plain, strings.Replace(want, " TIME", "", 1)) // bare values need no clock
			}
			start := time.Now()
			must(t, step.call())
			if got, took := commands.take(), time.Since(start); got != want || took != time.Millisecond {
				t.Errorf("%s: %v for %q, want one round trip of 1ms for %q", step.name, took, got, want)
			}
		}
	})
}

func TestNoKeyWithoutALife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		c, p := users(client), plainUsers(client)
		for key, life := range []time.Duration{1, time.Microsecond, time.Second, 292 * 365 * 24 * time.Hour, 1<<63 - 1} {
			e := fresh(User{})
			e.Keep = life
			must(t, c.Set(t.Context(), key, e))
			must(t, p.SetValue(t.Context(), key, User{}, life))
		}
		for _, none := range []time.Duration{0, -1, -1 << 63} {
			e := fresh(User{})
			e.Keep = none
			must(t, c.Set(t.Context(), 99, fresh(User{})))
			must(t, c.Set(t.Context(), 99, e))
			must(t, p.SetValue(t.Context(), 99, User{}, none))
		}
		if n := len(m.Keys()); n != 10 {
			t.Errorf("%d keys, want 10", n)
		}
		for _, key := range m.Keys() {
			if m.TTL(key) <= 0 {
				t.Errorf("%s has no end", key)
			}
		}
		if life := m.TTL("users:0"); life != time.Millisecond {
			t.Errorf("a nanosecond became %v, want 1ms", life)
		}
	})
}

func TestWhatIsRefusedLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		opts := redisadapter.Options[int, string]{Prefix: "p", MaxValueBytes: 100}
		c, p := redisadapter.New(client, opts), redisadapter.Plain(client, opts)
		must(t, c.Set(t.Context(), 1, fresh("small")))
		must(t, p.SetValue(t.Context(), 1, "small", time.Minute))
		wantRefused(t, c.Set(t.Context(), 1, fresh(text(65))))
		wantRefused(t, p.SetValue(t.Context(), 1, text(101), time.Minute))
		if left := m.Keys(); len(left) != 0 {
			t.Errorf("%q are left", left)
		}
		must(t, c.Set(t.Context(), 1, fresh(text(64))))
		must(t, p.SetValue(t.Context(), 1, text(100), time.Minute))
		m.SetError("LOADING")
		for _, err := range []error{c.Set(t.Context(), 1, fresh(text(99))), p.SetValue(t.Context(), 1, text(101), time.Minute)} {
			wantFailure(t, err)
		}
	})
}
