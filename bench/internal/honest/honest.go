// Package honest checks what a coalescing call must do besides being fast. What
// is faster because it leaves one of these out is not compared as an equal.
package honest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/bench/internal/contender"
)

// condition is one of them.
type condition struct {
	name  string
	tries int  // how often it may fail before it counts: the machine may be busy with something else
	stays bool // it is asked for callers that cannot leave too, which may have a way of their own
	check func(f contender.Flights, ctx context.Context) error
}

var conditions = []condition{
	{"a caller that is cancelled 1 ms into a load of 100 ms is back within 5 ms", 5, false, leaves},
	{"the load of a caller that can be cancelled does not run on its goroutine", 1, false, elsewhere},
	{"no goroutine is left a second after the loads", 3, true, noneLeft},
	{"a panic reaches 64 waiters", 1, true, func(f contender.Flights, ctx context.Context) error {
		return reaches(f, ctx, func() { panic("on purpose") })
	}},
	{"runtime.Goexit reaches 64 waiters", 1, true, func(f contender.Flights, ctx context.Context) error {
		return reaches(f, ctx, runtime.Goexit)
	}},
	{"the load's context has a deadline", 1, true, deadline},
}

// Part is the name of the child that checks.
const Part = "honest"

type question struct {
	Contender string
	Condition int
	Stays     bool // the callers' context cannot end
}

type answer struct{ Broken string }

// Child is the child's part.
func Child(arg []byte) (any, error) {
	var q question
	if err := json.Unmarshal(arg, &q); err != nil {
		return nil, err
	}
	c, ok := contender.Named(q.Contender)
	if !ok || c.Flight == nil && c.FlightCtx == nil {
		return nil, fmt.Errorf("%q coalesces nothing", q.Contender)
	}
	open := c.FlightCtx
	if open == nil || q.Stays {
		open = c.Flight
	}
	ctx := context.Background()
	if !q.Stays {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	if err := conditions[q.Condition].check(open(), ctx); err != nil {
		return answer{err.Error()}, nil
	}
	return answer{}, nil
}

// Verdict is what a contender keeps to.
type Verdict struct {
	Contender string
	Broken    []string // what it does not do, and how that was seen
}

// Check asks of a contender, in a process of its own for each condition, as what
// fails may take the process with it.
func Check(name string) Verdict {
	v := Verdict{Contender: name}
	c, _ := contender.Named(name)
	for i, condition := range conditions {
		if why := condition.ask(question{name, i, false}); why != "" {
			v.Broken = append(v.Broken, condition.name+": "+why)
			continue // it would be said twice
		}
		if !condition.stays || c.Flight == nil || c.FlightCtx == nil {
			continue
		}
		if why := condition.ask(question{name, i, true}); why != "" {
			v.Broken = append(v.Broken, condition.name+", if its callers cannot leave: "+why)
		}
	}
	return v
}

func (c condition) ask(q question) (why string) {
	for range c.tries {
		if why = ask(q); why == "" {
			break
		}
	}
	return why
}

func ask(q question) string {
	var a answer
	if err := child.Run(Part, q, &a, 10*time.Second); err != nil {
		return err.Error()
	}
	return a.Broken
}

func leaves(f contender.Flights, ctx context.Context) error {
	call := f.With(func(context.Context) (int, error) { time.Sleep(100 * time.Millisecond); return 1, nil })
	ctx, cancel := context.WithCancel(ctx)
	var at atomic.Int64
	time.AfterFunc(time.Millisecond, func() { at.Store(time.Now().UnixNano()); cancel() })
	_, err := call(ctx, "k")
	late := time.Since(time.Unix(0, at.Load()))
	if err == nil || late > 5*time.Millisecond {
		return fmt.Errorf("back after %v with the error %v", late.Round(time.Millisecond), err)
	}
	return nil
}

func elsewhere(f contender.Flights, ctx context.Context) error {
	var ran string
	call := f.With(func(context.Context) (int, error) { ran = goroutine(); return 1, nil })
	if _, err := call(ctx, "k"); err != nil {
		return err
	}
	if ran == goroutine() {
		return errors.New("it ran there")
	}
	return nil
}

// goroutine returns the name that the runtime gives the current one.
func goroutine() string {
	b := make([]byte, 64)
	b = b[:runtime.Stack(b, false)]
	return string(bytes.Fields(b)[1])
}

func noneLeft(f contender.Flights, ctx context.Context) error {
	before := runtime.NumGoroutine()
	call := f.With(func(context.Context) (int, error) { time.Sleep(10 * time.Millisecond); return 1, nil })
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() { _, _ = call(ctx, strconv.Itoa(i)) })
	}
	wg.Wait()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("%d are left", runtime.NumGoroutine()-before)
}

// reaches says whether 64 callers of a load that does not return learn of it,
// each by an error, a panic of its own or its goroutine's end.
func reaches(f contender.Flights, ctx context.Context, end func()) error {
	const callers = 64
	var begun, told, fooled atomic.Int64
	call := f.With(func(context.Context) (int, error) {
		for begun.Load() < callers {
			runtime.Gosched()
		}
		time.Sleep(20 * time.Millisecond)
		end()
		return 0, nil
	})
	for range callers {
		go func() {
			returned := false
			defer func() {
				_ = recover()
				if !returned {
					told.Add(1)
				}
			}()
			begun.Add(1)
			_, err := call(ctx, "k")
			returned = true
			if err != nil {
				told.Add(1)
			} else {
				fooled.Add(1)
			}
		}()
	}
	for range 150 {
		if told.Load()+fooled.Load() == callers {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := told.Load(); n != callers {
		return fmt.Errorf("%d of %d were told, %d got a value and no error, %d still wait", n, callers, fooled.Load(), callers-n-fooled.Load())
	}
	return nil
}

func deadline(f contender.Flights, ctx context.Context) error {
	var has atomic.Bool
	call := f.With(func(ctx context.Context) (int, error) {
		_, ok := ctx.Deadline()
		has.Store(ok)
		return 1, nil
	})
	if _, err := call(ctx, "k"); err != nil {
		return err
	}
	if !has.Load() {
		return errors.New("it has none")
	}
	return nil
}
