package corral_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
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
