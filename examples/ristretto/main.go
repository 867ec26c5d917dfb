// Command ristretto puts a Loader over a Ristretto cache that its program
// already has. It shows that 1,000 callers of a key that is not cached are one
// load, and that a stale value is served at once while one refresh runs behind.
//
//	go run ./examples/ristretto
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

type User struct{ Name string }

// source is a database that takes 100 ms for an answer, and counts.
type source struct{ queries atomic.Int64 }

func (s *source) user(_ context.Context, id int) (User, error) {
	s.queries.Add(1)
	time.Sleep(100 * time.Millisecond)
	return User{Name: fmt.Sprintf("user %d", id)}, nil
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	// The cache you have.
	cache, err := ristretto.NewCache(&ristretto.Config[int, User]{
		NumCounters: 100_000, MaxCost: 10_000, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return err
	}
	defer cache.Close()

	// The Loader around it.
	users, err := corral.New(ristrettoadapter.Plain(cache, ristrettoadapter.Options[User]{}), corral.Options{
		TTL:      2 * time.Second,
		StaleFor: time.Minute,
	})
	if err != nil {
		return err
	}
	defer users.Close(ctx) // before the cache

	var db source
	if err := stampede(ctx, users, db.user); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d callers at once, source queries: %d\n", callers, db.queries.Load())
	lookups(ctx, users, db.user, out)
	fmt.Fprintf(out, "source queries: %d\n", db.queries.Load())
	return nil
}

const callers = 1000

// stampede has all callers ask for one key at once.
func stampede(ctx context.Context, users *corral.Loader[int, User], load corral.LoadFunc[int, User]) error {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { _, errs[i] = users.GetOrLoad(ctx, 42, load) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lookups follows one key through its life. A ttl below zero in Cache-Status
// says for how long the value has been stale.
func lookups(ctx context.Context, users *corral.Loader[int, User], load corral.LoadFunc[int, User], out io.Writer) {
	show := func(when string) {
		start := time.Now()
		r, err := users.Lookup(ctx, 7, load)
		took := time.Since(start).Truncate(10 * time.Millisecond)
		fmt.Fprintf(out, "%-13s %v, %v, in %v, error %v; Cache-Status: %s\n", when, r.Value, r.Source, took, err, r.CacheStatus())
	}
	show("cold")
	show("fresh")
	time.Sleep(2 * time.Second) // the TTL
	show("past its TTL")
	time.Sleep(200 * time.Millisecond) // the refresh
	show("refreshed")
}
