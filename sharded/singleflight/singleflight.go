// Package singleflight has the API and the behaviour of
// golang.org/x/sync/singleflight, to the letter, over sharded flights: code that
// uses that package changes one import line. Calls for different keys do not
// meet at one lock.
//
// The letter includes what package sharded does otherwise: a panic of the
// function is a panic of its callers, and of the process if [Group.DoChan] is
// one of them; [runtime.Goexit] in the function ends its callers, and leaves a
// DoChan without an answer; nobody waits on a context, nothing times out, and a
// function that calls its own key waits for itself for ever.
//
// A Group makes its table at its first call: eight shards of 128 bytes per CPU.
package singleflight

import (
	"context"
	"runtime"
	"sync"

	"github.com/corralcache/corral/internal/flight"
)

// Group is a space of keys in which every key has at most one running call. The
// zero value is ready for use. A Group must not be copied after its first use;
// all methods are safe for concurrent use.
type Group struct {
	once  sync.Once
	table *flight.Table[string, any]
}

// Result is what a [Group.DoChan] call came to.
type Result struct {
	Val    any
	Err    error
	Shared bool // Val was given to more than one caller
}

// Do runs fn, or waits for the fn of another caller that is running for key, and
// returns its result. shared says whether v was given to more than one caller.
//
// If fn panics, Do panics in every caller with an error that shows fn's stack and
// unwraps to what fn panicked with, if that is an error. If fn calls
// [runtime.Goexit], Do does so in every caller.
func (g *Group) Do(key string, fn func() (any, error)) (v any, err error, shared bool) {
	f, role := g.join(key)
	if role == flight.Leader {
		shared = call(f, fn)
		v, err = f.Outcome()
		return v, err, shared
	}
	f.Wait(context.Background(), role, nil)
	v, err = f.Outcome()
	if e, ok := err.(*panicError); ok {
		panic(e)
	}
	if err == errGoexit {
		runtime.Goexit()
	}
	return v, err, true
}

// DoChan is [Group.Do] that returns at once, with a channel that receives the
// result. The channel is never closed.
//
// A panic of fn crashes the process: no recover can stop it. After
// [runtime.Goexit] in fn the channel receives nothing.
func (g *Group) DoChan(key string, fn func() (any, error)) <-chan Result {
	results := make(chan Result, 1)
	f, role := g.join(key)
	f.Notify(func() { deliver(f, results) })
	if role == flight.Leader {
		go call(f, fn)
	}
	return results
}

// Forget makes the next call for key run its function, though another may be
// running. Who waits for that one still gets its result.
func (g *Group) Forget(key string) {
	table := g.lazy()
	s, _ := table.Locate(key)
	table.Detach(s, key)
}

func (g *Group) join(key string) (*flight.Flight[string, any], flight.Role) {
	table := g.lazy()
	s, _ := table.Locate(key)
	f, role, _ := table.Join(context.Background(), s, key, nil, false, false)
	return f, role
}

func (g *Group) lazy() *flight.Table[string, any] {
	g.once.Do(func() { g.table = flight.NewTable(flight.Config[string, any]{}) })
	return g.table
}
