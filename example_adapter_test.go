package corral_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/adaptertest"
)

// SyncMap makes a cache of a sync.Map. It never evicts.
type SyncMap[V any] struct{ m sync.Map }

func (s *SyncMap[V]) Get(_ context.Context, key string) (*corral.Entry[V], error) {
	found, _ := s.m.Load(key)
	e, _ := found.(*corral.Entry[V])
	return e, nil // nil and nil is a miss
}

func (s *SyncMap[V]) Set(ctx context.Context, key string, e *corral.Entry[V]) error {
	left := e.Keep
	if !e.LoadedAt.IsZero() { // zero: nobody knows how old it is
		left -= time.Since(e.LoadedAt)
	}
	if left <= 0 {
		return s.Delete(ctx, key)
	}
	s.m.Store(key, e)
	time.AfterFunc(left, func() { s.m.CompareAndDelete(key, e) })
	return nil
}

func (s *SyncMap[V]) Delete(_ context.Context, key string) error {
	s.m.Delete(key)
	return nil
}

func TestSyncMap(t *testing.T) {
	adaptertest.Run(t, adaptertest.Config[string, int]{
		New: func(*testing.T) corral.Cache[string, int] { return new(SyncMap[int]) },
	})
}

// An adapter is three methods over a store that exists.
func ExampleCache() {
	l, err := corral.New(new(SyncMap[int]), corral.Options{TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	v, err := l.GetOrLoad(context.Background(), "answer", func(context.Context, string) (int, error) { return 42, nil })
	fmt.Println(v, err)
	// Output: 42 <nil>
}
