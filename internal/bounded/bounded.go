// Package bounded runs calls of foreign code, which may ignore its context or
// panic, so that the caller gets its answer all the same.
package bounded

import (
	"context"
	"errors"
)

// ErrGoexit is what a caller gets whose call ended its goroutine.
var ErrGoexit = errors.New("the call ended its goroutine with runtime.Goexit")

// guardKey finds the Done channel that a guard up the stack waits on.
type guardKey struct{}

// Do calls fn and returns what it returns, or, as soon as ctx ends,
// [context.Cause] of ctx. The call then goes on by itself, on a goroutine that
// lives until fn returns: what fn waits for needs a bound of its own. A panic
// in fn is an error, see [Recover].
//
// The context that fn gets ends with ctx. A client whose connections break when
// a context ends in the middle of a call is given [context.WithoutCancel] of it
// by fn.
//
// Where nothing can end the wait, because ctx never ends, because a Do further
// up the stack watches the same Done channel, or because ctx is [Left], fn runs on
// the caller's goroutine: nested guards cost one goroutine together. A context with a
// deadline of its own in between has another channel and is watched anew.
func Do[T any](ctx context.Context, fn func(context.Context) (T, error)) (T, error) {
	return DoThen(ctx, fn, func() {})
}

// DoThen is [Do] that calls then once, when fn has returned, also if that is
// after DoThen has, or will not be called. Else it is called before DoThen
// returns.
func DoThen[T any](ctx context.Context, fn func(context.Context) (T, error), then func()) (T, error) {
	if ctx.Err() != nil {
		then()
		var zero T
		return zero, context.Cause(ctx)
	}
	if watched(ctx) {
		defer then()
		return protect(ctx, fn)
	}
	done := ctx.Done()
	// Room for one, so that a call that was left behind can end.
	landed := make(chan result[T], 1)
	go func() {
		r := result[T]{err: ErrGoexit}
		defer func() { landed <- r }()
		defer then()
		r.value, r.err = protect(context.WithValue(ctx, guardKey{}, done), fn)
	}()
	select {
	case r := <-landed:
		return r.value, r.err
	case <-done:
		var zero T
		return zero, context.Cause(ctx)
	}
}

// Left is a context of who leaves a call by itself when the context ends.
type Left interface{ Left() bool }

// watched reports whether nothing can end the wait for a call that gets ctx, or
// somebody up the stack does. To ask a [Left] that first spares it to make its
// Done channel, which costs as much as the rest of a call of a cache.
func watched(ctx context.Context) bool {
	if l, ok := ctx.(Left); ok && l.Left() {
		return true
	}
	done := ctx.Done()
	return done == nil || ctx.Value(guardKey{}) == done
}

type result[T any] struct {
	value T
	err   error
}

func protect[T any](ctx context.Context, fn func(context.Context) (T, error)) (value T, err error) {
	defer Recover("the call", &err)
	return fn(ctx)
}
