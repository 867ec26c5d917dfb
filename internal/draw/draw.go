// Package draw draws the random numbers of which a test may want others.
package draw

import (
	"math/rand/v2"
	"sync/atomic"
)

var chosen atomic.Pointer[func() float64]

// Unit returns a number above 0, up to 1, each as likely as any other.
func Unit() float64 {
	if f := chosen.Load(); f != nil {
		return (*f)()
	}
	return 1 - rand.Float64()
}

// Choose has Unit return what f does, until restore is called. Tests that use it
// cannot run in parallel.
func Choose(f func() float64) (restore func()) {
	chosen.Store(&f)
	return func() { chosen.Store(nil) }
}
