package layered_test

import (
	"math"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/layered"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/ristrettoadapter"
)

// A6. Left out are the sub-tests of a store that fails, hangs or holds bytes
// that nobody can read: near goes on serving, as it should.
func TestContract_A6_Conformance(t *testing.T) {
	t.Run("memory over shared memory", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[string, string]{
			New: func(*testing.T) corral.Cache[string, string] {
				far := memadapter.NewShared[string, string](2 * time.Second).Process()
				return layered.New(memadapter.New[string, string](), far, layered.Options{})
			},
		})
	})
	t.Run("Ristretto over shared memory", func(t *testing.T) {
		var inner []any
		adaptertest.Run(t, adaptertest.Config[string, string]{
			Linger: 3 * time.Second,
			New: func(t *testing.T) corral.Cache[string, string] {
				near := ristrettoadapter.New(openRistretto[string](t), ristrettoadapter.Options[string]{})
				far := new(memadapter.Shared[string, string]).Process()
				inner = []any{near, far}
				return layered.New(near, far, layered.Options{})
			},
			Inner: func() []any { return inner },
		})
	})
	t.Run("Ristretto over Redis", func(t *testing.T) {
		var again func()
		adaptertest.Run(t, adaptertest.Config[string, []byte]{
			Granularity: time.Millisecond,
			Linger:      3 * time.Second,
			Reincarnate: func(*testing.T) { again() },
			New: func(t *testing.T) corral.Cache[string, []byte] {
				near := ristrettoadapter.New(openRistretto[[]byte](t), ristrettoadapter.Options[[]byte]{})
				server := redistest.Mini(t)
				again = redistest.Tells(t, server)
				client := redistest.Client(t, redistest.NewWire(server).Dial)
				far := redisadapter.New(client, redisadapter.Options[string, []byte]{Prefix: "p"})
				return layered.New(near, far, layered.Options{Unheard: math.MaxInt64})
			},
		})
	})
}
