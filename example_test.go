package corral_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

func ExampleNew() {
	cache := memadapter.New[string, int]()
	_, err := corral.New(cache, corral.Options{TTL: time.Minute, Jitter: 1.5})
	fmt.Println(err)

	var wrong *corral.OptionError
	fmt.Println(errors.As(err, &wrong), wrong.Field)
	// Output:
	// corral: Options.Jitter is 1.5: it must be from 0 to 1
	// true Options.Jitter
}

func ExampleLoader_GetOrLoad() {
	squares, err := corral.New(memadapter.New[int, int](), corral.Options{TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	square := func(ctx context.Context, n int) (int, error) {
		fmt.Println("loading", n)
		return n * n, nil
	}
	var callers sync.WaitGroup
	for range 100 {
		callers.Go(func() {
			if v, err := squares.GetOrLoad(context.Background(), 12, square); err != nil || v != 144 {
				log.Fatal(v, err)
			}
		})
	}
	callers.Wait()
	// Output: loading 12
}

// A load that fails gives its error, as it is, to everybody who waited for it.
// That the source has no value can be remembered.
func ExampleLoader_GetOrLoad_notFound() {
	users, err := corral.New(memadapter.New[string, string](), corral.Options{
		TTL:       time.Minute,
		AbsentTTL: 10 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	load := func(ctx context.Context, id string) (string, error) {
		fmt.Println("asking the source")
		return "", fmt.Errorf("user %q: %w", id, corral.ErrNotFound)
	}
	for range 2 {
		_, err := users.GetOrLoad(context.Background(), "nobody", load)
		fmt.Println(errors.Is(err, corral.ErrNotFound))
	}
	// Output:
	// asking the source
	// true
	// true
}

// A value whose TTL is over is served at once; its refresh runs meanwhile.
func ExampleLoader_Lookup() {
	ctx := context.Background()
	cache := memadapter.New[string, string]()
	err := cache.Set(ctx, "motd", &corral.Entry[string]{
		Value:    "hello",
		LoadedAt: time.Now().Add(-90 * time.Second),
		TTL:      time.Minute,
		Keep:     time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := corral.New(cache, corral.Options{TTL: time.Minute, StaleFor: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	release := make(chan struct{})
	r, err := l.Lookup(ctx, "motd", func(context.Context, string) (string, error) {
		<-release // however long this takes
		return "good day", nil
	})
	fmt.Println(r.Value, r.Source, r.Age.Round(time.Second), err)

	close(release)
	v, err := l.Refresh(ctx, "motd", func(context.Context, string) (string, error) { return "good day", nil })
	fmt.Println(v, err)
	// Output:
	// hello stale 1m30s <nil>
	// good day <nil>
}

func ExampleResult_CacheStatus() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	load := func(context.Context, string) (int, error) { return 42, nil }
	r, err := l.Lookup(ctx, "answer", load)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Cache-Status:", r.CacheStatus())
	r, err = l.Lookup(ctx, "answer", load)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("Cache-Status:", r.CacheStatus())
	// Output:
	// Cache-Status: corral; fwd=uri-miss; stored; ttl=3599
	// Cache-Status: corral; hit; ttl=3599
}

func ExampleLoader_Refresh() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	version := 0
	load := func(context.Context, string) (int, error) {
		version++
		return version, nil
	}
	for range 2 {
		v, err := l.GetOrLoad(ctx, "row", load)
		fmt.Println(v, err)
	}
	v, err := l.Refresh(ctx, "row", load)
	fmt.Println(v, err)
	// Output:
	// 1 <nil>
	// 1 <nil>
	// 2 <nil>
}

func ExampleLoader_Set() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, string](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	if err := l.Set(ctx, "ann", "ann@example.org"); err != nil {
		log.Fatal(err)
	}
	v, err := l.GetOrLoad(ctx, "ann", func(context.Context, string) (string, error) {
		return "", errors.New("never called")
	})
	fmt.Println(v, err)
	// Output: ann@example.org <nil>
}

// A load that was under way when the key was deleted gives its callers what it
// read, and is not stored.
func ExampleLoader_Delete() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, string](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	row := "old"
	v, err := l.GetOrLoad(ctx, "row", func(context.Context, string) (string, error) {
		read := row
		row = "new" // somebody writes to the source while the load is on its way
		return read, l.Delete(ctx, "row")
	})
	fmt.Println(v, err)
	v, err = l.GetOrLoad(ctx, "row", func(context.Context, string) (string, error) { return row, nil })
	fmt.Println(v, err)
	// Output:
	// old <nil>
	// new <nil>
}

func ExampleLoader_InFlight() {
	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	_, err = l.GetOrLoad(context.Background(), "report", func(context.Context, string) (int, error) {
		for key, flight := range l.InFlight() {
			fmt.Println(key, flight.Waiters, time.Since(flight.Since) < time.Hour)
		}
		return 1, nil
	})
	fmt.Println(err)
	// Output:
	// report 1 true
	// <nil>
}

func ExampleLoader_Stats() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	for range 10 {
		if _, err := l.GetOrLoad(ctx, "answer", func(context.Context, string) (int, error) { return 42, nil }); err != nil {
			log.Fatal(err)
		}
	}
	s := l.Stats()
	fmt.Println(s.Hits, "hits,", s.Misses, "miss,", s.Loads, "load")
	// Output: 9 hits, 1 miss, 1 load
}

func ExampleHistogram_Bound() {
	var h corral.Histogram
	fmt.Println(h.Bound(0), h.Bound(10), h.Bound(20))
	// Output: 1µs 1.024ms 1.048576s
}

func ExampleLoader_Close() {
	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	// Loads with callers have this long to land.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(l.Close(ctx))

	_, err = l.GetOrLoad(ctx, "answer", func(context.Context, string) (int, error) { return 42, nil })
	fmt.Println(err)
	// Output:
	// <nil>
	// corral: the loader is closed
}

func ExampleChain() {
	named := func(name string) corral.Middleware[string, int] {
		return func(next corral.LoadFunc[string, int]) corral.LoadFunc[string, int] {
			return func(ctx context.Context, key string) (int, error) {
				fmt.Println("enter", name)
				defer fmt.Println("leave", name)
				return next(ctx, key)
			}
		}
	}
	load := func(context.Context, string) (int, error) {
		fmt.Println("load")
		return 42, nil
	}
	v, err := corral.Chain(load, named("trace"), named("retry"))(context.Background(), "answer")
	fmt.Println(v, err)
	// Output:
	// enter trace
	// enter retry
	// load
	// leave retry
	// leave trace
	// 42 <nil>
}

// Hooks that are nil cost nothing.
func ExampleHooks() {
	l, err := corral.New(memadapter.New[string, int](), corral.Options{
		TTL: time.Hour,
		Hooks: corral.Hooks{
			Load: func(_ context.Context, e corral.Event) { fmt.Println(e.Op, e.Key, e.Err) },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = l.GetOrLoad(context.Background(), "answer", func(context.Context, string) (int, error) {
		return 0, errors.New("source is down")
	})
	fmt.Println(err)
	// Output:
	// load answer source is down
	// source is down
}

// A load that panics is an error to everybody who waited for it, and the key
// works again at once.
func ExamplePanicError() {
	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	_, err = l.GetOrLoad(context.Background(), "answer", func(context.Context, string) (int, error) {
		panic("not today")
	})
	var crash *corral.PanicError
	fmt.Println(errors.As(err, &crash), crash.Value)
	// Output: true not today
}

// readOnly is a cache that cannot delete.
type readOnly struct{ corral.Cache[string, int] }

func (readOnly) Delete(_ context.Context, key string) error {
	if key == "draft" {
		return nil
	}
	return errors.New("read-only replica")
}

// A Delete says which of its keys it could not delete. The error's text names
// none: keys do not belong in logs.
func ExampleKeyErrors() {
	l, err := corral.New(readOnly{memadapter.New[string, int]()}, corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	err = l.Delete(context.Background(), "draft", "page", "index")
	fmt.Println(err)

	var failed *corral.KeyErrors[string]
	if errors.As(err, &failed) {
		fmt.Println(failed.Errors["draft"], failed.Errors["page"])
	}
	// Output:
	// corral: 2 keys failed: 2 × read-only replica
	// <nil> read-only replica
}
