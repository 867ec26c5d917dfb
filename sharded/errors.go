package sharded

import (
	"context"
	"errors"
	"fmt"
)

// ErrGoexit is what the callers of a load get that ended its goroutine with
// [runtime.Goexit], as t.FailNow does.
var ErrGoexit = errors.New("load ended its goroutine with runtime.Goexit")

// ErrRecursiveLoad is what a load gets that asks, with the context it was
// given, for a key whose load waits for its own.
var ErrRecursiveLoad = errors.New("load waits for itself")

// ErrLoadTimeout is what the callers of a load get that ran longer than it may.
// It wraps [context.DeadlineExceeded].
var ErrLoadTimeout = fmt.Errorf("load timed out: %w", context.DeadlineExceeded)

// ErrInvalidKey is what a call gets for a key that no map can find again: it
// holds a NaN, or an interface with a value that cannot be compared.
var ErrInvalidKey = errors.New("key does not equal itself or cannot be hashed")

// PanicError is what the callers of a load get that panicked.
type PanicError struct {
	Value any    // what the load panicked with
	Stack []byte // the stack at the panic, as [runtime/debug.Stack] formats it
}

// Error returns the value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("load panicked: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
