package sharded_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded"
)

func blowsUp(value any) { panic(value) }

// P4, P5: everybody gets the same error, and the key works at once.
func TestContract_C5_Panic(t *testing.T) {
	each(t, func(t *testing.T, ask ask) {
		for _, ctx := range []context.Context{cancellable(t), context.Background()} {
			g := newGroup(sharded.Options[string]{})
			var all []<-chan result
			for range 5 {
				all = append(all, ask(ctx, g, "key", func(context.Context) (int, error) {
					time.Sleep(time.Second)
					blowsUp(io.ErrUnexpectedEOF)
					return 1, nil
				}))
			}
			first := <-all[0]
			var crash *sharded.PanicError
			if !errors.As(first.Err, &crash) || crash.Value != io.ErrUnexpectedEOF || !errors.Is(first.Err, io.ErrUnexpectedEOF) {
				t.Fatalf("got %+v, want a PanicError with the value", first)
			}
			if !strings.Contains(string(crash.Stack), "sharded_test.blowsUp") || !strings.Contains(crash.Error(), "unexpected EOF") {
				t.Errorf("the error does not tell where: %v", crash)
			}
			for _, results := range all[1:] {
				if r := <-results; r != first {
					t.Errorf("two callers got different results: %+v and %+v", r, first)
				}
			}
			wantWorks(t, ask, g)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		g := newGroup(sharded.Options[string]{})
		for _, value := range []any{"text", nil, 7} {
			_, _, err := g.Do(t.Context(), "key", func(context.Context) (int, error) { panic(value) })
			var crash *sharded.PanicError
			if !errors.As(err, &crash) || value != nil && crash.Value != value {
				t.Errorf("panic(%v) gave %v", value, err)
			}
			if value != nil && errors.Unwrap(err) != nil {
				t.Errorf("panic(%v) unwraps to %v", value, errors.Unwrap(err))
			}
		}
	})
}

func wantWorks(t *testing.T, ask ask, g *group) {
	t.Helper()
	if r := <-ask(t.Context(), g, "key", func(context.Context) (int, error) { return 7, nil }); r != (result{Value: 7}) {
		t.Errorf("the next call got %+v", r)
	}
}

// P4, P6: on a goroutine of the group's own, everybody gets ErrGoexit.
func TestContract_C6_Goexit(t *testing.T) {
	exits := func(context.Context) (int, error) { time.Sleep(time.Second); runtime.Goexit(); return 1, nil }
	each(t, func(t *testing.T, ask ask) {
		g := newGroup(sharded.Options[string]{})
		for _, results := range []<-chan result{
			ask(cancellable(t), g, "key", exits), ask(cancellable(t), g, "key", exits), ask(context.Background(), g, "key", exits),
		} {
			if r := <-results; r != (result{Err: sharded.ErrGoexit, Shared: true}) {
				t.Errorf("got %+v, want ErrGoexit", r)
			}
		}
		wantWorks(t, ask, g)
	})
	sub(t, "on the caller's goroutine", func(t *testing.T) {
		g := newGroup(sharded.Options[string]{})
		ended := make(chan bool)
		go func() {
			returned := false
			defer func() { ended <- !returned }()
			g.Do(context.Background(), "key", exits)
			returned = true
		}()
		synctest.Wait()
		joined := g.DoChan(t.Context(), "key", exits)
		if !<-ended {
			t.Error("Do returned to a goroutine that had called Goexit")
		}
		if r := <-joined; r.Err != sharded.ErrGoexit {
			t.Errorf("who joined got %+v, want ErrGoexit", r)
		}
		wantWorks(t, call, g)
	})
}

// nested returns a load that asks for key with the context it was given.
func nested(ask ask, g *group, key string, fn load) load {
	return func(ctx context.Context) (int, error) {
		time.Sleep(time.Second)
		r := <-ask(context.WithValue(ctx, inside{}, true), g, key, fn)
		return r.Value, r.Err
	}
}

func TestContract_C7_Recursion(t *testing.T) {
	never := func(context.Context) (int, error) { return 0, errors.New("a load ran that should have been joined") }
	each(t, func(t *testing.T, ask ask) {
		start := time.Now()
		g, h := newGroup(sharded.Options[string]{}), newGroup(sharded.Options[string]{})
		wantRecursion(t, "a→a", ask(t.Context(), g, "a", nested(ask, g, "a", never)))
		wantRecursion(t, "a→b→a", ask(t.Context(), g, "a", nested(ask, g, "b", nested(ask, g, "a", never))))
		wantRecursion(t, "a→b→a over two groups", ask(t.Context(), g, "a", nested(ask, h, "b", nested(ask, g, "a", never))))
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v, want 5s: somebody waited for a timeout", took)
		}
		wantWorks(t, ask, g)
	})
	each(t, func(t *testing.T, ask ask) { // both started independently: one of them is told
		g := newGroup(sharded.Options[string]{})
		a := ask(t.Context(), g, "a", nested(ask, g, "b", never))
		b := ask(t.Context(), g, "b", nested(ask, g, "a", never))
		wantRecursion(t, "a of a⇄b", a)
		wantRecursion(t, "b of a⇄b", b)
	})
	each(t, func(t *testing.T, ask ask) { // without a circle nothing is refused
		g, source := newGroup(sharded.Options[string]{}), counter{}
		c := ask(t.Context(), g, "c", source.takes(5*time.Second))
		a := ask(t.Context(), g, "a", nested(ask, g, "c", never))
		b := ask(t.Context(), g, "b", nested(ask, g, "a", never))
		for _, results := range []<-chan result{a, b, c} {
			if r := <-results; r.Value != 1 || r.Err != nil {
				t.Errorf("got %+v, want c's value", r)
			}
		}
	})
	each(t, func(t *testing.T, ask ask) { // a context without the end keeps its place
		g := newGroup(sharded.Options[string]{})
		wantRecursion(t, "WithoutCancel", ask(t.Context(), g, "a", func(ctx context.Context) (int, error) {
			r := <-ask(context.WithValue(context.WithoutCancel(ctx), inside{}, true), g, "b", nested(ask, g, "a", never))
			return r.Value, r.Err
		}))
	})
}

// The load that would wait for itself is told, and not one that waits for it, even if
// it asks at once.
func TestContract_C7_RecursionOfAFastLoad(t *testing.T) {
	sub(t, "Do", func(t *testing.T) {
		g, told := newGroup(sharded.Options[string]{}), error(nil)
		v, _, err := g.Do(t.Context(), "a", func(ctx context.Context) (int, error) {
			v, _, err := g.Do(ctx, "b", func(ctx context.Context) (int, error) {
				_, _, told = g.Do(ctx, "a", func(context.Context) (int, error) { return 2, nil })
				return 1, nil
			})
			return v, err
		})
		if v != 1 || err != nil || !errors.Is(told, sharded.ErrRecursiveLoad) {
			t.Errorf("a came to %d, %v and b was told %v; want 1, no error and ErrRecursiveLoad", v, err, told)
		}
	})
}

func wantRecursion(t *testing.T, name string, results <-chan result) {
	t.Helper()
	if r := <-results; !errors.Is(r.Err, sharded.ErrRecursiveLoad) {
		t.Errorf("%s gave %+v, want ErrRecursiveLoad", name, r)
	}
}
