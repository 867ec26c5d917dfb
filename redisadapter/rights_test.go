package redisadapter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
)

// The rights that docs/redis.md lists are enough, and all are needed.
func TestServer_Rights(t *testing.T) {
	server := redistest.StartServer(t)
	rules := documentedRights(t)
	t.Cleanup(func() { passTime(t, 1200*time.Millisecond) }) // the last subscriptions linger for a second
	for _, kind := range []string{"New", "Plain"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			if err := useRights(t, server, kind, rules, time.Second); err != nil {
				t.Errorf("with %q: %v", rules, err)
			}
		})
		for i, rule := range rules {
			if kind == "Plain" && (rule == "+time" || rule == "+getrange") || kind == "New" && strings.HasPrefix(rule, "~corral") {
				continue
			}
			t.Run(fmt.Sprintf("%s without %s", kind, rule), func(t *testing.T) {
				t.Parallel()
				server, listens := server, 100*time.Millisecond
				switch rule {
				case "+eval": // needed where the scripts are not known yet
					server = redistest.StartServer(t)
				case "+ping": // needed in silence
					listens = time.Second
				}
				if err := useRights(t, server, kind, slices.Delete(slices.Clone(rules), i, i+1), listens); err == nil {
					t.Errorf("all works without %s", rule)
				}
			})
		}
	}
}

func documentedRights(t *testing.T) []string {
	text, err := os.ReadFile(page)
	must(t, err)
	_, after, _ := strings.Cut(string(text), "`ACL SETUSER`")
	_, after, _ = strings.Cut(after, "```\n")
	block, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatalf("%s lists no rights", page)
	}
	return strings.Fields(block)
}

// useRights does everything that a cache does, as a user with these rights, and
// returns what went wrong.
func useRights(t *testing.T, server *redistest.Server, kind string, rules []string, listens time.Duration) error {
	user := strings.NewReplacer("/", "_", " ", "_").Replace(t.Name())
	setUser := []any{"ACL", "SETUSER", user, "reset", "on", ">secret"}
	for _, rule := range rules {
		setUser = append(setUser, rule)
	}
	server.Do(setUser...)
	client := redistest.ClientWith(t, &redis.Options{Addr: server.Addr, Username: user, Password: "secret", MaxRetries: -1})
	var cache interface {
		countedCache
		corral.Listener[int]
	} = users(client)
	if kind == "Plain" {
		cache = plainUsers(client)
	}
	key := rand.Int() // the tests share a server
	return errors.Join(useLoader(t, cache, key), useLease(t, cache, key), listenFor(t, cache, listens))
}

func useLoader(t *testing.T, cache countedCache, key int) error {
	loader, err := corral.New[int, User](cache, corral.Options{TTL: time.Minute})
	must(t, err)
	defer func() { must(t, loader.Close(context.Background())) }()
	r, err := loader.Lookup(t.Context(), key, func(context.Context, int) (User, error) { return User{Name: "Ann"}, nil })
	if err == nil && !r.Stored {
		err = errors.New("what was loaded was not stored")
	}
	return errors.Join(err, loader.Set(t.Context(), key, User{Name: "Bob"}), loader.Delete(t.Context(), key))
}

// useLease holds a lease that another one waits for.
func useLease(t *testing.T, cache countedCache, key int) error {
	ended, stop := cache.Watch(key)
	defer stop()
	mine, err := cache.Acquire(t.Context(), key, corral.LeaseRequest[User]{Token: "mine"})
	if err != nil {
		return err
	}
	if _, err := cache.Acquire(t.Context(), key, corral.LeaseRequest[User]{Token: "another's"}); err != nil {
		return err
	}
	err = errors.Join(cache.Renew(t.Context(), key, mine.Token), cache.Release(t.Context(), key, mine.Token), cache.Set(t.Context(), key, fresh(User{})))
	select {
	case <-ended:
	case <-time.After(time.Second):
		err = errors.Join(err, errors.New("nobody was told"))
	}
	if _, other := cache.Acquire(t.Context(), key, corral.LeaseRequest[User]{Token: "later"}); other != nil {
		err = errors.Join(err, other)
	}
	return err
}

// listenFor returns an error if the subscription is lost before its time is over.
func listenFor(t *testing.T, cache corral.Listener[int], d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := cache.Listen(ctx, func(...int) {}); ctx.Err() == nil {
		return fmt.Errorf("the subscription ended: %w", err)
	}
	return nil
}
