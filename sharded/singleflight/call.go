package singleflight

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/corralcache/corral/internal/flight"
)

// errGoexit is the outcome of a function that called runtime.Goexit. No caller
// gets to see it.
var errGoexit = errors.New("runtime.Goexit was called")

// panicError is what callers panic with.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("%v\n\n%s", p.value, p.stack) }

func (p *panicError) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

func newPanicError(value any) *panicError {
	stack := debug.Stack()
	// The first line names a goroutine that may be gone when the panic shows up
	// in another.
	if line := bytes.IndexByte(stack, '\n'); line >= 0 {
		stack = stack[line+1:]
	}
	return &panicError{value: value, stack: stack}
}

// call runs fn and lands f, however fn ends.
func call(f *flight.Flight[string, any], fn func() (any, error)) (shared bool) {
	var v any
	err := errGoexit // until try has returned
	defer func() {
		shared, _ = f.Land(v, err, false)
		// By its type, not by how fn ended: as in x/sync, an fn that returns what
		// it recovered from another Do panics too.
		if e, ok := err.(*panicError); ok {
			panic(e)
		}
	}()
	v, err = try(fn)
	return shared
}

// try is fn with a panic made its error. Only after runtime.Goexit does it not
// return: a deferred recover cannot tell that from panic(nil) in programs that
// set GODEBUG=panicnil=1.
func try(fn func() (any, error)) (v any, err error) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if value := recover(); value != nil {
			err = newPanicError(value)
		}
	}()
	v, err = fn()
	returned = true
	return v, err
}

// deliver sends the outcome of f to a caller of DoChan. It runs on the goroutine
// that landed f.
func deliver(f *flight.Flight[string, any], results chan<- Result) {
	v, err := f.Outcome()
	if e, ok := err.(*panicError); ok {
		go panic(e) // where no recover reaches it, else the channel's reader hangs
		select {}   // stay, so that the crash dump shows this goroutine
	}
	if err != errGoexit {
		results <- Result{Val: v, Err: err, Shared: f.Shared()}
	}
}
