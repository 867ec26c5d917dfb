package corral_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/ristrettoadapter"
	"github.com/dgraph-io/ristretto/v2"
)

// A Loader around a Ristretto cache that exists, with its values as they are.
func Example() {
	type User struct{ Name string }
	ctx := context.Background()
	var db struct {
		LoadUser corral.LoadFunc[string, User]
	}
	db.LoadUser = func(_ context.Context, id string) (User, error) {
		return User{"Ann, user " + id}, nil
	}
	cache, err := ristretto.NewCache(&ristretto.Config[string, User]{
		NumCounters: 1e5, MaxCost: 1e4, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer cache.Close()

	// cache is the *ristretto.Cache[string, User] that you have, db your source.
	users, err := corral.New(ristrettoadapter.Plain(cache, ristrettoadapter.Options[User]{}), corral.Options{
		TTL:         time.Minute,      // fresh: served, nothing starts
		StaleFor:    10 * time.Minute, // stale: served at once, one refresh runs
		EarlyExpiry: 1,                // keys in use are refreshed before they are stale
	})
	if err != nil {
		log.Fatal(err)
	}
	load := db.LoadUser // made once: a method value made at each call allocates

	user, err := users.GetOrLoad(ctx, "42", load) // 10,000 callers, one load

	closed := users.Close(ctx) // before the cache
	fmt.Println(user.Name, err, closed)
	// Output: Ann, user 42 <nil> <nil>
}
