package redisadapter_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

func incarnation(t *testing.T, c corral.Incarnate) string {
	t.Helper()
	id, err := c.Incarnation(t.Context())
	must(t, err)
	return id
}

// I4: a run of a server, and what its data come from, is one incarnation. Replicas may
// come and go; a restart, and to follow another master, is the end of it.
func TestServer_Incarnation(t *testing.T) {
	one, other := redistest.StartServer(t, "--repl-diskless-sync-delay", "0"), redistest.StartServer(t)
	cache := users(redistest.ClientWith(t, &redis.Options{Addr: one.Addr}))
	plain := plainUsers(redistest.ClientWith(t, &redis.Options{Addr: one.Addr}))
	replica := users(redistest.ClientWith(t, &redis.Options{Addr: other.Addr}))
	first := incarnation(t, cache)
	if first == "" || incarnation(t, plain) != first || incarnation(t, replica) == first {
		t.Fatalf("the incarnations are %q, %q and %q", first, incarnation(t, plain), incarnation(t, replica))
	}
	follow := func(s *redistest.Server, master string) {
		t.Helper()
		host, port, _ := net.SplitHostPort(master)
		s.Do("REPLICAOF", host, port)
		must(t, redistest.Until(t.Context(), func(context.Context) error {
			if info := s.Do("INFO", "replication").(string); !strings.Contains(info, "master_link_status:up\r\n") {
				return errors.New(info)
			}
			return nil
		}))
	}
	alone := incarnation(t, replica)
	follow(other, one.Addr)
	following := incarnation(t, replica)
	if got := incarnation(t, cache); got != first {
		t.Errorf("with a replica it is %q, want %q", got, first)
	}
	other.Do("REPLICAOF", "NO", "ONE")
	if got := incarnation(t, replica); got != following || got == alone {
		t.Errorf("a replica that is promoted holds what it held: %q, was %q, and alone %q", got, following, alone)
	}
	follow(one, other.Addr) // and takes its data for its own
	demoted := incarnation(t, cache)
	one.Do("REPLICAOF", "NO", "ONE")
	if demoted == first || incarnation(t, cache) != demoted {
		t.Errorf("a master that has followed another is %q, was %q, before that %q", incarnation(t, cache), demoted, first)
	}
	one.Restart()
	if got := incarnation(t, cache); got == first || got == demoted {
		t.Errorf("after a restart it is %q again", got)
	}
}

// Clients of many nodes have no incarnation; Sentinel's is that of the master.
func TestServer_IncarnationOfManyNodes(t *testing.T) {
	for kind, start := range redistest.Deployments {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			servers := start(t)
			cache := users(servers.Client(t, redis.UniversalOptions{}))
			id, one := incarnation(t, cache), kind == "Standalone" || kind == "Sentinel"
			if (id != "") != one {
				t.Errorf("it is %q", id)
			}
			if run := infoField(servers.Nodes[0], "run_id"); one && !strings.HasPrefix(id, run+"/") {
				t.Errorf("it is %q, and the master's run %q", id, run)
			}
		})
	}
}

func infoField(s *redistest.Server, field string) string {
	_, rest, _ := strings.Cut(s.Do("INFO").(string), field+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// What a server does not tell, or not this user, is an error, and never some incarnation.
func TestIncarnationThatIsNotTold(t *testing.T) {
	id := strings.Repeat("0a", 20)
	whole := "role:master\r\nrun_id:" + id + "\r\nmaster_replid:" + id + "\r\nmaster_replid2:" + strings.Repeat("0", 40) + "\r\n"
	for name, c := range map[string]struct {
		answer string
		want   string
	}{
		"told":               {whole, id + "/" + strings.Repeat("0", 40)},
		"lines end with LF":  {strings.ReplaceAll(whole, "\r", ""), id + "/" + strings.Repeat("0", 40)},
		"of a replica":       {strings.Replace(whole, "master\r", "slave\r", 1), id + "/" + id},
		"nothing":            {"", ""},
		"no run":             {strings.Replace(whole, "run_id:"+id, "run_id:0", 1), ""},
		"no replication":     {"run_id:" + id + "\r\n", ""},
		"something else":     {strings.ReplaceAll(whole, "a", "?"), ""},
		"the user may not":   {"-NOPERM this user has no permissions to run the 'info' command", ""},
		"the server has not": {"-ERR unknown command 'INFO'", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, _, client := mini(t)
			must(t, client.Ping(t.Context()).Err()) // which starts it
			m.Server().SetPreHook(func(p *server.Peer, cmd string, _ ...string) bool {
				if !strings.EqualFold(cmd, "INFO") {
					return false
				}
				if text, isError := strings.CutPrefix(c.answer, "-"); isError {
					p.WriteError(text)
				} else {
					p.WriteBulk(c.answer)
				}
				return true
			})
			for _, cache := range []corral.Incarnate{users(client), plainUsers(client)} {
				got, err := cache.Incarnation(t.Context())
				if got != c.want || (err == nil) != (c.want != "") {
					t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
				}
			}
		})
	}
	var none *redis.Client
	if _, err := redisadapter.New(none, redisadapter.Options[int, User]{}).Incarnation(t.Context()); err == nil {
		t.Error("a cache without a client has an incarnation")
	}
}

// A caller gets away when its context ends.
func TestIncarnationIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, wire, client := mini(t)
		cache := users(client)
		must(t, cache.Set(t.Context(), 1, fresh(User{})))
		wire.Swallow(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := cache.Incarnation(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("after %v the error is %v", time.Since(start), err)
		}
		wire.Swallow(false)
		time.Sleep(time.Minute) // the client's own time-outs
	})
}
