package fleet_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/bytestore"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// open returns a fleet over what open opens, and those caches.
func open[K comparable, V any](t testing.TB, topology fleet.Topology, opts fleet.Options[K],
	open func(i int) corral.Cache[K, V]) (*fleet.Fleet[K, V], []any) {
	t.Helper()
	var inner []any
	caches := map[string]corral.Cache[K, V]{}
	for i, s := range topology.Shards {
		caches[s.ID] = open(i)
		inner = append(inner, caches[s.ID])
	}
	f, err := fleet.New(t.Context(), topology, func(_ context.Context, s fleet.Shard) (corral.Cache[K, V], error) {
		return caches[s.ID], nil
	}, opts)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close(context.Background())) })
	return f, inner
}

// sizes are the fleets that the suite runs over.
var sizes = []int{1, 3, 16}

// conforms runs the suite over fleets of these sizes. shard makes the i-th of
// one process; another makes it of another process, nil if processes share nothing.
func conforms[K comparable, V any](t *testing.T, sizes []int, cfg adaptertest.Config[K, V], shard func(t *testing.T, i int) corral.Cache[K, V],
	another func(t *testing.T, i int) corral.Cache[K, V]) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n, " shards"), func(t *testing.T) {
			var inner []any
			cfg.New = func(t *testing.T) corral.Cache[K, V] {
				f, caches := open(t, equal(n), fleet.Options[K]{}, func(i int) corral.Cache[K, V] { return shard(t, i) })
				inner = caches
				return f
			}
			cfg.Inner = func() []any { return inner }
			if another != nil {
				cfg.Other = func(t *testing.T) corral.Cache[K, V] {
					f, _ := open(t, equal(n), fleet.Options[K]{}, func(i int) corral.Cache[K, V] { return another(t, i) })
					return f
				}
			}
			adaptertest.Run(t, cfg)
		})
	}
}

func TestContract_A6_Conformance_Memory(t *testing.T) {
	t.Run("entries", func(t *testing.T) {
		conforms(t, sizes, adaptertest.Config[string, string]{}, func(*testing.T, int) corral.Cache[string, string] {
			return memadapter.New[string, string]()
		}, nil)
	})
	t.Run("values", func(t *testing.T) {
		caches := map[int]*memadapter.PlainCache[int64, []byte]{}
		conforms(t, sizes, adaptertest.Config[int64, []byte]{Plain: true}, func(_ *testing.T, i int) corral.Cache[int64, []byte] {
			caches[i] = memadapter.Plain[int64, []byte]()
			return caches[i]
		}, nil)
	})
	t.Run("shared", func(t *testing.T) {
		stores := map[int]*memadapter.Shared[string, string]{}
		conforms(t, sizes, adaptertest.Config[string, string]{}, func(_ *testing.T, i int) corral.Cache[string, string] {
			stores[i] = memadapter.NewShared[string, string](2 * time.Second)
			return stores[i].Process()
		}, func(_ *testing.T, i int) corral.Cache[string, string] { return stores[i].Process() })
	})
}

func roomy[V any](t testing.TB) *ristretto.Cache[string, V] {
	c, err := ristretto.NewCache(&ristretto.Config[string, V]{NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64, IgnoreInternalCost: true})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestContract_A6_Conformance_Ristretto(t *testing.T) {
	t.Run("entries", func(t *testing.T) {
		conforms(t, sizes, adaptertest.Config[string, string]{Linger: 3 * time.Second}, func(t *testing.T, _ int) corral.Cache[string, string] {
			return ristrettoadapter.New(roomy[*corral.Entry[string]](t), ristrettoadapter.Options[string]{Enumerable: true})
		}, nil)
	})
	t.Run("values", func(t *testing.T) {
		conforms(t, sizes, adaptertest.Config[string, string]{Plain: true, Granularity: 1}, func(t *testing.T, _ int) corral.Cache[string, string] {
			return ristrettoadapter.Plain(roomy[string](t), ristrettoadapter.Options[string]{})
		}, nil)
	})
}

// servers are the Redis servers of a fleet, each with the wire to it.
type servers struct {
	minis map[int]*miniredis.Miniredis
	wires map[int]*redistest.Wire
}

func newServers() *servers {
	return &servers{map[int]*miniredis.Miniredis{}, map[int]*redistest.Wire{}}
}

func (s *servers) start(t testing.TB, i int) redis.UniversalClient {
	s.minis[i] = redistest.Mini(t)
	s.wires[i] = redistest.NewWire(s.minis[i])
	return s.another(t, i)
}

// another returns a client as another process has it. Only the first of a fleet
// costs what redistest.Client does to clean up after an earlier bubble.
func (s *servers) another(t testing.TB, i int) redis.UniversalClient {
	if i == 0 {
		return redistest.Client(t, s.wires[i].Dial)
	}
	client := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:6379", Dialer: s.wires[i].Dial, MaxRetries: -1, DisableIdentity: true,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s *servers) config(c adaptertest.Config[string, string]) adaptertest.Config[string, string] {
	c.Granularity = time.Millisecond
	c.Outage = func(*testing.T) {
		for _, m := range s.minis {
			m.SetError("LOADING Redis is loading the dataset in memory")
		}
	}
	c.Stall = func(t *testing.T) {
		for _, w := range s.wires {
			w.Swallow(true)
			t.Cleanup(func() { w.Swallow(false) })
		}
	}
	return c
}

func TestContract_A6_Conformance_Redis(t *testing.T) {
	t.Run("entries", func(t *testing.T) {
		s, opts := newServers(), redisadapter.Options[string, string]{Prefix: "p"}
		conforms(t, sizes, s.config(adaptertest.Config[string, string]{}), func(t *testing.T, i int) corral.Cache[string, string] {
			return redisadapter.New(s.start(t, i), opts)
		}, func(t *testing.T, i int) corral.Cache[string, string] { return redisadapter.New(s.another(t, i), opts) })
	})
	t.Run("values", func(t *testing.T) {
		s, opts := newServers(), redisadapter.Options[string, string]{Prefix: "p:", Codec: bytestore.DefaultCodec[string]()}
		conforms(t, sizes, s.config(adaptertest.Config[string, string]{Plain: true}), func(t *testing.T, i int) corral.Cache[string, string] {
			return redisadapter.Plain(s.start(t, i), opts)
		}, func(t *testing.T, i int) corral.Cache[string, string] {
			return redisadapter.Plain(s.another(t, i), opts)
		})
	})
}

func TestContract_A6_Conformance_Layered(t *testing.T) {
	t.Run("a fleet of layers", func(t *testing.T) {
		s := newServers()
		conforms(t, []int{3}, adaptertest.Config[string, string]{Granularity: time.Millisecond, Linger: 3 * time.Second},
			func(t *testing.T, i int) corral.Cache[string, string] {
				near := ristrettoadapter.New(roomy[*corral.Entry[string]](t), ristrettoadapter.Options[string]{})
				far := redisadapter.New(s.start(t, i), redisadapter.Options[string, string]{Prefix: "p"})
				return layered.New(near, far, layered.Options{Unheard: math.MaxInt64})
			}, nil)
	})
	t.Run("a layer over a fleet", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[string, string]{
			New: func(t *testing.T) corral.Cache[string, string] {
				far, _ := open(t, equal(3), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
					return memadapter.NewShared[string, string](2 * time.Second).Process()
				})
				return layered.New(memadapter.New[string, string](), far.AsCache(), layered.Options{})
			},
		})
	})
	t.Run("a fleet of fleets", func(t *testing.T) {
		conforms(t, []int{2}, adaptertest.Config[string, string]{}, func(t *testing.T, _ int) corral.Cache[string, string] {
			f, _ := open(t, equal(3), fleet.Options[string]{Secret: testSecret()}, func(int) corral.Cache[string, string] {
				return memadapter.New[string, string]()
			})
			return f
		}, nil)
	})
}
