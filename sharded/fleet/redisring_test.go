package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral/sharded/fleet"
)

// A Ring's user keeps the placement of every key.
func TestRendezvousIsGoRedisRing(t *testing.T) {
	topology := fleet.Topology{Shards: []fleet.Shard{
		{ID: "shard1"}, {ID: "shard2"}, {ID: "eu-west-1a"}, {ID: "10.0.0.7:6379"}, {ID: "5"}, {ID: "x"}, {ID: "schön"}, {ID: "shard8"},
	}}
	ring := newRecordingRing(t, topology)
	r := route(t, fleet.Rendezvous(), topology)
	tagged := func(dst []byte, key string) []byte { return fleet.AppendHashTag(dst, key) }
	for i := range 1_000_000 {
		key := fmt.Sprintf([]string{"user:%d", "{tenant:%d}:orders", "%d", "a{%d", "session:%x:{}"}[i%5], i)
		h, err := fleet.Hash(key, tagged, nil)
		must(t, err)
		if got, want := topology.Shards[pick(r, h)].ID, ring.owner(t, key); got != want {
			t.Fatalf("%q is at %s, and go-redis' Ring has it at %s", key, got, want)
		}
	}
}

// recordingRing is a go-redis Ring without servers: its clients answer themselves.
type recordingRing struct {
	ring  *redis.Ring
	asked string // the shard that the last command went to
}

func newRecordingRing(t testing.TB, topology fleet.Topology) *recordingRing {
	r := &recordingRing{}
	addrs := map[string]string{}
	for _, s := range topology.Shards {
		addrs[s.ID] = s.ID
	}
	r.ring = redis.NewRing(&redis.RingOptions{
		Addrs:              addrs,
		HeartbeatFrequency: 24 * time.Hour,
		NewClient: func(opt *redis.Options) *redis.Client {
			c := redis.NewClient(opt)
			c.AddHook(answer{func() { r.asked = opt.Addr }})
			return c
		},
	})
	t.Cleanup(func() { _ = r.ring.Close() })
	return r
}

func (r *recordingRing) owner(t testing.TB, key string) string {
	r.asked = ""
	must(t, r.ring.Process(context.Background(), redis.NewStringCmd(context.Background(), "get", key)))
	return r.asked
}

// answer is a hook that lets no command through.
type answer struct{ asked func() }

func (a answer) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a answer) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { a.asked(); return nil }
}

func (a answer) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return nil }
}
