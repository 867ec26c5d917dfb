package adaptertest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errLeak = errors.New("goroutines are still there after everything that New opened was closed by t.Cleanup")

// failure is what probe.failf panics with, so that a check reads like a script.
// It ends in broken, on the goroutine of the check.
type failure string

// test makes a fresh cache, runs the check on it and returns what it found.
func (c *clause[K, V]) test(t *testing.T, cfg Config[K, V]) error {
	var err error
	outside := time.Now()
	body := func(t *testing.T) {
		p := newProbe(t, &cfg)
		p.outside = outside
		err = broken(func() { c.check(p) })
	}
	if cfg.RealTime {
		body(t)
		return err
	}
	if left := inBubble(t, body); left && err == nil && c.leaks {
		return errLeak
	}
	return err
}

// inBubble reports whether goroutines are left in the bubble. synctest says so
// with a panic, which would end the other sub-tests too. Those goroutines stay
// in their bubble, where time stands still.
func inBubble(t *testing.T, body func(t *testing.T)) (left bool) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if left = strings.HasPrefix(fmt.Sprint(r), "deadlock:"); !left {
			panic(r)
		}
	}()
	synctest.Test(t, body)
	return false
}

// broken returns what made f fail or panic.
func broken(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = errors.New(string(r))
		default:
			err = fmt.Errorf("panicked: %v\n%s", r, debug.Stack())
		}
	}()
	f()
	return nil
}
