package fleet_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/redisadapter/redisfleet"
	"github.com/corralcache/corral/sharded/fleet"
)

// realZones are two groups with a replica in each of two zones, a real server for each
// replica, one for the Epochs, and a process in each zone.
type realZones struct {
	t          *testing.T
	plain      bool
	life       time.Duration                // of what is stored
	servers    map[string]*redistest.Server // by the shards' IDs
	agreed     *redistest.Server
	east, west realClient

	loads atomic.Int64
	keys  []string
}

func newRealZones(t *testing.T, plain bool, life time.Duration) *realZones {
	z := &realZones{t: t, plain: plain, life: life, servers: map[string]*redistest.Server{}, agreed: redistest.StartServer(t)}
	for _, s := range replicated(1, 2, "east", "west").Shards {
		z.servers[s.ID] = redistest.StartServer(t)
	}
	for i := range 60 {
		z.keys = append(z.keys, fmt.Sprint("key ", i))
	}
	z.east, z.west = z.process("east"), z.process("west")
	return z
}

// process is one more in a zone, with clients of its own.
func (z *realZones) process(zone string) realClient {
	t := z.t
	t.Helper()
	epochs, err := redisfleet.NewEpochs(redistest.ClientWith(t, &redis.Options{Addr: z.agreed.Addr}), redisfleet.Options{})
	must(t, err)
	f, err := fleet.New(t.Context(), replicated(1, 2, "east", "west"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, int64], error) {
		client := redistest.ClientWith(t, &redis.Options{Addr: z.servers[s.ID].Addr, MaxRetries: -1})
		opts := redisadapter.Options[string, int64]{Prefix: "numbers:"}
		if z.plain {
			return redisadapter.Plain(client, opts), nil
		}
		return redisadapter.New(client, opts), nil
	}, fleet.Options[string]{
		Zone: zone, MaxLife: z.life, Epochs: epochs, EpochLife: 500 * time.Millisecond,
		Health: fleet.HealthOptions{Recheck: 50 * time.Millisecond, MinPause: 100 * time.Millisecond},
	})
	must(t, err)
	t.Cleanup(func() { must(t, f.Close(context.Background())) })
	l, err := corral.New(f, corral.Options{TTL: z.life})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close(context.Background())) })
	return realClient{f, l}
}

// read asks a process for all keys, of which none may be as old as least.
func (z *realZones) read(p realClient, least int64) {
	z.t.Helper()
	for _, key := range z.keys {
		v, err := p.GetOrLoad(z.t.Context(), key, func(context.Context, string) (int64, error) { return z.loads.Add(1), nil })
		if must(z.t, err); v <= least {
			z.t.Fatalf("%s is %d: it was deleted", key, v)
		}
	}
}

// in returns the keys of a group.
func (z *realZones) in(group string) (keys []string) {
	for _, key := range z.keys {
		if z.east.Owner(key).Group == group {
			keys = append(keys, key)
		}
	}
	return keys
}

// holds is how many of keys are on a server, whatever any process thinks of them.
func (z *realZones) holds(id string, keys []string) (n int64) {
	args := []any{"EXISTS"}
	for _, key := range keys {
		if !z.plain {
			key = ":{" + key + "}"
		}
		args = append(args, "numbers:"+key)
	}
	return z.servers[id].Do(args...).(int64)
}

func (p realClient) of(id string) fleet.ShardHealth {
	for _, h := range p.Health() {
		if h.Shard.ID == id {
			return h
		}
	}
	return fleet.ShardHealth{}
}

// overRealZones runs a test over entries and over bare values.
func overRealZones(t *testing.T, life time.Duration, test func(t *testing.T, z *realZones)) {
	for _, plain := range []bool{false, true} {
		name := "entries"
		if plain {
			name = "bare values"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newRealZones(t, plain, life))
		})
	}
}

// G1, W1: of the loads of two zones there is one for each key, and a Delete in one ends
// what the other holds.
func TestServer_ZonesLoadOnce(t *testing.T) {
	overRealZones(t, time.Hour, func(t *testing.T, z *realZones) {
		for round := range int64(3) {
			least := z.loads.Load()
			var both sync.WaitGroup
			for _, p := range []realClient{z.east, z.west} {
				both.Go(func() {
					for _, key := range z.keys {
						v, err := p.GetOrLoad(t.Context(), key, func(context.Context, string) (int64, error) { return z.loads.Add(1), nil })
						if err != nil || v <= least {
							t.Errorf("%s is %d, %v; what was deleted is %d at the most", key, v, err, least)
						}
					}
				})
			}
			both.Wait()
			if n, want := z.loads.Load(), (round+1)*int64(len(z.keys)); n != want {
				t.Errorf("round %d: %d loads, want %d", round, n, want)
			}
			for _, group := range []string{"g0", "g1"} {
				for _, zone := range []string{" east", " west"} {
					if keys := z.in(group); z.holds(group+zone, keys) != int64(len(keys)) {
						t.Errorf("%s%s holds %d of %d keys that its zone has read", group, zone, z.holds(group+zone, keys), len(keys))
					}
				}
			}
			from := z.east
			if round == 1 {
				from = z.west
			}
			must(t, from.Loader.Delete(t.Context(), z.keys...))
			for id := range z.servers {
				if n := z.holds(id, z.keys); n != 0 {
					t.Errorf("round %d: %s holds %d keys after a Delete", round, id, n)
				}
			}
		}
	})
}

// killed ends a replica after a snapshot of what is deleted then, and checks that nobody is
// told that a further Delete is done.
func (z *realZones) killed(id string) (snapshot []byte, least int64) {
	t := z.t
	t.Helper()
	z.read(z.east, 0)
	z.read(z.west, 0)
	snapshot = z.servers[id].Snapshot()
	must(t, z.east.Loader.Delete(t.Context(), z.keys...))
	least = z.loads.Load()
	z.read(z.east, least)
	z.read(z.west, least)
	z.servers[id].Kill()
	for _, p := range []realClient{z.east, z.west} {
		if err := p.Loader.Delete(t.Context(), z.in("g0")...); err == nil {
			t.Error("a Delete is done though a replica was not there")
		}
	}
	if n := z.east.of(id).Fenced; n != len(z.in("g0")) {
		t.Errorf("%d keys are fenced, want the %d of the group", n, len(z.in("g0")))
	}
	least = z.loads.Load()
	for _, key := range z.in("g1") { // which has lost nothing
		must(t, z.east.Loader.Delete(t.Context(), key))
	}
	z.read(z.west, least)
	z.read(z.east, least)
	return snapshot, least
}

// I4, I12, W3: what a replica missed while it was away is an error to who deletes, and
// nothing of that is served when it is back with what it had.
func TestServer_AReplicaComesBackOld(t *testing.T) {
	overRealZones(t, time.Hour, func(t *testing.T, z *realZones) {
		const id = "g0 west"
		snapshot, least := z.killed(id)
		z.servers[id].RestartWith(snapshot)
		if n := z.holds(id, z.in("g0")); n == 0 {
			t.Fatal("the server has come back empty")
		}
		for n, p := range []realClient{z.west, z.east} {
			asked := 0
			must(t, redistest.Until(t.Context(), func(context.Context) error {
				for range 20 { // what is hit in the own zone asks nobody else
					asked++
					_, err := p.GetOrLoad(t.Context(), fmt.Sprint("new ", n, asked), func(context.Context, string) (int64, error) { return 0, nil })
					must(t, err)
				}
				if z.read(p, least); p.of(id).Out {
					return fmt.Errorf("it is still out: %+v", p.of(id))
				}
				return nil
			}))
			z.read(p, least)
		}
		must(t, z.west.Loader.Delete(t.Context(), z.keys...))
		must(t, z.east.Loader.Delete(t.Context(), z.keys...))
		if n := z.holds(id, z.keys); n != 0 {
			t.Errorf("it holds %d keys after a Delete", n)
		}
	})
}

// W1, W3: a Delete is done without a zone that was ejected, and the zone serves nothing of
// what it had: not while it is out of the topology, nor when it is taken back.
func TestServer_AnEjectedZoneComesBackOld(t *testing.T) {
	overRealZones(t, 6*time.Second, func(t *testing.T, z *realZones) {
		const id = "g0 west"
		snapshot, least := z.killed(id)
		change, err := z.east.Apply(t.Context(), replicated(2, 2, "east"))
		must(t, err)
		for _, p := range []realClient{z.west, z.east} {
			must(t, redistest.Until(t.Context(), func(context.Context) error { // its zone is deleted from, for a moment
				return p.Loader.Delete(t.Context(), z.keys...)
			}))
		}
		select {
		case <-change.Done():
			t.Fatal("no Delete was done before the change was over")
		default:
		}
		least = max(least, z.loads.Load())
		z.servers[id].RestartWith(snapshot)
		if n := z.holds(id, z.in("g0")); n == 0 {
			t.Fatal("the server has come back empty")
		}
		z.read(z.west, least)
		z.read(z.east, least)
		if n := z.loads.Load() - least; n != int64(len(z.keys)) {
			t.Errorf("%d loads of %d keys", n, len(z.keys))
		}
		must(t, z.west.Loader.Delete(t.Context(), z.keys...))
		least = z.loads.Load()
		<-change.Done()
		_, err = z.east.Apply(t.Context(), replicated(3, 2, "east", "west"))
		must(t, err)
		z.read(z.west, least)
		z.read(z.east, least)
		if now, _ := z.west.Topology(); now.Epoch != 3 {
			t.Errorf("the other zone goes by epoch %d", now.Epoch)
		}
		if n := z.loads.Load() - least; n != int64(len(z.keys)) {
			t.Errorf("%d loads of %d keys", n, len(z.keys))
		}
	})
}
