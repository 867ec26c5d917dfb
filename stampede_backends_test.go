package corral_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
	"github.com/redis/go-redis/v9"
)

// backend is a cache that the promises must hold over.
type backend[V any] struct {
	name string
	open func(t *testing.T) corral.Cache[string, V]
}

func backends[V any]() []backend[V] {
	return []backend[V]{
		{"memadapter", func(*testing.T) corral.Cache[string, V] { return memadapter.New[string, V]() }},
		{"memadapter plain", func(*testing.T) corral.Cache[string, V] { return memadapter.Plain[string, V]() }},
		{"ristretto", func(t *testing.T) corral.Cache[string, V] {
			return ristrettoadapter.New(spacious[string, ristrettoadapter.Item[V]](t, 2000), ristrettoadapter.Options[V]{})
		}},
		{"ristretto plain", func(t *testing.T) corral.Cache[string, V] {
			return ristrettoadapter.Plain(spacious[string, V](t, 2000), ristrettoadapter.Options[V]{})
		}},
		{"redis", func(t *testing.T) corral.Cache[string, V] {
			return redisadapter.New(miniClient(t), redisadapter.Options[string, V]{})
		}},
		{"redis plain", func(t *testing.T) corral.Cache[string, V] {
			return redisadapter.Plain(miniClient(t), redisadapter.Options[string, V]{})
		}},
	}
}

// overEach runs test over every backend, each in a bubble of its own.
func overEach[V any](t *testing.T, test func(t *testing.T, cache corral.Cache[string, V])) {
	t.Helper()
	for _, b := range backends[V]() {
		bubble(t, b.name, func(t *testing.T) { test(t, b.open(t)) })
	}
}

func miniClient(t *testing.T) *redis.Client {
	t.Helper()
	return redistest.Client(t, redistest.NewWire(redistest.Mini(t)).Dial)
}

// spacious returns a Ristretto cache with room for everything, that counts the
// use of so many keys.
func spacious[K ristretto.Key, V any](t testing.TB, keys int64) *ristretto.Cache[K, V] {
	t.Helper()
	c, err := ristretto.NewCache(&ristretto.Config[K, V]{
		NumCounters: 10 * keys, MaxCost: 1 << 20, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// crowd makes n calls at once and returns when all have come back.
func crowd(n int, call func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { call(i) })
	}
	all.Wait()
}

// answer is what a call came to and how long its caller waited.
type answer struct {
	value  int
	err    error
	waited time.Duration
}

// ask calls GetOrLoad and takes the time.
func ask(ctx context.Context, l *corral.Loader[string, int], key string, load corral.LoadFunc[string, int]) answer {
	start := time.Now()
	v, err := l.GetOrLoad(ctx, key, load)
	return answer{v, err, time.Since(start)}
}

// askAll is ask by n callers at once.
func askAll(ctx context.Context, n int, l *corral.Loader[string, int], key string, load corral.LoadFunc[string, int]) []answer {
	answers := make([]answer, n)
	crowd(n, func(i int) { answers[i] = ask(ctx, l, key, load) })
	return answers
}

// wantAll fails unless every answer is want.
func wantAll(t *testing.T, answers []answer, want answer) {
	t.Helper()
	for i, got := range answers {
		if got != want {
			t.Fatalf("caller %d of %d got %+v, want %+v", i, len(answers), got, want)
		}
	}
}
