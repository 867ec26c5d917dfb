package corral_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// A load that was not written for a Loader finds no control and works all the
// same.
func ExampleFromContext() {
	load := func(ctx context.Context, _ string) (int, error) {
		_, inside := corral.FromContext[int](ctx)
		fmt.Println("inside a load:", inside)
		return 42, nil
	}
	_, err := load(context.Background(), "answer")
	fmt.Println(err)

	l, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	_, err = l.GetOrLoad(context.Background(), "answer", load)
	fmt.Println(err)
	// Output:
	// inside a load: false
	// <nil>
	// inside a load: true
	// <nil>
}

// A page is made of parts, each with a load of its own. A part that may not be
// kept says so for the page too.
func ExampleFromContextKey() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, string](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	greeting := func(ctx context.Context, _ string) (string, error) {
		if page, ok := corral.FromContextKey[string, string](ctx, "page"); ok {
			page.NoStore()
		}
		return "hello, Ann", nil
	}
	page := func(ctx context.Context, _ string) (string, error) {
		part, err := l.GetOrLoad(ctx, "greeting", greeting)
		return "<p>" + part, err
	}
	for _, key := range []string{"page", "greeting"} {
		r, err := l.Lookup(ctx, key, page)
		fmt.Println(r.Value, r.CacheStatus(), err)
	}
	// Output:
	// <p>hello, Ann corral; fwd=uri-miss; ttl=3599 <nil>
	// hello, Ann corral; hit; ttl=3599 <nil>
}

// The source knows how long its answer holds.
func ExampleControl_SetTTL() {
	l, err := corral.New(memadapter.New[string, string](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	r, err := l.Lookup(context.Background(), "token", func(ctx context.Context, _ string) (string, error) {
		token, life := "s3cr3t", 90*time.Second
		if c, ok := corral.FromContext[string](ctx); ok {
			c.SetTTL(life / 2)
		}
		return token, nil
	})
	fmt.Println(r.TTL.Round(time.Second), err)
	// Output: 45s <nil>
}

func ExampleControl_NoStore() {
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, string](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	partial := func(ctx context.Context, _ string) (string, error) {
		if c, ok := corral.FromContext[string](ctx); ok {
			c.NoStore() // one of three shards did not answer
		}
		return "2 results", nil
	}
	for range 2 {
		r, err := l.Lookup(ctx, "search", partial)
		fmt.Println(r.Value, r.Source, r.Stored, err)
	}
	// Output:
	// 2 results loaded false <nil>
	// 2 results loaded false <nil>
}

// A load can ask the source whether what is cached still holds, and renew it
// without fetching it again.
func ExampleControl_Previous() {
	type page struct{ Text, ETag string }
	ctx := context.Background()
	l, err := corral.New(memadapter.New[string, page](), corral.Options{TTL: time.Hour})
	if err != nil {
		log.Fatal(err)
	}
	fetch := func(ctx context.Context, _ string) (page, error) {
		const current = "v1" // what the source would answer to If-None-Match
		if c, ok := corral.FromContext[page](ctx); ok {
			if old, ok := c.Previous(); ok && old.ETag == current {
				fmt.Println("not modified")
				return page{}, corral.ErrNotModified
			}
		}
		fmt.Println("fetched")
		return page{"hello", current}, nil
	}
	for range 2 {
		p, err := l.Refresh(ctx, "/", fetch)
		fmt.Println(p.Text, err)
	}
	// Output:
	// fetched
	// hello <nil>
	// not modified
	// hello <nil>
}
