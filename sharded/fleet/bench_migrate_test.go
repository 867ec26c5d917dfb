package fleet_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

const (
	copyHead  = "| `Migrate` copies between | entries/s |"
	copyRuler = "|---|--:|"
)

var copyTimes best

// BenchmarkMigrate is what a migration copies a second: all that moves when 4 shards with
// 10,000 entries become 5. The end of the change, which is waited for, is not part of it.
func BenchmarkMigrate(b *testing.B) {
	kinds := []struct {
		name  string
		shard func(b *testing.B, id string) corral.Cache[string, string]
	}{
		{"caches in memory", func(*testing.B, string) corral.Cache[string, string] { return memadapter.New[string, string]() }},
		{"stores in memory that give leases", func(*testing.B, string) corral.Cache[string, string] {
			return memadapter.NewShared[string, string](time.Minute).Process()
		}},
		{"Redis servers", redisShards(b)},
	}
	var lines []string
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			copied := 0
			for b.Loop() {
				b.StopTimer()
				copied += migrateOnce(b, kind.shard)
			}
			b.ReportMetric(float64(copied)/b.Elapsed().Seconds(), "entries/s")
			copyTimes.per(kind.name, b, copied)
		})
		if ns, measured := copyTimes.of(kind.name); measured {
			lines = append(lines, fmt.Sprintf("| %s | %.0f,000 |", kind.name, 1e9/ns/1000))
		}
	}
	if len(lines) == len(kinds) {
		writeTable(b, copyHead, copyRuler, lines)
	}
}

// migrateOnce returns how many entries were copied, and has the timer run meanwhile.
func migrateOnce(b *testing.B, shard func(b *testing.B, id string) corral.Cache[string, string]) int {
	ctx := context.Background()
	before, after := equal(4), equal(5)
	after.Epoch = 2
	f, err := fleet.New(ctx, before, func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		return shard(b, s.ID), nil
	}, fleet.Options[string]{MaxLife: time.Hour})
	must(b, err)
	keys, entries := make([]string, 10_000), make([]*corral.Entry[string], 10_000)
	for i := range keys {
		keys[i], entries[i] = fmt.Sprint("user:", i*7919), fresh("the value of a key, of a hundred bytes or so, as a session or a row of a table in a database may be")
	}
	must(b, f.SetMany(ctx, keys, entries))
	_, err = f.Apply(ctx, after)
	must(b, err)
	b.StartTimer()
	r, err := fleet.Migrate(ctx, f, fleet.MigrateOptions{KeepWindow: true})
	b.StopTimer()
	if must(b, err); r.Copied < 1000 || r.Failed > 0 {
		b.Fatalf("%+v", r.ShardReport)
	}
	must(b, f.Close(ctx))
	b.StartTimer()
	return r.Copied
}

// redisShards are a server each, which are started when one is asked for, and empty each
// time.
func redisShards(b *testing.B) func(b *testing.B, id string) corral.Cache[string, string] {
	var mu sync.Mutex
	clients := map[string]redis.UniversalClient{}
	return func(inner *testing.B, id string) corral.Cache[string, string] {
		mu.Lock()
		defer mu.Unlock()
		if clients[id] == nil {
			clients[id] = redistest.NewStandalone(b).Client(b, redis.UniversalOptions{})
		}
		must(inner, clients[id].FlushAll(context.Background()).Err())
		return redisadapter.New(clients[id], redisadapter.Options[string, string]{Prefix: "p"})
	}
}
