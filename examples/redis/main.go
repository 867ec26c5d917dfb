// Command redis puts Loaders over a go-redis client that its program already
// has. It shows that 1,000 callers of a key that is not cached are one load, that
// another process over the same Redis, or this one after a restart, loads
// nothing, and that a stale value is served at once while one refresh runs
// behind.
//
//	go run ./examples/redis                        # with a Redis of its own, in memory
//	go run ./examples/redis -addr localhost:6379   # with yours: it writes and deletes two keys
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
	"github.com/redis/go-redis/v9"
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
	addr := flag.String("addr", "", "host:port of a Redis; empty for one of its own")
	flag.Parse()
	if *addr == "" {
		server, err := miniredis.Run()
		if err != nil {
			log.Fatal(err)
		}
		defer server.Close()
		*addr = server.Addr()
	}
	// The client you have.
	client := redis.NewClient(&redis.Options{Addr: *addr})
	defer client.Close()
	if err := run(context.Background(), client, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, client redis.UniversalClient, out io.Writer) (err error) {
	users, err := newLoader(client)
	if err != nil {
		return err
	}
	defer users.Close(ctx) // before the client
	other, err := newLoader(client)
	if err != nil {
		return err
	}
	defer other.Close(ctx)
	if err := users.Delete(ctx, 7, 42); err != nil { // left by a run that was killed
		return err
	}
	defer func() { err = errors.Join(err, users.Delete(ctx, 7, 42)) }()

	var db source
	if err := stampede(ctx, users, db.user); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d callers at once, source queries: %d\n", callers, db.queries.Load())
	lookups(ctx, users, other, db.user, out)
	fmt.Fprintf(out, "source queries: %d\n", db.queries.Load())
	return nil
}

// newLoader returns what each process that shares the Redis has.
func newLoader(client redis.UniversalClient) (*corral.Loader[int, User], error) {
	cache := redisadapter.New(client, redisadapter.Options[int, User]{Prefix: "corral-example-users"})
	return corral.New(cache, corral.Options{TTL: 2 * time.Second, StaleFor: time.Minute})
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

// lookups follows one key through its life, as two processes see it. A ttl below
// zero in Cache-Status says for how long the value has been stale.
func lookups(ctx context.Context, users, other *corral.Loader[int, User], load corral.LoadFunc[int, User], out io.Writer) {
	show := func(when string, from *corral.Loader[int, User]) {
		start := time.Now()
		r, err := from.Lookup(ctx, 7, load)
		took := time.Since(start).Truncate(10 * time.Millisecond)
		fmt.Fprintf(out, "%-15s %v, %v, in %v, error %v; Cache-Status: %s\n", when, r.Value, r.Source, took, err, r.CacheStatus())
	}
	show("cold", users)
	show("fresh", users)
	show("another process", other)
	time.Sleep(2 * time.Second) // the TTL
	show("past its TTL", users)
	time.Sleep(200 * time.Millisecond) // the refresh
	show("refreshed", other)
}
