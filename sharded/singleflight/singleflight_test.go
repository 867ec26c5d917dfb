package singleflight_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/singleflight"
	xsync "golang.org/x/sync/singleflight"
)

// The methods have x/sync's types, so that an interface or a method value that
// code made of them still fits.
func TestSignaturesAreThoseOfXSync(t *testing.T) {
	ours, theirs := reflect.TypeFor[*singleflight.Group](), reflect.TypeFor[*xsync.Group]()
	if ours.NumMethod() != theirs.NumMethod() {
		t.Fatalf("%d methods, want %d", ours.NumMethod(), theirs.NumMethod())
	}
	for i := range theirs.NumMethod() {
		name := theirs.Method(i).Name
		mine, ok := ours.MethodByName(name)
		got := strings.ReplaceAll(fmt.Sprint(mine.Type), " ", "")
		want := strings.ReplaceAll(fmt.Sprint(theirs.Method(i).Type), " ", "")
		if !ok || got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	result := reflect.TypeFor[singleflight.Result]()
	if !result.ConvertibleTo(reflect.TypeFor[xsync.Result]()) {
		t.Errorf("%v does not convert to x/sync's Result", result)
	}
}

func TestDoReturnsWhatTheFunctionReturns(t *testing.T) {
	var g singleflight.Group
	fault := errors.New("fault")
	for _, want := range []struct {
		v   any
		err error
	}{{"value", nil}, {nil, fault}, {7, fault}, {nil, nil}} {
		v, err, shared := g.Do("key", func() (any, error) { return want.v, want.err })
		if v != want.v || err != want.err || shared {
			t.Errorf("Do = %v, %v, %v; want %v, %v, false", v, err, shared, want.v, want.err)
		}
		r := <-g.DoChan("key", func() (any, error) { return want.v, want.err })
		if r != (singleflight.Result{Val: want.v, Err: want.err}) {
			t.Errorf("DoChan gave %+v, want %v, %v, not shared", r, want.v, want.err)
		}
	}
}

func TestCallersOfAKeyShareOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		calls, got := 0, make(chan singleflight.Result, 10)
		for range cap(got) {
			go func() {
				v, err, shared := g.Do("key", func() (any, error) {
					calls++
					time.Sleep(time.Second)
					return "value", nil
				})
				got <- singleflight.Result{Val: v, Err: err, Shared: shared}
			}()
		}
		for range cap(got) {
			if r := <-got; r != (singleflight.Result{Val: "value", Shared: true}) {
				t.Errorf("a caller got %+v", r)
			}
		}
		if calls != 1 {
			t.Errorf("%d calls, want 1", calls)
		}
	})
}

func TestCallsOfDifferentKeysRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		start := time.Now()
		var results []<-chan singleflight.Result
		for i := range 100 {
			results = append(results, g.DoChan(fmt.Sprint(i), func() (any, error) {
				time.Sleep(time.Second)
				return i, nil
			}))
		}
		for i, result := range results {
			if r := <-result; r.Val != i || r.Shared {
				t.Errorf("key %d got %+v", i, r)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("all took %v, want 1s", took)
		}
	})
}

// P7: the end of a forgotten call leaves the call that succeeded it alone.
func TestForgottenCallLeavesItsSuccessorAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		returns := func(v int, after time.Duration) func() (any, error) {
			return func() (any, error) { time.Sleep(after); return v, nil }
		}
		first := g.DoChan("key", returns(1, time.Second))
		g.Forget("key")
		second := g.DoChan("key", returns(2, 3*time.Second))
		if r := <-first; r.Val != 1 || r.Shared {
			t.Errorf("the forgotten call gave %+v, want 1, not shared", r)
		}
		third := g.DoChan("key", returns(3, 0))
		for _, result := range []<-chan singleflight.Result{second, third} {
			if r := <-result; r.Val != 2 || !r.Shared {
				t.Errorf("got %+v, want the second call's 2, shared", r)
			}
		}
	})
}

func TestForgetOfAKeyWithoutACallDoesNothing(t *testing.T) {
	var g singleflight.Group
	g.Forget("key")
	if v, _, _ := g.Do("key", func() (any, error) { return 1, nil }); v != 1 {
		t.Errorf("Do = %v, want 1", v)
	}
}

// caught runs fn and returns what it panicked with, and whether it ended its
// goroutine otherwise than by returning.
func caught(fn func()) (value any, ended bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended = true
		defer func() { value = recover() }()
		fn()
		ended = false
	}()
	<-done
	return value, ended
}

type fault struct{}

func (*fault) Error() string { return "fault" }

func panics(value any) (any, error) { panic(value) }

func TestPanicIsAPanicInEveryCaller(t *testing.T) {
	for name, value := range map[string]any{"a string": "no luck", "an error": &fault{}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { panicInEveryCaller(t, value) })
		})
	}
}

func panicInEveryCaller(t *testing.T, value any) {
	var g singleflight.Group
	got := make(chan any, 5)
	for range cap(got) {
		go func() {
			value, _ := caught(func() {
				g.Do("key", func() (any, error) { time.Sleep(time.Second); return panics(value) })
			})
			got <- value
		}()
	}
	first := <-got
	for range cap(got) - 1 {
		if next := <-got; next != first {
			t.Errorf("two callers got different errors: %v and %v", first, next)
		}
	}
	err, ok := first.(error)
	if !ok {
		t.Fatalf("callers got %T, want an error", first)
	}
	text := err.Error()
	if value != nil && !strings.HasPrefix(text, fmt.Sprint(value)+"\n\n") {
		t.Errorf("the error does not begin with the value: %.80q", text)
	}
	if strings.Contains(text, "\n\ngoroutine ") || !strings.Contains(text, "singleflight_test.panics") {
		t.Errorf("the stack is not the function's without its first line:\n%s", text)
	}
	if _, isError := value.(error); isError && errors.Unwrap(err) != value {
		t.Errorf("Unwrap = %v, want %v", errors.Unwrap(err), value)
	}
	if v, err, shared := g.Do("key", func() (any, error) { return 1, nil }); v != 1 || err != nil || shared {
		t.Errorf("after the panic Do = %v, %v, %v", v, err, shared)
	}
}

func TestNilFunctionIsAPanic(t *testing.T) {
	var g singleflight.Group
	if value, _ := caught(func() { g.Do("key", nil) }); value == nil {
		t.Error("Do with a nil function did not panic")
	}
}

func TestGoexitEndsEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		ended := make(chan bool, 5)
		for range cap(ended) {
			go func() {
				value, exited := caught(func() {
					g.Do("key", func() (any, error) { time.Sleep(time.Second); runtime.Goexit(); return 1, nil })
				})
				ended <- exited && value == nil
			}()
		}
		for range cap(ended) {
			if !<-ended {
				t.Error("a caller returned or panicked; its goroutine should have ended")
			}
		}
		if v, err, _ := g.Do("key", func() (any, error) { return 1, nil }); v != 1 || err != nil {
			t.Errorf("after Goexit Do = %v, %v", v, err)
		}
	})
}

func TestGoexitLeavesDoChanWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		first := g.DoChan("key", func() (any, error) { time.Sleep(time.Second); runtime.Goexit(); return 1, nil })
		second := g.DoChan("key", nil)
		time.Sleep(time.Hour)
		select {
		case r := <-first:
			t.Errorf("the first channel received %+v", r)
		case r := <-second:
			t.Errorf("the second channel received %+v", r)
		default:
		}
	})
}

// A call has no time limit, and a caller that waits costs no timer.
func TestCallsHaveNoTimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g singleflight.Group
		const long = 10000 * time.Hour
		if v, err, _ := g.Do("key", func() (any, error) { time.Sleep(long); return 1, nil }); v != 1 || err != nil {
			t.Errorf("Do = %v, %v", v, err)
		}
	})
}
