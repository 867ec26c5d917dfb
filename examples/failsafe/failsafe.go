// Package failsafe runs loads under the policies of failsafe-go: retries, a
// circuit breaker and all others. [With] makes a corral.Middleware of them, in a
// few lines to copy; the Example shows them at work. From this folder:
//
//	go test -v .
package failsafe

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/corralcache/corral"
	"github.com/failsafe-go/failsafe-go"
)

// With returns a middleware that runs loads under the policies, of which the
// first is the outermost. A load gets the context of its attempt, with the values
// of the one that the Loader gave, and an end that a timeout or hedge may set.
//
// A load that panics has failed with a *corral.PanicError, which is what its
// callers get in any case. If the panic passed through a half-open breaker, that
// would wait for the outcome of the attempt, and as many panics as it lets
// attempts through would keep it half-open for ever.
func With[K comparable, V any](policies ...failsafe.Policy[V]) corral.Middleware[K, V] {
	executor := failsafe.With(policies...)
	return func(load corral.LoadFunc[K, V]) corral.LoadFunc[K, V] {
		return func(ctx context.Context, key K) (V, error) {
			return executor.WithContext(ctx).GetWithExecution(func(attempt failsafe.Execution[V]) (v V, err error) {
				defer func() {
					if p := recover(); p != nil {
						err = &corral.PanicError{Value: p, Stack: debug.Stack()}
					}
				}()
				return load(attempt.Context(), key)
			})
		}
	}
}

// Failed is what retries and breakers should handle: a load that did not get
// its answer. That the source has no value, or still has the same, is an answer;
// and that nobody wants it any longer says nothing of the source.
func Failed[V any](_ V, err error) bool {
	switch {
	case errors.Is(err, corral.ErrNotFound), errors.Is(err, corral.ErrNotModified), errors.Is(err, context.Canceled):
		return false
	}
	return err != nil
}
