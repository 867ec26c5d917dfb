package corral_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
)

// bulk records the keys of each call, and loads each key's length.
type bulk struct {
	took  time.Duration
	after func(values map[string]int) (map[string]int, error)
	mu    sync.Mutex
	calls [][]string // guarded by mu
}

func (b *bulk) load(ctx context.Context, keys []string) (map[string]int, error) {
	b.mu.Lock()
	b.calls = append(b.calls, slices.Sorted(slices.Values(keys)))
	b.mu.Unlock()
	time.Sleep(b.took)
	values := map[string]int{}
	for _, key := range keys {
		values[key] = len(key)
	}
	if b.after != nil {
		return b.after(values)
	}
	return values, nil
}

func (b *bulk) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, keys := range b.calls {
		got = append(got, strings.Join(keys, " "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the bulk load was called with %q, want %q", got, want)
	}
}

func TestBatcher(t *testing.T) {
	both(t, "collects the keys of a window", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		b := &bulk{took: time.Second}
		load := corral.NewBatcher(b.load, corral.BatchOptions{Window: 10 * time.Millisecond})
		start := time.Now()
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				time.Sleep(time.Duration(i%3) * 4 * time.Millisecond)
				key := strings.Repeat("k", 1+i%3)
				v, err := l.GetOrLoad(t.Context(), key, load)
				want(t, "GetOrLoad", v, err, 1+i%3, nil)
			})
		}
		all.Wait()
		wantTook(t, "a window and a load", start, 10*time.Millisecond+time.Second)
		b.wantCalls(t, "k kk kkk")
		if v := get(t, l, "late", load); v != 4 {
			t.Errorf("GetOrLoad = %d, want 4", v)
		}
		b.wantCalls(t, "k kk kkk", "late")
	})

	bubble(t, "a full batch waits no longer", func(t *testing.T) {
		b := &bulk{}
		load := corral.NewBatcher(b.load, corral.BatchOptions{Window: time.Hour, MaxKeys: 2})
		start := time.Now()
		go load(t.Context(), "a")
		synctest.Wait()
		v, err := load(t.Context(), "bb")
		want(t, "load", v, err, 2, nil)
		wantTook(t, "it", start, 0)
		b.wantCalls(t, "a bb")
		synctest.Wait()
	})

	bubble(t, "a caller waits on its own context", func(t *testing.T) {
		b := &bulk{took: time.Second}
		load := corral.NewBatcher(b.load, corral.BatchOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		go func() {
			_, err := load(ctx, "a")
			want(t, "the one that leaves", 0, err, 0, context.DeadlineExceeded)
		}()
		v, err := load(t.Context(), "bb")
		want(t, "the one that stays", v, err, 2, nil)
		b.wantCalls(t, "a bb")
	})

	bubble(t, "nobody waits", func(t *testing.T) {
		ended := make(chan error, 1)
		load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		}, corral.BatchOptions{Window: 10 * time.Millisecond})
		for _, leaves := range []time.Duration{5 * time.Millisecond, time.Second} { // before and after the load starts
			ctx, cancel := context.WithTimeout(t.Context(), leaves)
			_, err := load(ctx, "a")
			want(t, "load", 0, err, 0, context.DeadlineExceeded)
			cancel()
			time.Sleep(time.Minute)
			if starts := leaves > 10*time.Millisecond; len(ended) == 1 != starts {
				t.Errorf("after %v: the load has ended: %v, want %v", leaves, len(ended) == 1, starts)
			}
		}
	})
}

func TestBatcherFailures(t *testing.T) {
	keyErrors := &corral.KeyErrors[string]{Errors: map[string]error{"bad": errSource}}
	for name, test := range map[string]struct {
		after func(values map[string]int) (map[string]int, error)
		want  map[string]error // of key "good" and key "bad"
	}{
		"for one key": {
			func(v map[string]int) (map[string]int, error) { delete(v, "bad"); return v, keyErrors },
			map[string]error{"bad": errSource},
		},
		"wrapped": {
			func(v map[string]int) (map[string]int, error) {
				delete(v, "bad")
				return v, fmt.Errorf("users: %w", keyErrors)
			},
			map[string]error{"bad": errSource},
		},
		"for those that are left out": {
			func(v map[string]int) (map[string]int, error) { delete(v, "bad"); return v, errSource },
			map[string]error{"bad": errSource},
		},
		"a key left out is absent": {
			func(v map[string]int) (map[string]int, error) { delete(v, "bad"); return v, nil },
			map[string]error{"bad": corral.ErrNotFound},
		},
		"nothing at all": {
			func(map[string]int) (map[string]int, error) { return nil, nil },
			map[string]error{"good": corral.ErrNotFound, "bad": corral.ErrNotFound},
		},
		"a nil KeyErrors": {
			func(map[string]int) (map[string]int, error) { return nil, (*corral.KeyErrors[string])(nil) },
			map[string]error{"good": corral.ErrNotFound, "bad": corral.ErrNotFound},
		},
		"unasked keys": {
			func(v map[string]int) (map[string]int, error) { v["ugly"] = 1; return v, nil },
			map[string]error{},
		},
		"Goexit": {
			func(map[string]int) (map[string]int, error) { runtime.Goexit(); return nil, nil },
			map[string]error{"good": corral.ErrGoexit, "bad": corral.ErrGoexit},
		},
		"a panic": {
			func(map[string]int) (map[string]int, error) { panic(errSource) },
			map[string]error{"good": errSource, "bad": errSource},
		},
	} {
		bubble(t, name, func(t *testing.T) {
			b := &bulk{after: test.after}
			load := corral.NewBatcher(b.load, corral.BatchOptions{})
			var all sync.WaitGroup
			for _, key := range []string{"good", "bad"} {
				all.Go(func() {
					value := len(key)
					if test.want[key] != nil {
						value = 0
					}
					v, err := load(t.Context(), key)
					want(t, key, v, err, value, test.want[key])
				})
			}
			all.Wait()
			b.wantCalls(t, "bad good")
		})
	}
}

func TestBatcherControls(t *testing.T) {
	both(t, "each key's own", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
			values := map[string]int{}
			for _, key := range keys {
				c, ok := corral.FromContextKey[string, int](ctx, key)
				if !ok {
					t.Errorf("no control of %q", key)
					continue
				}
				c.SetTTL(time.Duration(len(key)) * time.Second)
				values[key] = 1
			}
			return values, nil
		}, corral.BatchOptions{})
		for _, key := range []string{"a", "bb", "ccc"} {
			go l.GetOrLoad(t.Context(), key, load)
		}
		time.Sleep(2 * time.Millisecond)
		for _, key := range []string{"a", "bb", "ccc"} {
			r, err := l.Lookup(t.Context(), key, load)
			if ttl := r.TTL + r.Age; err != nil || ttl != time.Duration(len(key))*time.Second {
				t.Errorf("the TTL of %q is %v, %v", key, ttl, err)
			}
		}
	})
}

func TestNewBatcherRefusesOptionsThatCannotWork(t *testing.T) {
	load := (&bulk{}).load
	for field, batched := range map[string]corral.LoadFunc[string, int]{
		"the bulk load":        corral.NewBatcher[string, int](nil, corral.BatchOptions{}),
		"BatchOptions.Window":  corral.NewBatcher(load, corral.BatchOptions{Window: -1}),
		"BatchOptions.MaxKeys": corral.NewBatcher(load, corral.BatchOptions{MaxKeys: -1}),
	} {
		_, err := batched(t.Context(), "k")
		var wrong *corral.OptionError
		if !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("err is %v, want an OptionError for %s", err, field)
		}
	}
}

func TestBatcher_NoSingleControl(t *testing.T) {
	bubble(t, "FromContext names no single key inside a bulk load", func(t *testing.T) {
		load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
			if _, ok := corral.FromContext[int](ctx); ok {
				t.Error("FromContext found the control of the caller that came first")
			}
			if _, ok := corral.FromContextKey[string, int](ctx, keys[0]); !ok {
				t.Error("FromContextKey found no control")
			}
			return map[string]int{keys[0]: 1}, nil
		}, corral.BatchOptions{})
		get(t, memLoader(t, corral.Options{TTL: time.Minute}), "k", load)
	})
}

// trap is an error that panics, or does as it is told, when somebody looks into it.
type trap struct{ spring func() }

func (*trap) Error() string { return "a trap" }

func (e *trap) Unwrap() error {
	e.spring() // panics if e is nil
	return nil
}

// C5, C6: an error that cannot be looked into is a failure of the batch, and of
// nothing else.
func TestBatcher_C5_AnErrorThatPanics(t *testing.T) {
	for name, test := range map[string]struct {
		load corral.BulkLoadFunc[string, int]
		want error // nil: a PanicError
	}{
		"a typed nil": {load: func(context.Context, []string) (map[string]int, error) {
			return map[string]int{"a": 1}, (*trap)(nil)
		}},
		"Unwrap panics": {load: func(context.Context, []string) (map[string]int, error) {
			return nil, fmt.Errorf("users: %w", &trap{func() { panic("gotcha") }})
		}},
		"Unwrap ends the goroutine": {load: func(context.Context, []string) (map[string]int, error) {
			return nil, &trap{runtime.Goexit}
		}, want: corral.ErrGoexit},
		"a panic with one": {load: func(context.Context, []string) (map[string]int, error) { panic((*trap)(nil)) }},
	} {
		bubble(t, name, func(t *testing.T) {
			load := corral.NewBatcher(test.load, corral.BatchOptions{})
			var all sync.WaitGroup
			for _, key := range []string{"a", "b"} {
				all.Go(func() {
					v, err := load(t.Context(), key)
					if test.want != nil {
						want(t, key, v, err, 0, test.want)
						return
					}
					var crashed *corral.PanicError
					if v != 0 || !errors.As(err, &crashed) {
						t.Errorf("%s = %d, %v; want a PanicError", key, v, err)
					}
				})
			}
			all.Wait()
		})
	}

	bubble(t, "a panic with KeyErrors is a panic of every key", func(t *testing.T) {
		load := corral.NewBatcher(func(context.Context, []string) (map[string]int, error) {
			panic(&corral.KeyErrors[string]{Errors: map[string]error{"a": errSource}})
		}, corral.BatchOptions{})
		_, err := load(t.Context(), "a")
		var crashed *corral.PanicError
		if !errors.As(err, &crashed) {
			t.Errorf("err is %v, want a PanicError", err)
		}
	})
}

// B2: a key that the load names as failed has failed.
func TestBatcher_B2_ANamedErrorStandsAboveAValue(t *testing.T) {
	for name, test := range map[string]struct {
		err   error // that KeyErrors has for the key
		value int
	}{"an error": {err: errSource}, "no error": {value: 1}} {
		bubble(t, name, func(t *testing.T) {
			load := corral.NewBatcher(func(context.Context, []string) (map[string]int, error) {
				return map[string]int{"a": 1}, &corral.KeyErrors[string]{Errors: map[string]error{"a": test.err}}
			}, corral.BatchOptions{})
			v, err := load(t.Context(), "a")
			want(t, "load", v, err, test.value, test.err)
		})
	}
}

// F9: what the load says of a key holds for every flight that gets its value.
func TestBatcher_F9_EachFlightOfAKeyIsTold(t *testing.T) {
	bubble(t, "a flight and the one after a Delete", func(t *testing.T) {
		c := memadapter.New[string, int]()
		l := newLoader[string, int](t, c, corral.Options{TTL: time.Hour})
		load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
			control, ok := corral.FromContextKey[string, int](ctx, keys[0])
			if !ok {
				t.Fatal("no control")
			}
			control.NoStore()
			return map[string]int{keys[0]: 1}, nil
		}, corral.BatchOptions{Window: time.Second})
		go l.GetOrLoad(t.Context(), "a", load)
		synctest.Wait()
		if err := l.Delete(t.Context(), "a"); err != nil { // detaches the flight, whose load has not begun
			t.Fatal(err)
		}
		get(t, l, "a", load)
		synctest.Wait()
		if e, _ := c.Get(t.Context(), "a"); e != nil {
			t.Errorf("stored for %v, though the load said NoStore", e.TTL)
		}
	})

	bubble(t, "flights of two Loaders, with values of two types", func(t *testing.T) {
		one := memLoader(t, corral.Options{TTL: time.Hour})
		other := newLoader(t, memadapter.New[string, string](), corral.Options{TTL: time.Hour})
		var controls atomic.Int64
		b := &bulk{}
		load := corral.NewBatcher(func(ctx context.Context, keys []string) (map[string]int, error) {
			if _, ok := corral.FromContextKey[string, int](ctx, "a"); ok {
				controls.Add(1)
			}
			if _, ok := corral.FromContextKey[string, string](ctx, "a"); ok {
				controls.Add(1)
			}
			return b.load(ctx, keys)
		}, corral.BatchOptions{})
		var all sync.WaitGroup
		all.Go(func() { get(t, one, "a", load) })
		all.Go(func() {
			_, err := other.GetOrLoad(t.Context(), "a", func(ctx context.Context, key string) (string, error) {
				v, err := load(ctx, key)
				return fmt.Sprint(v), err
			})
			if err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		b.wantCalls(t, "a", "a")
		if n := controls.Load(); n != 2 {
			t.Errorf("%d controls were found, want one of each Loader", n)
		}
	})

	bubble(t, "calls without a control share", func(t *testing.T) {
		b := &bulk{}
		load := corral.NewBatcher(b.load, corral.BatchOptions{})
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				v, err := load(t.Context(), "a")
				want(t, "load", v, err, 1, nil)
			})
		}
		all.Wait()
		b.wantCalls(t, "a")
	})
}

func TestBatcherRefusesWhatCannotBeLoaded(t *testing.T) {
	b := &bulk{}
	bubble(t, "no context", func(t *testing.T) {
		var none context.Context
		_, err := corral.NewBatcher(b.load, corral.BatchOptions{})(none, "a")
		if _, same := memLoader(t, corral.Options{TTL: 1}).GetOrLoad(none, "a", (&source{}).load); err == nil || !errors.Is(err, same) {
			t.Errorf("err is %v, want %v", err, same)
		}
	})
	bubble(t, "a context that has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errSource)
		_, err := corral.NewBatcher(b.load, corral.BatchOptions{MaxKeys: 1})(ctx, "a")
		want(t, "load", 0, err, 0, errSource)
	})
	bubble(t, "a key that cannot be hashed", func(t *testing.T) {
		load := corral.NewBatcher(func(context.Context, []any) (map[any]int, error) { return nil, nil }, corral.BatchOptions{})
		_, err := load(t.Context(), []int{1})
		want(t, "load", 0, err, 0, corral.ErrInvalidKey)
	})
	bubble(t, "a key that no map finds again", func(t *testing.T) {
		load := corral.NewBatcher(func(_ context.Context, keys []float64) (map[float64]int, error) {
			return map[float64]int{keys[0]: 1}, nil
		}, corral.BatchOptions{})
		v, err := load(t.Context(), math.NaN())
		want(t, "load", v, err, 0, corral.ErrInvalidKey)
	})
	b.wantCalls(t)
}

// silent is an error that panics when it is asked for its text.
type silent struct{ text string }

func (e *silent) Error() string { return e.text }

func TestKeyErrorsOfErrorsThatAreNone(t *testing.T) {
	err := &corral.KeyErrors[string]{Errors: map[string]error{"a": nil, "b": errSource, "c": (*silent)(nil)}}
	if got, want := err.Error(), "corral: 2 keys failed: 1 × <nil>; 1 × "+errSource.Error(); got != want {
		t.Errorf("Error = %q, want %q", got, want)
	}
	if n := len(err.Unwrap()); n != 2 || !errors.Is(err, errSource) {
		t.Errorf("it unwraps to %d errors, want 2, one of the source", n)
	}
}
