// Withredis is examples/stampede with a Redis client. Give -redis to that one,
// which runs this one then:
//
//	go run ./examples/stampede -redis embedded
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/examples/stampede/internal/stampede"
	"github.com/corralcache/corral/redisadapter"
)

// embedded is the -redis that needs no server.
const embedded = "embedded"

func main() { stampede.Main(openRedis) }

// openRedis opens a cache in the Redis at address. Its keys have a prefix of
// this moment, so that no earlier run is found there, and end by themselves
// within seconds.
func openRedis(address string) (corral.Cache[string, stampede.Row], func(), error) {
	stop := func() {}
	if address == embedded {
		server, err := miniredis.Run()
		if err != nil {
			return nil, nil, err
		}
		address, stop = server.Addr(), server.Close
	}
	client := redis.NewClient(&redis.Options{Addr: address, ContextTimeoutEnabled: true})
	closing := func() {
		client.Close()
		stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		closing()
		return nil, nil, err
	}
	return redisadapter.New(client, redisadapter.Options[string, stampede.Row]{
		Prefix: fmt.Sprintf("corral-stampede-%d", time.Now().UnixNano()),
	}), closing, nil
}
