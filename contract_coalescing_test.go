package corral_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
)

func TestContract_C1_OneLoad(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleFor: time.Second}
	both(t, "C1/whatever mix of calls", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 300 * time.Millisecond}
		for i := range 1000 {
			go func() {
				time.Sleep(time.Duration(i) * 7 * time.Millisecond)
				switch i % 3 {
				case 0:
					l.GetOrLoad(t.Context(), "k", s.load)
				case 1:
					l.Lookup(t.Context(), "k", s.load)
				default:
					if i%50 == 2 {
						l.Refresh(t.Context(), "k", s.load)
					}
				}
			}()
		}
		time.Sleep(10 * time.Second)
		if peak := s.peak.Load(); peak != 1 {
			t.Errorf("%d loads at once, want 1", peak)
		}
	})

	both(t, "C1/Refresh joins a load and loads over a fresh entry", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		go l.GetOrLoad(t.Context(), "k", s.load)
		synctest.Wait()
		v, err := l.Refresh(t.Context(), "k", s.load)
		want(t, "Refresh", v, err, 1, nil)
		synctest.Wait()
		v, err = l.Refresh(t.Context(), "k", s.load)
		want(t, "Refresh", v, err, 2, nil)
		s.wantLoads(t, 2)
	})

	both(t, "C1/a flight past LoadTimeout is replaced", corral.Options{TTL: time.Minute, LoadTimeout: time.Second}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 10 * time.Second}
		start := time.Now()
		_, err := l.GetOrLoad(t.Context(), "k", s.load)
		want(t, "GetOrLoad", 0, err, 0, corral.ErrLoadTimeout)
		wantTook(t, "it", start, time.Second)
		if n := l.Stats().Stuck; n != 1 {
			t.Errorf("Stuck is %d, want 1", n)
		}
		v, err := l.GetOrLoad(t.Context(), "k", func(context.Context, string) (int, error) { return 7, nil })
		want(t, "GetOrLoad", v, err, 7, nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := l.Stats().Stuck; n != 0 {
			t.Errorf("Stuck is %d, want 0", n)
		}
		if v := get(t, l, "k", s.load); v != 7 {
			t.Errorf("GetOrLoad = %d: the late result was stored", v)
		}
	})
}

func TestContract_C3_ACallerWaitsOnItsOwnContext(t *testing.T) {
	type name struct{}
	opts := corral.Options{TTL: time.Minute}
	both(t, "C3/the leader leaves", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), name{}, "alice"))
		time.AfterFunc(100*time.Millisecond, func() { cancel(gone) })
		load := func(ctx context.Context, key string) (int, error) {
			if ctx.Value(name{}) != "alice" {
				t.Error("the load has not the leader's values")
			}
			deadline, ok := ctx.Deadline()
			if !ok || time.Until(deadline) != 30*time.Second {
				t.Errorf("the load's deadline is %v, %v; want LoadTimeout", deadline, ok)
			}
			time.Sleep(time.Second)
			return 5, context.Cause(ctx)
		}
		start := time.Now()
		_, err := l.GetOrLoad(ctx, "k", load)
		want(t, "the leader", 0, err, 0, gone)
		wantTook(t, "it", start, 100*time.Millisecond)
		v, err := l.GetOrLoad(t.Context(), "k", load)
		want(t, "the waiter", v, err, 5, nil)
		wantTook(t, "it", start, time.Second)
	})

	both(t, "C3/finished and stored though every caller left", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		l.GetOrLoad(ctx, "k", s.load)
		time.Sleep(2 * time.Second)
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
	})

	abandon := corral.Options{TTL: time.Minute, CancelAbandoned: true}
	both(t, "C3/CancelAbandoned", abandon, func(t *testing.T, l *corral.Loader[string, int]) {
		var ended atomic.Int64
		start := time.Now()
		load := func(ctx context.Context, key string) (int, error) {
			<-ctx.Done()
			ended.Store(int64(time.Since(start)))
			time.Sleep(time.Second) // it takes its time to clean up
			return 0, ctx.Err()
		}
		for i := range 4 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*10*time.Millisecond)
				defer cancel()
				l.GetOrLoad(ctx, "k", load)
			}()
		}
		time.Sleep(50 * time.Millisecond)
		if after := time.Duration(ended.Load()); after != 40*time.Millisecond {
			t.Errorf("the load was cancelled after %v, want with the last caller at 40ms", after)
		}
		var s source
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
		wantTook(t, "the newcomer, which queued", start, 40*time.Millisecond+time.Second)
	})

	both(t, "C3/CancelAbandoned spares Refresh", abandon, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := l.Refresh(ctx, "k", s.load)
		want(t, "Refresh", 0, err, 0, context.DeadlineExceeded)
		time.Sleep(2 * time.Second)
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d, want 1", v)
		}
	})

	both(t, "C3/an ended context starts nothing", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := l.GetOrLoad(ctx, "k", s.load)
		want(t, "GetOrLoad", 0, err, 0, context.Canceled)
		s.wantLoads(t, 0)
	})
}

func TestContract_C4_DeadlinesShorterThanTheLoadConverge(t *testing.T) {
	both(t, "C4", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: 100 * time.Millisecond}
		for i := 0; ; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
			v, err := l.GetOrLoad(ctx, "k", s.load)
			cancel()
			if err == nil {
				want(t, "GetOrLoad", v, err, 1, nil)
				break
			}
			if i > 3 {
				t.Fatal("it does not converge")
			}
		}
		s.wantLoads(t, 1)
	})
}

func TestContract_C5_Panic(t *testing.T) {
	opts := corral.Options{TTL: time.Second, StaleFor: time.Minute}
	both(t, "C5/every waiter gets it", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		load := func(context.Context, string) (int, error) {
			time.Sleep(time.Second)
			panic(errSource)
		}
		errs := make(chan error, 10)
		for range 10 {
			go func() {
				_, err := l.GetOrLoad(t.Context(), "k", load)
				errs <- err
			}()
		}
		first := <-errs
		var p *corral.PanicError
		if !errors.As(first, &p) || !errors.Is(first, errSource) || len(p.Stack) == 0 {
			t.Fatalf("err = %v, want a PanicError with a stack around the value", first)
		}
		for range 9 {
			if err := <-errs; err != first {
				t.Errorf("err = %v, want the same", err)
			}
		}
		var s source
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d: the key does not work again", v)
		}
		if n := l.Stats().Panics; n != 1 {
			t.Errorf("Panics is %d, want 1", n)
		}
	})

	var told []corral.Event
	opts.Hooks.Load = func(_ context.Context, e corral.Event) { told = append(told, e) }
	both(t, "C5/in the background", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		told = nil
		var s source
		get(t, l, "k", s.load)
		time.Sleep(2 * time.Second)
		get(t, l, "k", func(context.Context, string) (int, error) { panic("boom") })
		synctest.Wait()
		var p *corral.PanicError
		if len(told) != 2 || told[1].Op != corral.OpRefresh || !errors.As(told[1].Err, &p) || p.Value != "boom" {
			t.Errorf("the hook was told %+v, want the panic of the refresh", told)
		}
	})

	boom := func(context.Context, corral.Event) { panic("hook") }
	opts.Hooks = corral.Hooks{Hit: boom, Stale: boom, Miss: boom, Load: boom}
	both(t, "C5/in a hook", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		for range 2 {
			if v := get(t, l, "k", s.load); v != 1 {
				t.Errorf("GetOrLoad = %d, want 1", v)
			}
		}
		if n := l.Stats().HookPanics; n != 3 {
			t.Errorf("HookPanics is %d, want 3: a load, a miss and a hit", n)
		}
	})
}

func TestContract_C6_Goexit(t *testing.T) {
	both(t, "C6", corral.Options{TTL: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		load := func(context.Context, string) (int, error) {
			time.Sleep(time.Second)
			runtime.Goexit()
			return 1, nil
		}
		errs := make(chan error, 10)
		for range 10 {
			go func() {
				_, err := l.GetOrLoad(t.Context(), "k", load)
				errs <- err
			}()
		}
		for range 10 {
			if err := <-errs; !errors.Is(err, corral.ErrGoexit) {
				t.Errorf("err = %v, want ErrGoexit", err)
			}
		}
		var s source
		if v := get(t, l, "k", s.load); v != 1 {
			t.Errorf("GetOrLoad = %d: the key does not work again", v)
		}
	})
}

func TestContract_C7_Recursion(t *testing.T) {
	opts := corral.Options{TTL: time.Minute}
	both(t, "C7/itself", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		var load corral.LoadFunc[string, int]
		load = func(ctx context.Context, key string) (int, error) { return l.GetOrLoad(ctx, key, load) }
		_, err := l.GetOrLoad(t.Context(), "k", load)
		want(t, "GetOrLoad", 0, err, 0, corral.ErrRecursiveLoad)
	})
	both(t, "C7/a to b to a, started independently", opts, func(t *testing.T, l *corral.Loader[string, int]) {
		other := map[string]string{"a": "b", "b": "a"}
		var load corral.LoadFunc[string, int]
		load = func(ctx context.Context, key string) (int, error) {
			time.Sleep(time.Second)
			return l.GetOrLoad(ctx, other[key], load)
		}
		errs := make(chan error, 2)
		for key := range other {
			go func() {
				_, err := l.GetOrLoad(t.Context(), key, load)
				errs <- err
			}()
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, corral.ErrRecursiveLoad) {
				t.Errorf("err = %v, want ErrRecursiveLoad", err)
			}
		}
	})
	both(t, "C7/a background refresh has no parent", corral.Options{TTL: time.Second, StaleFor: time.Minute}, func(t *testing.T, l *corral.Loader[string, int]) {
		var s source
		get(t, l, "b", s.load)
		time.Sleep(2 * time.Second)
		v := get(t, l, "a", func(ctx context.Context, key string) (int, error) {
			return l.GetOrLoad(ctx, "b", func(ctx context.Context, key string) (int, error) {
				return l.GetOrLoad(ctx, "a", s.load) // waits for a, which does not wait for it
			})
		})
		if v != 1 {
			t.Errorf("GetOrLoad = %d, want the stale 1", v)
		}
	})
}

func TestContract_C8_ASlowLoadDelaysNoOtherKey(t *testing.T) {
	both(t, "C8", corral.Options{TTL: time.Minute, Shards: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		slow := source{took: time.Hour / 200}
		go l.GetOrLoad(t.Context(), "slow", slow.load)
		synctest.Wait()
		var s source
		start := time.Now()
		for _, key := range []string{"a", "b", "a"} {
			get(t, l, key, s.load)
		}
		wantTook(t, "other keys", start, 0)
	})
}

func TestContract_C9_OddKeys(t *testing.T) {
	nan := corral.ErrInvalidKey
	bubble(t, "C9", func(t *testing.T) {
		l := newLoader[any, int](t, anyCache{}, corral.Options{TTL: time.Minute})
		load := func(context.Context, any) (int, error) { return 1, nil }
		for _, key := range []any{"", 1, 1.5, struct{ a any }{nil}} {
			v, err := l.GetOrLoad(t.Context(), key, load)
			want(t, "GetOrLoad", v, err, 1, nil)
		}
		zero := 0.0
		for _, key := range []any{zero / zero, []int{1}, struct{ a any }{[]int{1}}, [1]any{zero / zero}} {
			_, err := l.GetOrLoad(t.Context(), key, load)
			want(t, "GetOrLoad", 0, err, 0, nan)
			_, err = l.Refresh(t.Context(), key, load)
			want(t, "Refresh", 0, err, 0, nan)
			want(t, "Set", 0, l.Set(t.Context(), key, 1), 0, nan)
			want(t, "Delete", 0, l.Delete(t.Context(), "fine", key), 0, nan)
		}
	})
}

// anyCache holds nothing.
type anyCache struct{}

func (anyCache) Get(context.Context, any) (*corral.Entry[int], error) { return nil, nil }
func (anyCache) Set(context.Context, any, *corral.Entry[int]) error   { return nil }
func (anyCache) Delete(context.Context, any) error                    { return nil }

func TestContract_C11_IdleMeansIdle(t *testing.T) {
	both(t, "C11", corral.Options{TTL: time.Second, StaleFor: time.Second, EarlyExpiry: 1}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Millisecond}
		for range 100 {
			get(t, l, "k", s.load)
			time.Sleep(300 * time.Millisecond)
		}
		synctest.Wait()
		if n := flying(); n != 0 {
			t.Errorf("%d flights' goroutines run, want none", n)
		}
	})
	both(t, "C11/waiters cost no goroutine", corral.Options{TTL: time.Second}, func(t *testing.T, l *corral.Loader[string, int]) {
		s := source{took: time.Second}
		for range 1000 {
			go l.GetOrLoad(t.Context(), "k", s.load)
		}
		synctest.Wait()
		if n := flying(); n != 1 {
			t.Errorf("%d goroutines for 1,000 callers, want one", n)
		}
		for _, f := range l.InFlight() {
			if f.Waiters != 1000 || !f.Since.Equal(time.Now()) {
				t.Errorf("InFlight tells %+v, want 1000 waiters since now", f)
			}
		}
	})
}
