package fleet_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// benchKeys are a power of two, so that choosing one costs next to nothing.
func benchKeys() []string {
	keys := make([]string, 1<<12)
	for i := range keys {
		keys[i] = fmt.Sprint("user:", i*7919)
	}
	return keys
}

var sink int

// BenchmarkRoute is from a key to its shard: hash and pick. Ring's own routing is
// that of go-redis, a command's way to the client that would send it.
func BenchmarkRoute(b *testing.B) {
	weights := func(n int) fleet.Topology {
		t := equal(n)
		for i := range t.Shards {
			t.Shards[i].Weight = uint32(1 + i%3)
		}
		return t
	}
	for _, n := range []int{1, 2, 8, 32, 128} {
		for _, c := range []struct {
			scheme   string
			router   fleet.RouterFunc
			topology fleet.Topology
		}{
			{"equal", fleet.Rendezvous(), equal(n)},
			{"weighted", fleet.Rendezvous(), weights(n)},
			{"ring", fleet.Ring(160, nil), equal(n)},
			{"jump", fleet.Jump(), equal(n)},
		} {
			if c.scheme == "weighted" && n == 1 {
				continue
			}
			b.Run(fmt.Sprintf("%s/shards=%d", c.scheme, n), func(b *testing.B) {
				r := route(b, c.router, c.topology).(fleet.Picker)
				hash := fleet.Hasher[string](nil)
				keys := benchKeys()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					sink += int(r.Pick(hash(keys[i%len(keys)])))
				}
				reportShares(b, c.router, c.topology)
			})
		}
		b.Run(fmt.Sprintf("go-redis/shards=%d", n), func(b *testing.B) {
			ring := newRecordingRing(b, equal(n))
			keys := benchKeys()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				sink += len(ring.owner(b, keys[i%len(keys)]))
			}
		})
	}
}

// reportShares reports of 200,000 keys how unevenly shards have them for their
// weights, and how many move when a shard of weight 1 is added.
func reportShares(b *testing.B, scheme fleet.RouterFunc, before fleet.Topology) {
	const keys = 200_000
	after := before
	after.Shards = append(slices.Clone(before.Shards), fleet.Shard{ID: "s99x", Weight: before.Shards[0].Weight})
	from, to := route(b, scheme, before), route(b, scheme, after)
	counts, sum, moved := make([]float64, len(before.Shards)), 0.0, 0.0
	for hash := range hashes(keys) {
		at := pick(from, hash)
		counts[at]++
		if pick(to, hash) != at {
			moved++
		}
	}
	for _, s := range before.Shards {
		sum += float64(max(1, s.Weight))
	}
	var most, squares float64
	for i, s := range before.Shards {
		share := counts[i] / keys * sum / float64(max(1, s.Weight)) // 1 is what the weight says
		most = max(most, share)
		squares += (share - 1) * (share - 1)
	}
	b.ReportMetric(math.Sqrt(squares/float64(len(counts))), "cv")
	b.ReportMetric(most, "max/mean")
	b.ReportMetric(100*moved/keys, "%moved")
}

// BenchmarkHash is what a kind of keys costs to hash.
func BenchmarkHash(b *testing.B) {
	b.Run("string", func(b *testing.B) { benchHash(b, "user:1234567", nil) })
	b.Run("string/secret", func(b *testing.B) { benchHash(b, "user:1234567", new([16]byte)) })
	b.Run("int", func(b *testing.B) { benchHash(b, 1234567, nil) })
}

func benchHash[K comparable](b *testing.B, key K, secret *[16]byte) {
	hash := fleet.Hasher[K](secret)
	b.ReportAllocs()
	for b.Loop() {
		sink += int(hash(key))
	}
}

// BenchmarkPins is a look at pins in memory: none, of a key without one among many,
// of a pinned key; from all CPUs for the same key.
func BenchmarkPins(b *testing.B) {
	for name, n := range map[string]int{"none": 0, "many": 10_000} {
		p := memoryPins[string](b, 0)
		for i := range n {
			_, _, err := p.GetOrPin(b.Context(), fmt.Sprint("user:", i), "a")
			must(b, err)
		}
		for which, key := range map[string]string{"without": "nobody", "pinned": "user:7"} {
			b.Run(fmt.Sprintf("%s/%s", name, which), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						fleet.LookUp(p, key)
					}
				})
			})
		}
	}
	b.Run("made", func(b *testing.B) {
		p := memoryPins[int](b, 1<<30)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_, _, err := p.GetOrPin(b.Context(), i%fleet.DefaultMaxPins, "a")
			must(b, err)
		}
	})
}

// BenchmarkGet is a hit through a fleet of caches in memory, beside the cache alone.
func BenchmarkGet(b *testing.B) {
	one := memadapter.New[string, string]()
	pins := memoryPins[string](b, 0)
	_, _, err := pins.GetOrPin(b.Context(), "other", "s01")
	must(b, err)
	caches := map[string]corral.Cache[string, string]{"alone": one}
	for name, opts := range map[string]fleet.Options[string]{"fleet": {}, "fleet/pins": {Pins: pins}} {
		f, _ := open(b, equal(8), opts, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
		caches[name] = f.AsCache()
	}
	keys := benchKeys()
	for _, name := range []string{"alone", "fleet", "fleet/pins"} {
		cache := caches[name]
		for _, key := range keys {
			must(b, cache.Set(b.Context(), key, fresh("value")))
		}
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if e, _ := cache.Get(ctx, keys[i%len(keys)]); e == nil {
					b.Fatal("a miss")
				}
			}
		})
	}
}
