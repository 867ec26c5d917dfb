package redisadapter_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
)

// What docs/redis.md says of Loaders without leases: they listen as long as they
// live, and do not store what they were loading when another one wrote.
func TestNoLeaseLoadersListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, client := mini(t)
		open := func(noLease bool) *corral.Loader[int, User] {
			cache := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "users", NoLease: noLease})
			l, err := corral.New(cache, corral.Options{TTL: time.Minute})
			must(t, err)
			synctest.Wait()
			return l
		}
		leased := open(false)
		must(t, client.Ping(t.Context()).Err())
		if n := m.PubSubNumSub("users:writes")["users:writes"]; n != 0 {
			t.Errorf("a Loader with leases has %d subscriptions", n)
		}
		l, other := open(true), open(true)
		if n := m.PubSubNumSub("users:writes")["users:writes"]; n != 2 {
			t.Errorf("two without have %d", n)
		}
		_, err := l.GetOrLoad(t.Context(), 42, func(context.Context, int) (User, error) {
			must(t, other.Delete(t.Context(), 42))
			synctest.Wait()
			return User{Name: "old"}, nil
		})
		must(t, err)
		if m.Exists("users:{42}") {
			t.Error("what was loaded before the Delete was stored")
		}
		for _, l := range []*corral.Loader[int, User]{leased, l, other} {
			must(t, l.Close(t.Context()))
		}
		time.Sleep(2 * time.Second)
		if n := m.PubSubNumSub("users:writes")["users:writes"]; n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
	})
}
