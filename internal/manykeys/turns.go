package manykeys

import (
	"sync"

	"github.com/corralcache/corral/internal/bounded"
)

// atOnce is how many single calls run at the same time where a cache takes one key
// at a time.
const atOnce = 16

// InTurns calls f for every key, some at a time, and returns its errors. A panic of
// the cache that whose names, or exited for a Goexit, which here nobody else would
// hear of, is the error of its key.
func InTurns[K comparable](keys []K, whose string, exited error, f func(i int) error) error {
	errs := AtOnce(len(keys), atOnce, whose, exited, f)
	return Each(keys, func(i int) error { return errs[i] })
}

// AtOnce calls f with each number below n, at most so many at a time, and returns
// the error of each, as InTurns does for keys.
func AtOnce(n, most int, whose string, exited error, f func(i int) error) []error {
	errs := make([]error, n)
	room := make(chan struct{}, most)
	var all sync.WaitGroup
	for i := range n {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			errs[i] = exited // unless f returns
			defer bounded.Recover(whose, &errs[i])
			errs[i] = f(i)
		})
	}
	all.Wait()
	return errs
}
