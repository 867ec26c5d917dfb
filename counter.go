package corral

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// counter counts exactly what many goroutines at once report, each mostly on a
// cache line of its own.
type counter struct {
	cells []cell
}

type cell struct {
	n atomic.Uint64
	_ [120]byte // the rest of a pair of cache lines
}

func newCounter() counter {
	n := 1 << bits.Len(uint(4*runtime.GOMAXPROCS(0)-1))
	return counter{make([]cell, min(n, 64))}
}

// add picks its cell by the address of the goroutine's stack: goroutines that
// run at the same time have different ones, and reading it costs nothing.
func (c *counter) add() { c.addN(1) }

func (c *counter) addN(n uint64) {
	var here byte
	at := uint64(uintptr(unsafe.Pointer(&here))>>10) * 0x9e3779b97f4a7c15
	c.cells[(at>>32)&uint64(len(c.cells)-1)].n.Add(n)
}

func (c *counter) sum() (n uint64) {
	for i := range c.cells {
		n += c.cells[i].n.Load()
	}
	return n
}
