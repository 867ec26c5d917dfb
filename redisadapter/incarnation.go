package redisadapter

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

var (
	_ corral.Incarnate = (*Cache[string, any])(nil)
	_ corral.Incarnate = (*PlainCache[string, any])(nil)
)

// Incarnation tells one run of a server from another, and from one that took its
// place: by INFO, of the server's run and of the replication that its data come from.
// It is another one after a restart, with or without a snapshot, and when another
// server answers; it stays when a connection breaks or replicas come and go.
//
// It is empty through clients of many nodes (*redis.ClusterClient, *redis.Ring), of
// which one may fail while what the others hold is good, and through a client that is
// wrapped in another type. The error says so if the server tells nothing that could
// be used, as some services do, or the user may not ask (+info).
//
// Behind an address that reaches now one server and now another, such as that of
// several replicas, it changes with each of them.
func (c *Cache[K, V]) Incarnation(ctx context.Context) (string, error) {
	return c.server.incarnation(ctx)
}

// Incarnation is that of [Cache.Incarnation].
func (c *PlainCache[K, V]) Incarnation(ctx context.Context) (string, error) {
	return c.server.incarnation(ctx)
}

func (s *server[K]) incarnation(ctx context.Context) (string, error) {
	if s.fault != nil {
		return "", s.fault
	}
	if !s.one {
		return "", nil
	}
	return bounded.Do(ctx, func(ctx context.Context) (string, error) {
		still := context.WithoutCancel(ctx)
		pipe := s.client.Pipeline() // two commands: Redis 6 takes one section at a time
		server, replication := pipe.Info(still, "server"), pipe.Info(still, "replication")
		if _, err := pipe.Exec(still); err != nil {
			return "", failed("INFO", err)
		}
		return incarnationOf(server, replication)
	})
}

var errNoRun = errors.New("redisadapter: INFO: the server does not tell which run it is")

// incarnationOf reads what INFO says. Of a replica its data are those of the
// replication that it follows. A master that was one keeps the name of that as its
// second; its own first one also changes when a replica comes and no data do.
func incarnationOf(server, replication *redis.StringCmd) (string, error) {
	run := infoOf(server.Val(), "run_id")
	of := infoOf(replication.Val(), "master_replid2")
	if infoOf(replication.Val(), "role") == "slave" {
		of = infoOf(replication.Val(), "master_replid")
	}
	if !isID(run) || !isID(of) {
		return "", errNoRun
	}
	return run + "/" + of, nil
}

// infoOf returns the field of an answer to INFO, empty if there is none.
func infoOf(info, field string) string {
	for line := range strings.SplitSeq(info, "\n") {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// isID reports whether id is one of those that servers draw. Some services have a
// zero in their place, which would be the same for ever.
func isID(id string) bool { return len(id) == 40 && strings.Trim(id, "0123456789abcdef") == "" }
