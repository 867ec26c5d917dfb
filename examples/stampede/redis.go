package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
)

// embedded is the -redis that needs no server.
const embedded = "embedded"

// checkRedis says what is wrong with an address before the show begins, not when
// it is the Loader's turn.
func checkRedis(address string) error {
	if address == "" || address == embedded {
		return nil
	}
	_, closing, err := openRedis(address)
	if err == nil {
		closing()
	}
	return err
}

// openRedis opens a cache in the Redis at address. Its keys have a prefix of
// this moment, so that no earlier run is found there, and end by themselves
// within seconds.
func openRedis(address string) (corral.Cache[string, row], func(), error) {
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
		return nil, nil, fmt.Errorf("-redis %s: %w", address, err)
	}
	return redisadapter.New(client, redisadapter.Options[string, row]{
		Prefix: fmt.Sprintf("corral-stampede-%d", time.Now().UnixNano()),
	}), closing, nil
}
