package bounded_test

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/internal/bounded"
	"github.com/corralcache/corral/sharded"
)

type name struct{} // a context key

// stubborn is a call that takes took, whatever its context says.
func stubborn(took time.Duration) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		time.Sleep(took)
		return "late", nil
	}
}

func TestDoReturnsWhatTheCallReturns(t *testing.T) {
	fault := errors.New("fault")
	for name, ctx := range contexts(t) {
		t.Run(name, func(t *testing.T) {
			got, err := bounded.Do(ctx, func(context.Context) (int, error) { return 7, fault })
			if got != 7 || !errors.Is(err, fault) {
				t.Errorf("Do = %d, %v; want 7 and the call's own error", got, err)
			}
		})
	}
}

func TestDoLeavesACallThatIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("the caller went home")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
		defer cancel()
		start := time.Now()
		_, err := bounded.Do(ctx, stubborn(5*time.Second))
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("the caller waited %v, want 100ms", took)
		}
		if !errors.Is(err, cause) {
			t.Errorf("err = %v, want the cause", err)
		}
		time.Sleep(5 * time.Second) // the call's goroutine ends: the bubble would complain
	})
}

func TestDoDoesNotStartForAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("cause")
	cancel(cause)
	_, err := bounded.Do(ctx, func(context.Context) (int, error) {
		t.Error("the call ran")
		return 0, nil
	})
	if !errors.Is(err, cause) {
		t.Errorf("err = %v, want the cause", err)
	}
}

// One goroutine serves a stack of guards, but never one that has a tighter
// deadline than the guard above it.
func TestDoNests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := bounded.Do(outer, func(ctx context.Context) (string, error) {
			_, err := bounded.Do(context.WithValue(ctx, name{}, "ann"), func(context.Context) (int, error) {
				if guards := strings.Count(string(debug.Stack()), "bounded.protect["); guards != 2 {
					t.Errorf("%d guards on this goroutine, want both", guards)
				}
				return 0, nil
			})
			if err != nil {
				t.Error(err)
			}
			tight, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return bounded.Do(tight, stubborn(10*time.Second))
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v, want the inner deadline's", err)
		}
		if left := time.Until(deadline(outer)); left != 59*time.Second {
			t.Errorf("%v left of the outer deadline, want 59s", left)
		}
		time.Sleep(10 * time.Second)
	})
}

func TestDoPassesValuesAndTheEndOn(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), name{}, "ann"))
	defer cancel()
	_, err := bounded.Do(ctx, func(inner context.Context) (int, error) {
		if inner.Value(name{}) != "ann" {
			t.Error("the context lost its values")
		}
		if inner.Done() != ctx.Done() {
			t.Error("the context does not end with the caller's")
		}
		return 0, nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDoTurnsAPanicIntoAnError(t *testing.T) {
	for name, ctx := range contexts(t) {
		t.Run(name, func(t *testing.T) {
			_, err := bounded.Do(ctx, func(context.Context) (int, error) { panic("secret of user 42") })
			var p *sharded.PanicError
			if !errors.As(err, &p) || p.Value != "secret of user 42" || len(p.Stack) == 0 {
				t.Fatalf("err = %v, want a PanicError with value and stack", err)
			}
			if text := err.Error(); strings.Contains(text, "secret") || !strings.Contains(text, "string") {
				t.Errorf("text %q: want the kind of the value and not the value", text)
			}
		})
	}
	_, err := bounded.Do(t.Context(), func(context.Context) (int, error) {
		var none []int
		return none[len(none)], nil
	})
	if err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("err = %v, want the runtime's own text", err)
	}
}

func TestDoNoticesGoexit(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := bounded.Do(ctx, func(context.Context) (int, error) {
		runtime.Goexit()
		return 0, nil
	})
	if err == nil || !strings.Contains(err.Error(), "Goexit") {
		t.Errorf("err = %v, want one that says Goexit", err)
	}
}

func contexts(t *testing.T) map[string]context.Context {
	ending, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return map[string]context.Context{"inline": context.Background(), "guarded": ending}
}

func deadline(ctx context.Context) time.Time {
	at, _ := ctx.Deadline()
	return at
}

func BenchmarkDo(b *testing.B) {
	ending, cancel := context.WithCancel(b.Context())
	defer cancel()
	call := func(context.Context) (int, error) { return 1, nil }
	for name, ctx := range map[string]context.Context{"inline": context.Background(), "guarded": ending} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bounded.Do(ctx, call); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
