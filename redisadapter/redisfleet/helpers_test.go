package redisfleet_test

import (
	"context"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

func inMemory(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
	return memadapter.New[string, string](), nil
}
