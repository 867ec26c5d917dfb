package redisadapter_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// What docs/redis.md tells writers that do not use Corral: to write a key's lease
// away along with the key ends a load that is under way, to write the key alone
// does not.
func TestServer_ForeignWriters(t *testing.T) {
	server := redistest.StartServer(t)
	client := redistest.ClientWith(t, &redis.Options{Addr: server.Addr})
	for name, c := range map[string]struct {
		prefix, key, lease string
		write              []any
		want               any
	}{
		"DEL, with the lease":      {"users:", "42", "corral{users:42}", []any{"DEL", "users:42"}, nil},
		"SET, with the lease":      {"users:", "42", "corral{users:42}", []any{"SET", "users:42", "theirs"}, "theirs"},
		"a key that begins with c": {"c:", "42", "lease{c:42}", []any{"DEL", "c:42"}, nil},
		"a key with braces":        {"users:", "{42}", "corral{42}:users:{42}", []any{"DEL", "users:{42}"}, nil},
		"DEL, and the lease stays": {"users:", "42", "", []any{"DEL", "users:42"}, "loaded"},
		"SET, and the lease stays": {"users:", "42", "", []any{"SET", "users:42", "theirs"}, "loaded"},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("FLUSHALL")
			cache := redisadapter.Plain(client, redisadapter.Options[string, string]{Prefix: c.prefix})
			loader, err := corral.New(cache, corral.Options{TTL: time.Minute})
			must(t, err)
			got, err := loader.GetOrLoad(t.Context(), c.key, func(context.Context, string) (string, error) {
				if c.lease != "" && server.Do("DEL", c.lease).(int64) != 1 {
					t.Errorf("there is no lease %q", c.lease)
				}
				server.Do(c.write...)
				return "loaded", nil
			})
			if got != "loaded" || err != nil {
				t.Errorf("the caller got %q, %v", got, err)
			}
			must(t, loader.Close(t.Context()))
			if there := server.Do("GET", c.prefix+c.key); there != c.want {
				t.Errorf("the key holds %v, want %v", there, c.want)
			}
		})
	}
}

// The names that docs/redis.md has for the keys of [redisadapter.New].
func TestServer_NamesOfKeys(t *testing.T) {
	server := redistest.StartServer(t)
	client := redistest.ClientWith(t, &redis.Options{Addr: server.Addr})
	cache := users(client)
	must(t, cache.Set(t.Context(), 42, fresh(User{})))
	_, err := cache.Acquire(t.Context(), 42, corral.LeaseRequest[User]{Token: "mine", Force: true})
	must(t, err)
	keys, err := client.Keys(t.Context(), "*").Result()
	must(t, err)
	if slices.Sort(keys); !slices.Equal(keys, []string{"users:{42}", "users:{42}:lease"}) {
		t.Errorf("the server has the keys %q", keys)
	}
}
