package bytestore_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/bytestore"
)

// Shelf is a store of bytes like any other: a map with a lock.
type Shelf struct {
	mu    sync.Mutex
	bytes map[string][]byte // guarded by mu
}

func (s *Shelf) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.bytes[key]
	return value, ok, nil
}

func (s *Shelf) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes[key] = value
	return nil
}

func (s *Shelf) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bytes, key)
	return nil
}

type User struct{ Name string }

// A map becomes a cache. The result goes to corral.New.
func Example() {
	ctx := context.Background()
	users := bytestore.New(&Shelf{bytes: map[string][]byte{}}, bytestore.Options[int, User]{Prefix: "users"})
	fmt.Println(users.Check())

	ann := &corral.Entry[User]{
		Value: User{Name: "Ann"}, LoadedAt: time.Now(), TTL: time.Minute, Keep: time.Hour,
	}
	fmt.Println(users.Set(ctx, 42, ann))
	e, err := users.Get(ctx, 42)
	fmt.Println(e.Value.Name, e.TTL, err)
	// Output:
	// <nil>
	// <nil>
	// Ann 1m0s <nil>
}

// A key that is no string or integer needs a function that makes it one.
func ExampleNew() {
	type point struct{ X, Y int }
	store := &Shelf{bytes: map[string][]byte{}}
	tiles := bytestore.New(store, bytestore.Options[point, []byte]{
		Prefix: "tiles",
		Key:    func(p point) string { return fmt.Sprintf("%d,%d", p.X, p.Y) },
	})
	tile := &corral.Entry[[]byte]{Value: []byte("sea"), LoadedAt: time.Now(), TTL: time.Hour, Keep: time.Hour}
	fmt.Println(tiles.Set(context.Background(), point{3, 4}, tile))
	for key := range store.bytes {
		fmt.Println(key)
	}
	// Output:
	// <nil>
	// 5:tiles:3,4
}

func ExampleCache_Check() {
	type point struct{ X, Y int }
	tiles := bytestore.New(&Shelf{}, bytestore.Options[point, []byte]{})
	fmt.Println(tiles.Check())
	// Output:
	// corral: bytestore.Options.Key is nil: required unless the key's kind is string or integer; the key is a bytestore_test.point
}

func ExampleCache_Delete() {
	ctx := context.Background()
	users := bytestore.New(&Shelf{bytes: map[string][]byte{}}, bytestore.Options[string, User]{})
	_ = users.Set(ctx, "ann", &corral.Entry[User]{LoadedAt: time.Now(), Absent: true, Keep: time.Minute})
	e, _ := users.Get(ctx, "ann")
	fmt.Println(e.Absent)
	fmt.Println(users.Delete(ctx, "ann"))
	e, err := users.Get(ctx, "ann")
	fmt.Println(e, err)
	// Output:
	// true
	// <nil>
	// <nil> <nil>
}

func ExampleCache_Far() {
	users := bytestore.New(&Shelf{}, bytestore.Options[string, User]{})
	fmt.Println(users.Far())
	// Output: true
}

// An adapter of its own, for a store that can do more than a Store says, writes
// the same bytes.
func ExampleEnvelope_Seal() {
	now := time.Now()
	clock := bytestore.Instant{Local: now, Store: now.UnixNano()}
	envelope := bytestore.Envelope[User]{Codec: bytestore.JSON[User]()}

	e := &corral.Entry[User]{Value: User{Name: "Ann"}, LoadedAt: now, TTL: time.Minute, Keep: time.Hour}
	data, err := envelope.Seal("users/42", e, clock)
	fmt.Println(len(data), err)
	// Output: 46 <nil>
}

// What was stored under one key is not read under another.
func ExampleEnvelope_Open() {
	now := time.Now()
	clock := bytestore.Instant{Local: now, Store: now.UnixNano()}
	envelope := bytestore.Envelope[User]{Codec: bytestore.JSON[User]()}
	e := &corral.Entry[User]{Value: User{Name: "Ann"}, LoadedAt: now.Add(-time.Second), TTL: time.Minute, Keep: time.Hour}
	data, _ := envelope.Seal("users/42", e, clock)

	back, err := envelope.Open("users/42", data, clock)
	fmt.Println(back.Value.Name, now.Sub(back.LoadedAt), err)
	_, err = envelope.Open("users/43", data, clock)
	fmt.Println(err)
	// Output:
	// Ann 1s <nil>
	// corral: stored value cannot be read: stored under another key
}

func ExampleDefaultCodec() {
	text, _ := bytestore.DefaultCodec[string]().Append(nil, "as it is")
	doc, _ := bytestore.DefaultCodec[User]().Append(nil, User{Name: "Ann"})
	fmt.Printf("%s %s\n", text, doc)
	// Output: as it is {"Name":"Ann"}
}

func ExampleJSON() {
	codec := bytestore.JSON[User]()
	data, _ := codec.Append([]byte("before "), User{Name: "Ann"})
	fmt.Printf("%s\n", data)
	// Output: before {"Name":"Ann"}
}

func ExampleGob() {
	codec := bytestore.Gob[User]()
	data, _ := codec.Append(nil, User{Name: "Ann"})
	ann, err := codec.Decode(data)
	fmt.Println(ann.Name, err)
	// Output: Ann <nil>
}

func ExampleBytes() {
	data, _ := bytestore.Bytes[[]byte]().Append(nil, []byte{0, 255})
	fmt.Println(data)
	// Output: [0 255]
}

func ExampleString() {
	data, _ := bytestore.String[string]().Append(nil, "\xff")
	fmt.Println(data)
	// Output: [255]
}
