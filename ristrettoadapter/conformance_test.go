package ristrettoadapter_test

import (
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// A6: New is swept within 3 s of an entry's end; Plain takes a nanosecond off
// each life.
func TestContract_A6_Conformance(t *testing.T) {
	t.Run("New", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[string, string]{
			Linger: 3 * time.Second,
			New: func(t *testing.T) corral.Cache[string, string] {
				raw := open[*corral.Entry[string]](t, nil)
				return ristrettoadapter.New(raw, ristrettoadapter.Options[string]{})
			},
		})
	})
	t.Run("New, enumerable", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[string, string]{
			Linger: 3 * time.Second,
			New: func(t *testing.T) corral.Cache[string, string] {
				raw := open[*corral.Entry[string]](t, nil)
				return ristrettoadapter.New(raw, ristrettoadapter.Options[string]{Enumerable: true})
			},
		})
	})
	t.Run("New with items, of integers", func(t *testing.T) {
		adaptertest.Run(t, adaptertest.Config[int64, []byte]{
			Linger: 3 * time.Second,
			New: func(t *testing.T) corral.Cache[int64, []byte] {
				raw, err := ristretto.NewCache(&ristretto.Config[int64, ristrettoadapter.Item[[]byte]]{
					NumCounters: 1e4, MaxCost: 1 << 20, BufferItems: 64,
				})
				must(t, err)
				t.Cleanup(raw.Close)
				return ristrettoadapter.New(raw, ristrettoadapter.Options[[]byte]{})
			},
		})
	})
	t.Run("Plain", func(t *testing.T) {
		var raw *ristretto.Cache[string, string]
		adaptertest.Run(t, adaptertest.Config[string, string]{
			Plain: true, Granularity: 1,
			New: func(t *testing.T) corral.Cache[string, string] {
				raw = open[string](t, nil)
				return ristrettoadapter.Plain(raw, ristrettoadapter.Options[string]{})
			},
			Endless: func(t *testing.T, key, value string) {
				raw.Set(key, value, 1)
				raw.Wait()
			},
		})
	})
}
