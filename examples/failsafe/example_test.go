package failsafe_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/examples/failsafe"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
)

// A load that is retried, behind a breaker that all keys share. The retries are
// outside: each attempt asks the breaker, and once it is open they end.
func Example() {
	retry := retrypolicy.NewBuilder[string]().
		HandleIf(failsafe.Failed).
		AbortOnErrors(circuitbreaker.ErrOpen).
		WithMaxRetries(2).
		WithBackoff(time.Millisecond, 10*time.Millisecond).
		ReturnLastFailure(). // callers get the source's own error
		Build()
	breaker := circuitbreaker.NewBuilder[string]().
		HandleIf(failsafe.Failed).
		WithFailureThreshold(4).
		WithDelay(time.Minute).
		Build()

	queries, failures := 0, 1
	source := func(_ context.Context, id int) (string, error) {
		queries++
		if failures > 0 {
			failures--
			return "", errors.New("the source is down")
		}
		return fmt.Sprintf("user %d", id), nil
	}
	load := corral.Chain(source, failsafe.With[int](retry), failsafe.With[int](breaker))

	users, err := corral.New(memadapter.New[int, string](), corral.Options{TTL: time.Minute, StaleIfError: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	get := func(id int) {
		name, err := users.GetOrLoad(context.Background(), id, load)
		fmt.Printf("%q, %v; %d queries so far, breaker %v\n", name, err, queries, breaker.State())
	}
	get(1) // fails once, is tried again
	failures = 1000
	get(2) // three attempts
	get(3) // the fourth failure in a row opens the breaker
	get(4) // the source is left alone
	get(1) // cached
	// Output:
	// "user 1", <nil>; 2 queries so far, breaker closed
	// "", the source is down; 5 queries so far, breaker closed
	// "", circuit breaker open; 6 queries so far, breaker open
	// "", circuit breaker open; 6 queries so far, breaker open
	// "user 1", <nil>; 6 queries so far, breaker open
}
