// Package counting counts what many goroutines report at once.
package counting

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Counter counts exactly what many goroutines at once report, each mostly on a
// cache line of its own. Make it with [NewCounter].
type Counter struct {
	cells []cell
}

type cell struct {
	n atomic.Uint64
	_ [120]byte // the rest of a pair of cache lines
}

// NewCounter returns a Counter at zero, of 1 to 8 KiB: by how many goroutines run at once.
func NewCounter() Counter {
	n := 1 << bits.Len(uint(4*runtime.GOMAXPROCS(0)-1))
	return Counter{make([]cell, min(n, 64))}
}

// Add counts one.
func (c *Counter) Add() { c.AddN(1) }

// AddN counts n. It picks its cell by the address of the goroutine's stack: goroutines
// that run at the same time have different ones, and reading it costs nothing.
func (c *Counter) AddN(n uint64) {
	var here byte
	at := uint64(uintptr(unsafe.Pointer(&here))>>10) * 0x9e3779b97f4a7c15
	c.cells[(at>>32)&uint64(len(c.cells)-1)].n.Add(n)
}

// Sum returns the count.
func (c *Counter) Sum() (n uint64) {
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}
