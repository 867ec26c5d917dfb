// Package memory weighs entries, flights and waiters, each contender in a
// process of its own.
package memory

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/traffic"
)

// Kind is what is weighed.
type Kind string

const (
	Entries  Kind = "an entry: 16-byte string key, pointer to the value; key and value not counted"
	Flights  Kind = "a flight with one caller, goroutines and stacks included"
	Waiters  Kind = "a waiter of one flight, goroutine and stack included"
	FlightsC Kind = "a flight with one caller who can leave, goroutines and stacks included"
	WaitersC Kind = "a waiter who can leave, goroutine and stack included"
)

// Kinds returns them all.
func Kinds() []Kind { return []Kind{Entries, Flights, Waiters, FlightsC, WaitersC} }

// Part is the name of the child.
const Part = "memory"

type question struct {
	Kind      Kind
	Contender string
	Count     int
}

// Row is what one costs in bytes.
type Row struct {
	Contender string
	Bytes     float64
	Err       string
}

// Run weighs count of them with every contender that can.
func Run(kind Kind, count int) []Row {
	var rows []Row
	for _, c := range contender.All() {
		if !takesPart(c, kind) {
			continue
		}
		row := Row{Contender: c.Name}
		if err := child.Run(Part, question{kind, c.Name, count}, &row.Bytes, time.Minute); err != nil {
			row.Err = err.Error()
		}
		rows = append(rows, row)
	}
	return rows
}

func takesPart(c contender.Contender, kind Kind) bool {
	switch kind {
	case Entries:
		return c.HitString != nil && !c.Unweighed
	case Flights, Waiters:
		return c.Flight != nil
	default:
		return c.FlightCtx != nil
	}
}

// Child is the child's part.
func Child(arg []byte) (any, error) {
	var q question
	if err := json.Unmarshal(arg, &q); err != nil {
		return nil, err
	}
	c, ok := contender.Named(q.Contender)
	if !ok || !takesPart(c, q.Kind) {
		return nil, fmt.Errorf("%q has none", q.Contender)
	}
	switch q.Kind {
	case Entries:
		return entries(c, q.Count)
	case Flights:
		return flights(context.Background(), c.Flight(), q.Count, q.Count)
	case Waiters:
		return flights(context.Background(), c.Flight(), q.Count, 1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if q.Kind == FlightsC {
		return flights(ctx, c.FlightCtx(), q.Count, q.Count)
	}
	return flights(ctx, c.FlightCtx(), q.Count, 1)
}

func keys(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = traffic.Text(i)
	}
	return out
}

// entries weighs what the cache adds to keys and values.
func entries(c contender.Contender, count int) (float64, error) {
	keys := keys(count)
	h, err := c.HitString(contender.HitOptions{Capacity: count})
	if err != nil {
		return 0, err
	}
	before := weigh()
	if err := h.Fill(keys); err != nil {
		return 0, err
	}
	time.Sleep(100 * time.Millisecond) // what the store does later
	after := weigh()
	runtime.KeepAlive(keys)
	h.Close()
	const value = 64
	return (after-before)/float64(count) - value, nil
}

// flights weighs the callers of n keys, while all of them wait.
func flights(ctx context.Context, f contender.Flights, callers, n int) (float64, error) {
	keys := keys(n)
	release := make(chan struct{})
	var loads, begun atomic.Int64
	call := f.With(func(context.Context) (int, error) {
		loads.Add(1)
		<-release
		return 1, nil
	})
	before := weigh()
	var wg sync.WaitGroup
	for i := range callers {
		key := keys[i%n]
		wg.Go(func() {
			begun.Add(1)
			_, _ = call(ctx, key)
		})
	}
	for begun.Load() < int64(callers) || loads.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // those that have begun their call join
	after := weigh()
	close(release)
	wg.Wait()
	if loads.Load() != int64(n) {
		return 0, fmt.Errorf("%d loads of %d keys", loads.Load(), n)
	}
	return (after - before) / float64(callers), nil
}

// weigh returns the bytes of all that is reachable, and of all stacks.
func weigh() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
