package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// realClient is as a process with its own clients of real servers.
type realClient struct {
	*fleet.Fleet[string, int64]
	*corral.Loader[string, int64]
}

func newRealClient(t *testing.T, servers []*redistest.Server, plain bool) realClient {
	t.Helper()
	f, _ := open(t, equal(len(servers)), fleet.Options[string]{
		Health: fleet.HealthOptions{Recheck: 50 * time.Millisecond, MinPause: 100 * time.Millisecond},
	}, func(i int) corral.Cache[string, int64] {
		client := redistest.ClientWith(t, &redis.Options{Addr: servers[i].Addr, MaxRetries: -1})
		opts := redisadapter.Options[string, int64]{Prefix: "numbers:"}
		if plain {
			return redisadapter.Plain(client, opts)
		}
		return redisadapter.New(client, opts)
	})
	l, err := corral.New(f, corral.Options{TTL: time.Hour, StaleFor: time.Hour})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close(context.Background())) })
	return realClient{f, l}
}

// I4: a server that restarts with an old snapshot serves nothing that was deleted since,
// whether calls failed meanwhile or none was made.
func TestServer_RestartWithAnOldSnapshot(t *testing.T) {
	for name, c := range map[string]struct{ plain, noticed bool }{
		"entries, noticed":       {false, true},
		"entries, not noticed":   {false, false},
		"bare values, noticed":   {true, true},
		"bare values, unnoticed": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			servers := []*redistest.Server{redistest.StartServer(t), redistest.StartServer(t)}
			a, b := newRealClient(t, servers, c.plain), newRealClient(t, servers, c.plain)
			var loads atomic.Int64
			load := func(context.Context, string) (int64, error) { return loads.Add(1), nil }
			var keys []string
			for i := range 100 {
				keys = append(keys, fmt.Sprint("key ", i))
			}
			all := func(p realClient, least int64) {
				t.Helper()
				for _, key := range keys {
					v, err := p.GetOrLoad(t.Context(), key, load)
					if must(t, err); v <= least && p.Owner(key).ID == "s00" {
						t.Fatalf("%s is %d: it was deleted", key, v)
					}
				}
			}
			all(a, 0)
			all(b, 0)
			snapshot := servers[0].Snapshot()
			before := loads.Load()
			must(t, a.Delete(t.Context(), keys...))
			all(b, 0)
			must(t, b.Delete(t.Context(), keys...))
			servers[0].Kill()
			if c.noticed {
				for _, p := range []realClient{a, b} {
					must(t, redistest.Until(t.Context(), func(context.Context) error {
						if all(p, before); !p.Health()[0].Out {
							return errors.New("it is not out")
						}
						return nil
					}))
				}
			}
			servers[0].RestartWith(snapshot)
			if n := servers[0].Do("DBSIZE").(int64); n < 20 {
				t.Fatalf("the server holds %d keys", n)
			}
			if !c.noticed {
				time.Sleep(100 * time.Millisecond) // twice Recheck
			}
			for _, p := range []realClient{a, b, a} {
				must(t, redistest.Until(t.Context(), func(context.Context) error {
					if all(p, before); p.Health()[0].Out {
						return errors.New("it is still out")
					}
					return nil
				}))
				all(p, before)
				if s := p.Health()[0]; s.Incarnations != 1 || s.IncarnationErr != nil {
					t.Errorf("it is %+v", s)
				}
			}
			n := loads.Load() // what was stored since is served
			all(a, before)
			all(b, before)
			if now := loads.Load(); now != n {
				t.Errorf("%d more loads", now-n)
			}
		})
	}
}
