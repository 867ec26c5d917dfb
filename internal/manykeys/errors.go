// Package manykeys is what caches have in common whose calls are about many keys.
package manykeys

import (
	"errors"
	"fmt"

	"github.com/corralcache/corral"
)

// Failures gathers the errors of single keys; nil has none.
type Failures[K comparable] map[K]error

// Add notes the error of a key.
func (f *Failures[K]) Add(key K, err error) {
	if *f == nil {
		*f = Failures[K]{}
	}
	(*f)[key] = err
}

// Err returns a [*corral.KeyErrors] of what was added, nil if nothing was.
func (f Failures[K]) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &corral.KeyErrors[K]{Errors: f}
}

// Each calls f for every key and returns its errors.
func Each[K comparable](keys []K, f func(i int) error) error {
	var failed Failures[K]
	for i, key := range keys {
		if err := f(i); err != nil {
			failed.Add(key, err)
		}
	}
	return failed.Err()
}

// Of returns what the error of a call with many keys says of one of them: what a
// KeyErrors names, and of the rest nothing, unless there is more to err.
func Of[K comparable](err error, key K) error {
	var some *corral.KeyErrors[K]
	if !errors.As(err, &some) || some == nil {
		return err
	}
	if named, ok := some.Errors[key]; ok || err == error(some) {
		return named
	}
	return err
}

// Join returns what several calls with the same keys say together: of each key what
// any of them says.
func Join[K comparable](keys []K, errs ...error) error {
	if errors.Join(errs...) == nil {
		return nil
	}
	return Each(keys, func(i int) error {
		said := make([]error, len(errs))
		for j, err := range errs {
			said[j] = Of(err, keys[i])
		}
		return errors.Join(said...)
	})
}

// Partial reports whether a call may have gone well for some of its keys.
func Partial[K comparable](err error) bool {
	_, ok := err.(*corral.KeyErrors[K])
	return err == nil || ok
}

// Fit returns an error of a package unless there are as many of something as keys.
func Fit(pkg string, keys int, what string, n int) error {
	if n == keys {
		return nil
	}
	return fmt.Errorf("%s: %d %s for %d keys: want as many", pkg, n, what, keys)
}
