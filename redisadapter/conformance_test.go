package redisadapter_test

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/bytestore"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
)

// bench is the store under the conformance suite.
type bench[K comparable, V any] struct {
	server *miniredis.Miniredis
	wire   *redistest.Wire
	client *redis.Client
	again  func()         // makes another run of the server
	name   func(K) string // the server's key of a key
}

func (b *bench[K, V]) start(t *testing.T) redis.UniversalClient {
	b.server, b.wire, b.client = mini(t)
	b.again = redistest.Tells(t, b.server)
	return b.client
}

// another returns a client as another process has it.
func (b *bench[K, V]) another(t *testing.T) redis.UniversalClient {
	return redistest.Client(t, b.wire.Dial)
}

func (b *bench[K, V]) config(c adaptertest.Config[K, V]) adaptertest.Config[K, V] {
	c.Granularity = time.Millisecond
	c.Corrupt = func(t *testing.T, key K, change func([]byte) []byte) {
		name := b.name(key)
		stored, err := b.server.Get(name)
		must(t, err)
		life := b.server.TTL(name)
		must(t, b.server.Set(name, string(change([]byte(stored)))))
		b.server.SetTTL(name, life)
	}
	c.Outage = func(*testing.T) { b.server.SetError("LOADING Redis is loading the dataset in memory") }
	c.Stall = func(t *testing.T) {
		b.wire.Swallow(true)
		t.Cleanup(func() { b.wire.Swallow(false) })
	}
	c.Reincarnate = func(*testing.T) { b.again() }
	return c
}

func TestContract_A6_Conformance(t *testing.T) {
	t.Run("New", func(t *testing.T) { conform(t, redisadapter.Options[string, string]{Prefix: "p"}) })
	t.Run("New, integers as JSON", func(t *testing.T) {
		conform(t, redisadapter.Options[int64, uint32]{Prefix: "p"})
	})
	t.Run("New, bytes as gob", func(t *testing.T) {
		conform(t, redisadapter.Options[string, []byte]{Codec: bytestore.Gob[[]byte]()})
	})
	t.Run("Plain", func(t *testing.T) { conformPlain(t, redisadapter.Options[string, string]{Prefix: "p:"}) })
	t.Run("Plain, integers as JSON", func(t *testing.T) {
		conformPlain(t, redisadapter.Options[int64, uint32]{Prefix: "p:"})
	})
}

func conform[K comparable, V any](t *testing.T, opts redisadapter.Options[K, V]) {
	b := &bench[K, V]{name: redisadapter.Name(opts)}
	adaptertest.Run(t, b.config(adaptertest.Config[K, V]{
		New:   func(t *testing.T) corral.Cache[K, V] { return redisadapter.New(b.start(t), opts) },
		Other: func(t *testing.T) corral.Cache[K, V] { return redisadapter.New(b.another(t), opts) },
	}))
}

func conformPlain[K comparable, V any](t *testing.T, opts redisadapter.Options[K, V]) {
	b := &bench[K, V]{name: redisadapter.PlainName(opts)}
	adaptertest.Run(t, b.config(adaptertest.Config[K, V]{
		Plain: true,
		New:   func(t *testing.T) corral.Cache[K, V] { return redisadapter.Plain(b.start(t), opts) },
		Other: func(t *testing.T) corral.Cache[K, V] { return redisadapter.Plain(b.another(t), opts) },
		Endless: func(t *testing.T, key K, value V) {
			data, err := bytestore.DefaultCodec[V]().Append(nil, value)
			must(t, err)
			must(t, b.client.Set(t.Context(), b.name(key), data, 0).Err())
		},
	}))
}
