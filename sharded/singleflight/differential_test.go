package singleflight_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/singleflight"
	xsync "golang.org/x/sync/singleflight"
	"pgregory.net/rapid"
)

// group is what the two packages have in common.
type group interface {
	Do(key string, fn func() (any, error)) (any, error, bool)
	DoChan(key string, fn func() (any, error)) <-chan xsync.Result
	Forget(key string)
}

type ours struct{ singleflight.Group }

func (g *ours) DoChan(key string, fn func() (any, error)) <-chan xsync.Result {
	converted := make(chan xsync.Result, 1)
	results := g.Group.DoChan(key, fn)
	go func() {
		select {
		case r := <-results:
			converted <- xsync.Result(r)
		case <-time.After(forever): // lost after Goexit
		}
	}()
	return converted
}

// forever is longer than any schedule.
const forever = 1000 * time.Hour

// tick is the time between two steps of a schedule. Functions end half a tick
// after a step, so that what happens does not hang on the order of two things
// that happen at once.
const tick = 10 * time.Millisecond

// run plays a schedule and returns what every step came to and how often
// functions ran. Each byte of the schedule is a step.
func run(g group, schedule []byte) []string {
	p := &play{group: g, log: make([]string, len(schedule))}
	for i, b := range schedule {
		p.step(i, b)
		time.Sleep(tick)
	}
	time.Sleep(2 * forever)
	synctest.Wait()
	return append(p.log, fmt.Sprintf("%d functions ran", p.ran.Load()))
}

type play struct {
	group
	log []string
	ran atomic.Int64 // after Forget two functions may run at once
}

// outcome says how a function ends.
type outcome byte

const (
	returns outcome = iota
	fails
	exits
	relays // returns as its error what it recovered from another Do
	panicsWithError
	panicsWithText
	outcomes
)

// step does what b says. Its lowest bits choose between two keys, and what is
// done; the others, how the function ends and when. DoChan is called for the
// first key only, whose functions do not panic: that would end the process.
func (p *play) step(i int, b byte) {
	key, what := b&1, b>>1&3
	end, after := outcome(b>>3)%outcomes, time.Duration(b>>6)*tick+tick/2
	if key == 0 {
		end %= relays
	}
	fn := func() (any, error) { return p.function(i, end, after) }
	name := [...]string{"no panics", "panics"}[key]
	switch {
	case what == 0:
		p.Forget(name)
	case what == 1 && key == 0:
		go p.doChan(i, p.DoChan(name, fn))
	default:
		go p.do(i, name, fn)
	}
}

func (p *play) function(i int, end outcome, after time.Duration) (any, error) {
	p.ran.Add(1)
	time.Sleep(after)
	switch end {
	case fails:
		return nil, fmt.Errorf("function %d failed", i)
	case exits:
		runtime.Goexit()
	case relays:
		value, _ := caught(func() { p.Do(fmt.Sprint("inner ", i), func() (any, error) { return panics(&fault{}) }) })
		return i, value.(error)
	case panicsWithError:
		panic(&fault{})
	case panicsWithText:
		panic(fmt.Sprintf("function %d panics", i))
	}
	return i, nil
}

func (p *play) do(i int, key string, fn func() (any, error)) {
	start := time.Now()
	p.log[i] = "ended its goroutine"
	defer func() {
		if value := recover(); value != nil {
			p.log[i] = describePanic(value)
		}
		p.log[i] += fmt.Sprint(" after ", time.Since(start))
	}()
	v, err, shared := p.Do(key, fn)
	p.log[i] = fmt.Sprint("returned ", v, err, shared)
}

// describePanic leaves out the stack, in which the two packages differ.
func describePanic(value any) string {
	err, ok := value.(error)
	if !ok {
		return fmt.Sprintf("panicked with a %T", value)
	}
	text, stack, _ := strings.Cut(err.Error(), "\n\n")
	var f *fault
	return fmt.Sprint("panicked with ", text, errors.As(err, &f), strings.Contains(stack, "singleflight_test"))
}

func (p *play) doChan(i int, results <-chan xsync.Result) {
	start := time.Now()
	select {
	case r := <-results:
		p.log[i] = fmt.Sprint("received ", r.Val, r.Err, r.Shared, time.Since(start))
	case <-time.After(forever):
		p.log[i] = "received nothing"
	}
}

// compare plays a schedule with both packages.
func compare(t *testing.T, schedule []byte) (got, want []string) {
	synctest.Test(t, func(*testing.T) { got = run(&ours{}, schedule) })
	synctest.Test(t, func(*testing.T) { want = run(&xsync.Group{}, schedule) })
	return got, want
}

func TestDifferentialRandomSchedules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		schedule := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(rt, "schedule")
		if got, want := compare(t, schedule); !slices.Equal(got, want) {
			rt.Fatalf("the packages differ:\n%s", difference(got, want))
		}
	})
}

func FuzzDifferential(f *testing.F) {
	f.Add([]byte{2, 2, 0, 2, 4, 68, 132, 196})
	f.Add([]byte{0x25, 0x25, 0x2d, 0xe5, 0x01, 0xdd, 0x1f})
	f.Fuzz(func(t *testing.T, schedule []byte) {
		if len(schedule) > 200 {
			schedule = schedule[:200]
		}
		if got, want := compare(t, schedule); !slices.Equal(got, want) {
			t.Fatalf("the packages differ:\n%s", difference(got, want))
		}
	})
}

func difference(got, want []string) string {
	var b strings.Builder
	for i := range got {
		if got[i] != want[i] {
			fmt.Fprintf(&b, "step %d: got %q, want %q\n", i, got[i], want[i])
		}
	}
	return b.String()
}
