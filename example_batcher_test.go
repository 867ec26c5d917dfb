package corral_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// Misses of several keys at about the same time are one query.
func ExampleNewBatcher() {
	users, err := corral.New(memadapter.New[string, string](), corral.Options{TTL: time.Minute})
	if err != nil {
		panic(err)
	}
	load := corral.NewBatcher(func(_ context.Context, ids []string) (map[string]string, error) {
		fmt.Println("SELECT … WHERE id IN", slices.Sorted(slices.Values(ids)))
		names := make(map[string]string)
		for _, id := range ids {
			names[id] = strings.ToUpper(id)
		}
		return names, nil
	}, corral.BatchOptions{Window: time.Hour, MaxKeys: 3}) // the third key starts the query

	var all sync.WaitGroup
	for _, id := range []string{"ann", "bob", "eve"} {
		all.Go(func() { users.GetOrLoad(context.Background(), id, load) })
	}
	all.Wait()
	name, err := users.GetOrLoad(context.Background(), "bob", load)
	fmt.Println(name, err)
	// Output:
	// SELECT … WHERE id IN [ann bob eve]
	// BOB <nil>
}
