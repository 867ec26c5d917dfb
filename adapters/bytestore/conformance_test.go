package bytestore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
	"github.com/corralcache/corral/adapters/bytestore"
)

// shaky is a Shelf that can be made to fail or to hang.
type shaky struct {
	*Shelf
	down  atomic.Bool
	stall chan struct{} // nil: answers
}

func (s *shaky) fault() error {
	if s.stall != nil {
		<-s.stall
	}
	if s.down.Load() {
		return errors.New("out of order")
	}
	return nil
}

func (s *shaky) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := s.fault(); err != nil {
		return nil, false, err
	}
	return s.Shelf.Get(ctx, key)
}

func (s *shaky) Set(ctx context.Context, key string, value []byte, life time.Duration) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Shelf.Set(ctx, key, value, life)
}

func (s *shaky) Delete(ctx context.Context, key string) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Shelf.Delete(ctx, key)
}

func TestContract_A6_Conformance(t *testing.T) {
	t.Run("strings", func(t *testing.T) { conform(t, bytestore.Options[string, string]{Prefix: "p"}) })
	t.Run("integers as JSON", func(t *testing.T) { conform(t, bytestore.Options[int64, uint32]{}) })
	t.Run("bytes as gob", func(t *testing.T) {
		conform(t, bytestore.Options[string, []byte]{Codec: bytestore.Gob[[]byte]()})
	})
}

func conform[K comparable, V any](t *testing.T, opts bytestore.Options[K, V]) {
	var store *shaky
	adaptertest.Run(t, adaptertest.Config[K, V]{
		Granularity: time.Nanosecond,
		New: func(*testing.T) corral.Cache[K, V] {
			store = &shaky{Shelf: newShelf()}
			return bytestore.New(store, opts)
		},
		Corrupt: func(t *testing.T, key K, change func([]byte) []byte) {
			name, err := bytestore.New(store, opts).Name(key)
			must(t, err)
			stored, ok, err := store.Shelf.Get(t.Context(), name)
			if !ok || err != nil {
				t.Fatalf("nothing is stored under %q: %v", name, err)
			}
			must(t, store.Shelf.Set(t.Context(), name, change(stored), 0))
		},
		Outage: func(*testing.T) { store.down.Store(true) },
		Stall: func(t *testing.T) {
			store.stall = make(chan struct{})
			t.Cleanup(func() { close(store.stall) })
		},
	})
}
