package fleet_test

import (
	"context"
	"fmt"
	"testing"
	"time"

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

var routeTimes best

// BenchmarkRoute is from a key to its shard: hash and pick. That of go-redis' Ring is a
// command's way to the client that would send it.
func BenchmarkRoute(b *testing.B) {
	var lines []string
	for _, r := range routings() {
		b.Run(r.bench(), func(b *testing.B) {
			keys := benchKeys()
			b.ReportAllocs()
			if r.router == nil {
				ring := newRecordingRing(b, r.before)
				for i := 0; b.Loop(); i++ {
					sink += len(ring.owner(b, keys[i%len(keys)]))
				}
			} else {
				router := route(b, r.router, r.before).(fleet.Picker)
				hash := fleet.Hasher[string](nil)
				for i := 0; b.Loop(); i++ {
					sink += int(router.Pick(hash(keys[i%len(keys)])))
				}
			}
			routeTimes.note(r.bench(), b)
			cv, most, moved := r.shares(b)
			b.ReportMetric(cv, "cv")
			b.ReportMetric(most, "max/mean")
			b.ReportMetric(100*moved, "%moved")
		})
		if ns, measured := routeTimes.of(r.bench()); measured {
			lines = append(lines, r.row(b, fmt.Sprintf("%.0f", ns)))
		}
	}
	if len(lines) == len(routings()) {
		writeTable(b, routeHead, routeRuler, lines)
	}
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

var hitTimes best

const (
	hitHead  = "| a hit | ns | of one cache |"
	hitRuler = "|---|--:|--:|"
)

// BenchmarkGet is a hit through a fleet of caches in memory, beside the cache alone. The
// fleet minds how its shards are.
func BenchmarkGet(b *testing.B) {
	one := memadapter.New[string, string]()
	pins := memoryPins[string](b, 0)
	_, _, err := pins.GetOrPin(b.Context(), "other", "s01")
	must(b, err)
	keys := benchKeys()
	rows := []struct {
		name string
		opts *fleet.Options[string]
	}{
		{"one cache in memory", nil},
		{"a fleet of 8", &fleet.Options[string]{}},
		{"with pins", &fleet.Options[string]{Pins: pins}},
		{"with a gutter", &fleet.Options[string]{Health: fleet.HealthOptions{Gutter: fleet.GutterOptions{Life: 10 * time.Second}}}},
		{"without health", &fleet.Options[string]{Health: fleet.HealthOptions{Off: true}}},
	}
	var lines []string
	for _, r := range rows {
		var cache corral.Cache[string, string] = one
		if r.opts != nil {
			f, _ := open(b, equal(8), *r.opts, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
			cache = f.AsCache()
		}
		for _, key := range keys {
			must(b, cache.Set(b.Context(), key, fresh("value")))
		}
		b.Run(r.name, func(b *testing.B) {
			ctx := context.Background()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if e, _ := cache.Get(ctx, keys[i%len(keys)]); e == nil {
					b.Fatal("a miss")
				}
			}
			hitTimes.note(r.name, b)
		})
		alone, _ := hitTimes.of(rows[0].name)
		if ns, measured := hitTimes.of(r.name); measured {
			lines = append(lines, fmt.Sprintf("| %s | %.0f | %.1f |", r.name, ns, ns/alone))
		}
	}
	if len(lines) == len(rows) {
		writeTable(b, hitHead, hitRuler, lines)
	}
}
