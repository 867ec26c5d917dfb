package scenario

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/traffic"
)

// kind is a caller's context.
type kind struct {
	name  string
	rival string
	open  func(contender.Contender) func() contender.Flights
	ctx   func() (context.Context, context.CancelFunc)
}

var kinds = []kind{
	{
		"background", xsync,
		func(c contender.Contender) func() contender.Flights { return c.Flight },
		func() (context.Context, context.CancelFunc) { return context.Background(), func() {} },
	},
	{
		"cancellable", xsyncChan,
		func(c contender.Contender) func() contender.Flights { return c.FlightCtx },
		func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) },
	},
}

// ownKeys are the keys of a worker that shares none.
const ownKeys = 256

// flights are calls whose load costs nothing.
func flights() []*measure.Case {
	var out []*measure.Case
	for _, k := range kinds {
		c := &measure.Case{
			Group: "flight", Name: k.name + ", distinct keys", Rival: k.rival,
			Rows: flightRows(k, func(worker int) []string { return newKeys((worker + 1) * ownKeys)[worker*ownKeys:] }),
		}
		switch k.rival {
		case xsync:
			c.Targets = []measure.Target{{Row: ownGroup, Rival: xsync, At1: 1, At2: 1, Why: whyDo}, {Row: ownGroup, At1: 1, At2: 1}}
		case xsyncChan:
			c.Targets = []measure.Target{{Row: ownGroup, Rival: xsyncChan, At1: 0.85, At2: 0.6, Why: whyDo}, {Row: ownGroup, At1: 3, At2: 3}}
		}
		out = append(out, c)
		for _, goroutines := range []int{64, 1024} {
			for _, n := range []int{1, 1024} {
				name := fmt.Sprintf("%s, %d goroutines on %d keys", k.name, goroutines, n)
				if n == 1 {
					name = fmt.Sprintf("%s, %d goroutines on one key", k.name, goroutines)
				}
				keys := newKeys(n)
				out = append(out, &measure.Case{
					Group: "flight", Name: name, Rival: k.rival,
					Workers: func(int) int { return goroutines },
					Rows:    flightRows(k, func(int) []string { return keys }),
				})
			}
		}
	}
	return out
}

func flightRows(k kind, keys func(worker int) []string) []measure.Row {
	return rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
		open := k.open(c)
		if open == nil {
			return nil
		}
		return func(int) (*measure.Subject, error) {
			f := open()
			ctx, cancel := k.ctx()
			mine := make(map[int][]string)
			return &measure.Subject{
				Prepare: func(worker, _ int) {
					if mine[worker] == nil {
						mine[worker] = keys(worker)
					}
				},
				Call:  func(worker, n int) error { return f.Fly(ctx, mine[worker], worker, n) },
				Close: cancel,
			}, nil
		}
	})
}

// waiters are callers that all wait for one load: it ends when every one of them
// has called.
func waiters() []*measure.Case {
	var out []*measure.Case
	for _, k := range kinds {
		for _, n := range []int{64, 1024} {
			out = append(out, &measure.Case{
				Group: "waiter", Name: fmt.Sprintf("%s, %d wait for one load", k.name, n), Rival: k.rival,
				Workers: func(int) int { return n },
				Rows: rows(func(c contender.Contender) func(int) (*measure.Subject, error) {
					open := k.open(c)
					if open == nil {
						return nil
					}
					return func(int) (*measure.Subject, error) { return waiterSubject(k, open()), nil }
				}),
			})
		}
	}
	return out
}

func waiterSubject(k kind, f contender.Flights) *measure.Subject {
	var calling, inside, loads atomic.Int64
	ctx, cancel := k.ctx()
	call := f.With(func(context.Context) (int, error) {
		loads.Add(1)
		for inside.Load() < calling.Load() {
			runtime.Gosched()
		}
		runtime.Gosched() // whoever has begun its call joins
		return 1, nil
	})
	key := traffic.Text(1)
	return &measure.Subject{
		Call: func(_, n int) error {
			calling.Add(1)
			defer calling.Add(-1)
			for range n {
				inside.Add(1)
				_, err := call(ctx, key)
				inside.Add(-1)
				if err != nil {
					return err
				}
			}
			return nil
		},
		Extra: func() map[string]float64 { return map[string]float64{"loads": float64(loads.Load())} },
		Close: cancel,
	}
}
