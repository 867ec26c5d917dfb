package redisadapter_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// The tests of this file are against a real server, for what miniredis cannot
// know: how the server itself hashes, counts lives and refuses.

func realClient(t *testing.T, args ...string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: redistest.Start(t, args...)})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestServer_Conformance(t *testing.T) {
	opts := redisadapter.Options[string, string]{Prefix: "p"}
	t.Run("New", func(t *testing.T) {
		t.Parallel()
		server := redistest.StartServer(t)
		client := redistest.ClientWith(t, &redis.Options{Addr: server.Addr})
		adaptertest.Run(t, adaptertest.Config[string, string]{
			RealTime: true, Granularity: 20 * time.Millisecond, // so well is the server's clock known on a busy machine
			Reincarnate: func(*testing.T) { server.Restart() },
			New: func(t *testing.T) corral.Cache[string, string] {
				must(t, client.FlushAll(t.Context()).Err())
				return redisadapter.New(client, opts)
			},
		})
	})
	t.Run("Plain", func(t *testing.T) {
		t.Parallel()
		server := redistest.StartServer(t)
		client := redistest.ClientWith(t, &redis.Options{Addr: server.Addr})
		adaptertest.Run(t, adaptertest.Config[string, string]{
			Plain: true, RealTime: true, Granularity: time.Millisecond,
			Reincarnate: func(*testing.T) { server.Restart() },
			New: func(t *testing.T) corral.Cache[string, string] {
				must(t, client.FlushAll(t.Context()).Err())
				return redisadapter.Plain(client, opts)
			},
		})
	})
}

func TestServer_KeySlots(t *testing.T) {
	client := realClient(t, "--cluster-enabled", "yes")
	for _, key := range oddKeys {
		value := name("users", key)
		for _, n := range []string{value, value + ":lease", value + "{x}"} {
			got, err := client.ClusterKeySlot(t.Context(), n).Result()
			must(t, err)
			if got != int64(slot(value)) {
				t.Errorf("the server puts %q into slot %d, want %d as for %q", n, got, slot(value), value)
			}
		}
	}
}

func TestServer_Lives(t *testing.T) {
	client := realClient(t)
	c, p := users(client), plainUsers(client)
	for key, life := range []time.Duration{time.Hour, time.Hour + 1, math.MaxInt64 - 1, math.MaxInt64} {
		e := fresh(User{})
		e.Keep = life
		must(t, c.Set(t.Context(), key, e))
		must(t, p.SetValue(t.Context(), key, User{}, life))
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	must(t, err)
	if len(keys) != 8 {
		t.Errorf("%d keys, want 8", len(keys))
	}
	for _, key := range keys {
		if life := client.PTTL(t.Context(), key).Val(); life < 59*time.Minute {
			t.Errorf("%s lives for %v", key, life)
		}
	}
	must(t, p.SetValue(t.Context(), 1, User{}, 1)) // a life of less than the server can count
}

func TestServer_Refusals(t *testing.T) {
	client := realClient(t)
	c, p := users(client), plainUsers(client)
	must(t, c.Set(t.Context(), 42, fresh(User{Name: "Ann"})))
	must(t, p.SetValue(t.Context(), 42, User{Name: "Ann"}, time.Minute))

	must(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	for _, err := range []error{c.Set(t.Context(), 42, fresh(User{})), p.SetValue(t.Context(), 42, User{}, time.Minute)} {
		wantFailure(t, err)
		if !redis.HasErrorPrefix(err, "OOM") {
			t.Errorf("err = %v, want OOM", err)
		}
	}
	get(t, c, 42) // reads go on
	must(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())

	must(t, client.Del(t.Context(), "users:{42}").Err())
	must(t, client.LPush(t.Context(), "users:{42}", "Ann").Err())
	if _, err := c.Get(t.Context(), 42); !errors.Is(err, corral.ErrUndecodable) {
		t.Errorf("err = %v, want ErrUndecodable for a list", err)
	}
	must(t, c.Set(t.Context(), 42, fresh(User{Name: "Ann"})))
	get(t, c, 42)

	must(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "-time").Err())
	err := users(client).Set(t.Context(), 42, fresh(User{}))
	wantFailure(t, err)
	wantNoSecret(t, "Set", err)
}
