package corral_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// The cache is read for all keys at once, and the load gets those that it has not.
// A key that the load leaves out is absent. One that failed is in the error, and
// takes no other with it.
func ExampleLoader_GetOrLoadMany() {
	prices, err := corral.New(memadapter.New[string, int](), corral.Options{TTL: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	load := func(ctx context.Context, ids []string) (map[string]int, error) {
		fmt.Println("loading", slices.Sorted(slices.Values(ids)))
		values := map[string]int{}
		failed := map[string]error{}
		for _, id := range ids {
			switch id {
			case "unicorn": // there is none
			case "gold":
				failed[id] = errors.New("the exchange is closed")
			default:
				values[id] = len(id)
			}
		}
		if len(failed) > 0 {
			return values, &corral.KeyErrors[string]{Errors: failed}
		}
		return values, nil
	}
	ctx := context.Background()
	got, err := prices.GetOrLoadMany(ctx, []string{"tin", "lead"}, load)
	fmt.Println(got, err)
	got, err = prices.GetOrLoadMany(ctx, []string{"zinc", "tin", "gold", "unicorn", "lead"}, load)
	fmt.Println(got)

	var failed *corral.KeyErrors[string]
	if errors.As(err, &failed) {
		fmt.Println(failed.Errors)
	}
	// Output:
	// loading [lead tin]
	// map[lead:4 tin:3] <nil>
	// loading [gold unicorn zinc]
	// map[lead:4 tin:3 zinc:4]
	// map[gold:the exchange is closed]
}
