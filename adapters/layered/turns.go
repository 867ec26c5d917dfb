package layered

import (
	"errors"
	"fmt"
	"sync"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/bounded"
)

// atOnce is how many single calls run at the same time over a far cache that takes
// one key at a time.
const atOnce = 16

// inTurns runs f for every key, atOnce at a time. A panic or a Goexit of far,
// which here nobody else would hear of, is the error of its key.
func inTurns[K comparable](keys []K, f func(i int) error) error {
	errs := make([]error, len(keys))
	room := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range keys {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			errs[i] = errExited // unless f returns
			defer bounded.Recover("the far cache", &errs[i])
			errs[i] = f(i)
		})
	}
	all.Wait()
	return ofEach(keys, func(i int) error { return errs[i] })
}

// ofEach returns f's errors as a [*corral.KeyErrors]; nil for none.
func ofEach[K comparable](keys []K, f func(i int) error) error {
	var failed map[K]error
	for i, key := range keys {
		if err := f(i); err != nil {
			if failed == nil {
				failed = map[K]error{}
			}
			failed[key] = err
		}
	}
	if failed == nil {
		return nil
	}
	return &corral.KeyErrors[K]{Errors: failed}
}

// of returns what the error of a call with many keys says of one of them.
func of[K comparable](err error, key K) error {
	var some *corral.KeyErrors[K]
	if errors.As(err, &some) {
		return some.Errors[key]
	}
	return err
}

// fits returns an error unless there are as many of something as keys.
func fits(keys int, what string, n int) error {
	if n == keys {
		return nil
	}
	return fmt.Errorf("layered: %d %s for %d keys: want as many", n, what, keys)
}
