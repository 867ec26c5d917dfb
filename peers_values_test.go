package corral_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/redis/go-redis/v9"
)

// The bugs of others that have to do with what a stored value says, and its times.

// P15: times below a second become none, or for ever; the greatest overflow.
//
// Red when saturatingAdd, in freshness.go, just adds; and when withDefaults, in
// options.go, rounds TTL to seconds.
func TestPeers_P15_TTLsAreExact(t *testing.T) {
	overEach(t, func(t *testing.T, cache corral.Cache[string, int]) {
		for _, c := range []struct{ ttl, fresh, over time.Duration }{
			{500 * time.Millisecond, 499 * time.Millisecond, 501 * time.Millisecond},
			{time.Millisecond, 0, 2 * time.Millisecond},
			{1500 * time.Millisecond, 1499 * time.Millisecond, 1501 * time.Millisecond},
			{1, -1, 2 * time.Millisecond}, // one nanosecond may be too short to be seen, never too long
		} {
			l := newLoader(t, cache, corral.Options{TTL: c.ttl})
			for when, loads := range map[time.Duration]int64{c.fresh: 1, c.over: 2} {
				src := &source{}
				get(t, l, "k", src.load)
				time.Sleep(when)
				if when >= 0 {
					get(t, l, "k", src.load)
					if n := src.loads.Load(); n != loads {
						t.Errorf("TTL %v: %d loads after %v, want %d", c.ttl, n, when, loads)
					}
				}
				_ = l.Delete(t.Context(), "k")
			}
		}
		longest := time.Duration(math.MaxInt64)
		for _, c := range []struct {
			opts  corral.Options
			loads int64 // within 70 minutes
		}{
			{corral.Options{TTL: longest}, 1},
			{corral.Options{TTL: longest, StaleFor: longest, StaleIfError: longest, EarlyExpiry: 1}, 1},
			{corral.Options{TTL: time.Hour, StaleFor: longest}, 2},
			{corral.Options{TTL: time.Hour, StaleIfError: longest}, 2},
		} {
			l := newLoader(t, cache, c.opts)
			src := &source{took: time.Second}
			for range 2 * 70 {
				get(t, l, "k", src.load)
				time.Sleep(30 * time.Second)
			}
			if n := src.loads.Load(); n != c.loads {
				t.Errorf("TTL %v, StaleFor %v: %d loads within 70 minutes, want %d", c.opts.TTL, c.opts.StaleFor, n, c.loads)
			}
			_ = l.Delete(t.Context(), "k")
		}
	})
}

// P17: a value that equals a sentinel reads as absent, or as a lock. The last
// ones are what stands in Redis for an entry, and for an absent one.
//
// Red when entry, in write.go, takes an empty value for an absent one.
func TestPeers_P17_NoValueIsASentinel(t *testing.T) {
	values := []string{"", "*", "\x00", "0", "-1", "nil", "null", `""`, "NOT_FOUND", "__absent__", "lock:1", "\xff\xfe", "{}"}
	values = append(values, stored(t)...)
	overEach(t, func(t *testing.T, cache corral.Cache[string, string]) {
		l := newLoader(t, cache, corral.Options{TTL: time.Minute, AbsentTTL: time.Minute})
		for i, value := range values {
			key := fmt.Sprint(i)
			for call := range 2 { // the load's own, then the cache's
				r, err := l.Lookup(t.Context(), key, func(context.Context, string) (string, error) { return value, nil })
				if r.Value != value || err != nil {
					t.Errorf("call %d for the value %q got %q, %v", call, value, r.Value, err)
				}
				if hit := r.Source == corral.SourceHit; hit != (call == 1) {
					t.Errorf("call %d for the value %q came from %v", call, value, r.Source)
				}
				synctest.Wait()
			}
		}
	})
}

// stored returns the bytes that Redis holds for an entry and for an absent one.
func stored(t *testing.T) (values []string) {
	t.Helper()
	bubble(t, "what Redis holds", func(t *testing.T) {
		server := redistest.Mini(t)
		client := redistest.Client(t, redistest.NewWire(server).Dial)
		l := newLoader(t, redisadapter.New(client, redisadapter.Options[string, string]{}), corral.Options{TTL: time.Minute, AbsentTTL: time.Minute})
		for key, err := range map[string]error{"here": nil, "gone": corral.ErrNotFound} {
			_, _ = l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) { return "value", err })
		}
		for _, name := range server.Keys() {
			value, err := server.Get(name)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value, base64.StdEncoding.EncodeToString([]byte(value)))
		}
	})
	if len(values) != 4 {
		t.Fatalf("Redis held %q", values)
	}
	return values
}

// P21: what is stored has another type, and reads as a zero value and no error.
//
// Red when Decode, in internal/stored/codec.go, drops the codec's error; and when
// FromContext, in control.go, returns true whatever it found.
func TestPeers_P21_AnotherTypeIsNoZeroValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := redistest.Mini(t)
		client := redistest.Client(t, redistest.NewWire(server).Dial)
		ctx := t.Context()
		opts := corral.Options{TTL: time.Minute}
		for name, caches := range map[string]struct {
			texts   corral.Cache[string, string]
			numbers corral.Cache[string, int]
		}{
			"entries": {redisadapter.New(client, redisadapter.Options[string, string]{}), redisadapter.New(client, redisadapter.Options[string, int]{})},
			"plain":   {redisadapter.Plain(client, redisadapter.Options[string, string]{}), redisadapter.Plain(client, redisadapter.Options[string, int]{})},
		} {
			server.FlushAll()
			texts, numbers := newLoader(t, caches.texts, opts), newLoader(t, caches.numbers, opts)
			if err := texts.Set(ctx, "k", "no number"); err != nil {
				t.Fatal(err)
			}
			src := &source{}
			want(t, name+" of another type", get(t, numbers, "k", src.load), nil, 1, nil)
			if s := numbers.Stats(); s.Undecodable == 0 || s.CacheErrors != 0 {
				t.Errorf("%s: %d values could not be read, %d failures of the cache; want some and none", name, s.Undecodable, s.CacheErrors)
			}
			want(t, name+" written over", get(t, numbers, "k", src.load), nil, 1, nil)
			overwriteWithList(t, client, server.Keys())
			want(t, name+" where Redis has a list", get(t, numbers, "k", src.load), nil, 2, nil)
			want(t, name+" written over the list", get(t, numbers, "k", src.load), nil, 2, nil)
		}
		l := memLoader(t, opts)
		_, err := l.GetOrLoad(ctx, "k", func(ctx context.Context, _ string) (int, error) {
			if c, ok := corral.FromContext[string](ctx); ok || c != nil {
				t.Error("a load of numbers has a control for texts")
			}
			return 0, errSource
		})
		if !errors.Is(err, errSource) {
			t.Error(err)
		}
	})
}

func overwriteWithList(t *testing.T, client *redis.Client, names []string) {
	t.Helper()
	if len(names) != 1 {
		t.Fatalf("Redis holds %q, want the entry", names)
	}
	client.Del(t.Context(), names[0])
	if err := client.LPush(t.Context(), names[0], "x").Err(); err != nil {
		t.Fatal(err)
	}
}

// P22, the second half: what the store says of an entry's life decides about its
// freshness, and a step of the wall clock expires or revives it.
//
// Red when get, in access.go, makes every entry as new as its reading; and when
// entry, in write.go, strips LoadedAt of the monotonic clock.
func TestPeers_P22_TheStoresClockDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hoard := &hoarder[string, int]{entries: map[string]*corral.Entry[int]{}}
		l := newLoader(t, hoard, corral.Options{TTL: time.Minute})
		src := &source{}
		get(t, l, "k", src.load)
		time.Sleep(time.Minute)
		get(t, l, "k", src.load)
		src.wantLoads(t, 2)
	})
	// Outside of a bubble, where there is a monotonic clock.
	hoard := &hoarder[string, int]{entries: map[string]*corral.Entry[int]{}}
	get(t, newLoader(t, hoard, corral.Options{TTL: time.Minute}), "k", (&source{}).load)
	if e, _ := hoard.Get(t.Context(), "k"); e.LoadedAt == e.LoadedAt.Round(0) {
		t.Error("LoadedAt has no reading of the monotonic clock")
	}
}

// hoarder is a cache that never lets anything go.
type hoarder[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]*corral.Entry[V] // guarded by mu
}

func (h *hoarder[K, V]) Get(_ context.Context, key K) (*corral.Entry[V], error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.entries[key], nil
}

func (h *hoarder[K, V]) Set(_ context.Context, key K, e *corral.Entry[V]) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.entries[key] = e
	return nil
}

func (h *hoarder[K, V]) Delete(_ context.Context, key K) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.entries, key)
	return nil
}
