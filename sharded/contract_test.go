package sharded_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded"
)

type ask = func(context.Context, *group, string, load) <-chan result

func TestContract_C1_OneLoad(t *testing.T) {
	sub(t, "whatever mix of calls", func(t *testing.T) {
		g, source := newGroup(sharded.Options[string]{}), counter{}
		var all []<-chan result
		for range 100 {
			all = append(all, g.DoChan(cancellable(t), "key", source.takes(time.Second)), g.DoChan(context.Background(), "key", source.takes(time.Second)))
			all = append(all, call(cancellable(t), g, "key", source.takes(time.Second)), call(context.Background(), g, "key", source.takes(time.Second)))
		}
		if n := waiters(g, "key"); n != 400 {
			t.Errorf("%d callers wait, want 400", n)
		}
		for _, results := range all {
			if r := <-results; r != (result{Value: 1, Shared: true}) {
				t.Fatalf("a caller got %+v", r)
			}
		}
		source.want(t, 1)
	})
	sub(t, "one caller alone does not share", func(t *testing.T) {
		g, source := newGroup(sharded.Options[string]{}), counter{}
		for _, ctx := range []context.Context{context.Background(), cancellable(t)} {
			if v, shared, err := g.Do(ctx, "key", source.takes(0)); v == 0 || shared || err != nil {
				t.Errorf("Do = %d, %v, %v", v, shared, err)
			}
		}
	})
	each(t, timeout)
	each(t, detached)
}

// timeout: the load's callers get ErrLoadTimeout on the instant, the late result
// is dropped, the key works at once.
func timeout(t *testing.T, ask ask) {
	g, source := newGroup(sharded.Options[string]{Timeout: time.Second}), counter{}
	start := time.Now()
	late := ask(cancellable(t), g, "key", source.takes(time.Hour))
	joined := ask(t.Context(), g, "key", source.takes(0))
	for _, results := range []<-chan result{late, joined} {
		r := <-results
		if r.Value != 0 || r.Err != sharded.ErrLoadTimeout || !errors.Is(r.Err, context.DeadlineExceeded) {
			t.Errorf("got %+v, want ErrLoadTimeout", r)
		}
	}
	if took := time.Since(start); took != time.Second {
		t.Errorf("timed out after %v, want 1s", took)
	}
	if r := <-ask(cancellable(t), g, "key", source.takes(0)); r.Value != 2 || r.Err != nil {
		t.Errorf("the next call got %+v, want a load of its own", r)
	}
	slow := ask(cancellable(t), g, "key", source.takes(time.Second-1))
	if r := <-slow; r.Value != 3 || r.Err != nil {
		t.Errorf("a load that took 1ns less than the timeout gave %+v", r)
	}
	time.Sleep(time.Hour)
}

// A load that heeds its context and reports its end has timed out too, and a
// caller with a background context gets the error when its fn returns.
func TestTimeoutOfALoadThatHeedsItsContext(t *testing.T) {
	for _, how := range []string{"waits", "polls"} {
		each(t, func(t *testing.T, ask ask) {
			g := newGroup(sharded.Options[string]{Timeout: time.Second})
			for _, ctx := range []context.Context{cancellable(t), context.Background()} {
				r := <-ask(ctx, g, "key", func(ctx context.Context) (int, error) {
					for how == "polls" && ctx.Err() == nil {
						time.Sleep(time.Second / 4)
					}
					<-ctx.Done()
					return 1, ctx.Err()
				})
				if r.Err != sharded.ErrLoadTimeout {
					t.Errorf("got %+v, want ErrLoadTimeout", r)
				}
			}
		})
	}
}

// detached: after Forget two loads of the key run, each with its own callers.
func detached(t *testing.T, ask ask) {
	g, source := newGroup(sharded.Options[string]{}), counter{}
	first := ask(cancellable(t), g, "key", source.takes(2*time.Second))
	g.Forget("key")
	if n := waiters(g, "key"); n != -1 {
		t.Errorf("a forgotten load is listed, with %d waiters", n)
	}
	second := ask(cancellable(t), g, "key", source.takes(5*time.Second))
	if r := <-first; r.Value != 1 || r.Shared {
		t.Errorf("the forgotten load gave %+v", r)
	}
	third := ask(cancellable(t), g, "key", source.takes(0)) // P7: the second load is still the key's
	for _, results := range []<-chan result{second, third} {
		if r := <-results; r.Value != 2 || !r.Shared {
			t.Errorf("got %+v, want the second load's value, shared", r)
		}
	}
}

func TestContract_C3_ACallerWaitsOnItsOwnContextOnly(t *testing.T) {
	each(t, func(t *testing.T, ask ask) {
		g, source := newGroup(sharded.Options[string]{}), counter{}
		cause := errors.New("went home")
		leader, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
		defer cancel()
		start := time.Now()
		left := ask(leader, g, "key", source.takes(time.Second))
		stayed := ask(context.Background(), g, "key", source.takes(0)) // P8
		if r := <-left; r.Err != cause || time.Since(start) != 100*time.Millisecond {
			t.Errorf("the leader got %+v after %v, want its cause after 100ms", r, time.Since(start))
		}
		if n := waiters(g, "key"); n != 1 {
			t.Errorf("%d callers wait, want 1", n)
		}
		joined := ask(cancellable(t), g, "key", source.takes(0))
		for _, results := range []<-chan result{stayed, joined} {
			if r := <-results; r.Value != 1 || r.Err != nil {
				t.Errorf("got %+v, want the load's value", r)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("waited %v, want 1s", took)
		}
	})
	each(t, func(t *testing.T, ask ask) {
		g, source := newGroup(sharded.Options[string]{}), counter{}
		cause := errors.New("went home before")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if r := <-ask(ctx, g, "key", source.takes(0)); r.Err != cause {
			t.Errorf("got %+v, want the cause", r)
		}
		source.want(t, 0)
	})
}

func TestContract_C3_TheContextOfALoad(t *testing.T) {
	each(t, func(t *testing.T, ask ask) {
		type key struct{}
		g := newGroup(sharded.Options[string]{Timeout: time.Minute})
		caller, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		defer cancel()
		start := time.Now()
		var inside, derived context.Context
		r := ask(caller, g, "key", func(ctx context.Context) (int, error) {
			before := runtime.NumGoroutine()
			inside = ctx
			derived, cancel = context.WithTimeout(ctx, time.Hour)
			stop := context.AfterFunc(ctx, func() {})
			if n := runtime.NumGoroutine() - before; n > 0 {
				t.Errorf("%d goroutines for derived contexts", n)
			}
			stop()
			if at, ok := ctx.Deadline(); !ok || !at.Equal(start.Add(time.Minute)) {
				t.Errorf("deadline %v, %v; want the timeout's", at, ok)
			}
			time.Sleep(30 * time.Second)
			if ctx.Value(key{}) != "value" || ctx.Err() != nil || derived.Err() != nil || context.Cause(ctx) != nil {
				t.Errorf("after the caller left: value %v, error %v, cause %v", ctx.Value(key{}), ctx.Err(), context.Cause(ctx))
			}
			return 1, nil
		})
		<-r
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if inside.Err() != context.Canceled || derived.Err() != context.Canceled || inside.Value(key{}) != "value" {
			t.Errorf("after the load its context says %v, one derived from it %v", inside.Err(), derived.Err())
		}
	})
}

// In whatever order four callers leave, the load is cancelled when the last has
// left, and not before.
func TestContract_C3_CancelAbandoned(t *testing.T) {
	each(t, func(t *testing.T, ask ask) {
		for _, order := range permutations([]int{0, 1, 2, 3}) {
			g := newGroup(sharded.Options[string]{CancelAbandoned: true})
			var inside context.Context
			var leave [4]context.CancelFunc
			var left [4]<-chan result
			for i := range left {
				var ctx context.Context
				ctx, leave[i] = context.WithCancel(t.Context())
				left[i] = ask(ctx, g, "key", func(ctx context.Context) (int, error) {
					inside = ctx
					<-ctx.Done()
					return 0, ctx.Err()
				})
			}
			for _, i := range order {
				if inside.Err() != nil {
					t.Errorf("%v: cancelled before %d left", order, i)
				}
				leave[i]()
				if r := <-left[i]; r.Err != context.Canceled {
					t.Errorf("%v: %d got %+v", order, i, r)
				}
				synctest.Wait()
			}
			if inside.Err() != context.Canceled {
				t.Errorf("%v: not cancelled when all had left", order)
			}
		}
	})
}

func permutations(list []int) (all [][]int) {
	if len(list) == 1 {
		return [][]int{list}
	}
	for i, first := range list {
		for _, rest := range permutations(slices.Delete(slices.Clone(list), i, i+1)) {
			all = append(all, append([]int{first}, rest...))
		}
	}
	return all
}

// P3: a newcomer does not load beside the load that was cancelled, does not see
// its "canceled", and does not wait longer than that load may run.
func TestContract_C3_ANewcomerWaitsForTheCancelledLoad(t *testing.T) {
	for name, c := range map[string]struct{ first, waits time.Duration }{
		"that returns": {first: 5 * time.Second, waits: 5 * time.Second},
		"that hangs":   {first: time.Hour, waits: time.Minute},
	} {
		for way, ask := range calls {
			sub(t, name+"/"+way, func(t *testing.T) {
				g, source := newGroup(sharded.Options[string]{CancelAbandoned: true, Timeout: time.Minute}), counter{}
				start := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				left := ask(ctx, g, "key", source.takes(c.first))
				cancel()
				<-left
				synctest.Wait()
				short, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				impatient := ask(short, g, "key", source.takes(0))
				patient := []<-chan result{
					ask(cancellable(t), g, "key", source.takes(time.Second)),
					ask(context.Background(), g, "key", source.takes(time.Second)),
				}
				if r := <-impatient; r.Err != context.DeadlineExceeded || time.Since(start) != time.Second {
					t.Errorf("who had 1s got %+v after %v", r, time.Since(start))
				}
				source.want(t, 1)
				for _, results := range patient {
					if r := <-results; r.Value != 2 || r.Err != nil || time.Since(start) != c.waits+time.Second {
						t.Errorf("the newcomer got %+v after %v", r, time.Since(start))
					}
				}
				source.want(t, 2)
				time.Sleep(time.Hour)
			})
		}
	}
}

// A DoChan whose context ends in the very instant in which the cancelled load
// returns starts no load for nobody.
func TestContract_C3_QueuedCallerWhoseContextEnds(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			g, source := newGroup(sharded.Options[string]{CancelAbandoned: true}), counter{}
			ctx, leave := context.WithCancel(t.Context())
			queued, leaveQueue := context.WithCancel(t.Context())
			g.DoChan(ctx, "key", func(context.Context) (int, error) {
				time.Sleep(time.Second)
				leaveQueue()
				return 0, nil
			})
			leave()
			synctest.Wait()
			if r := <-g.DoChan(queued, "key", source.takes(time.Second)); r.Err != context.Canceled {
				t.Errorf("got %+v, want its context's end", r)
			}
			time.Sleep(time.Minute)
			source.want(t, 0)
		})
	}
}

func TestContract_C4_ShortDeadlinesConverge(t *testing.T) {
	each(t, func(t *testing.T, ask ask) {
		g, source := newGroup(sharded.Options[string]{}), counter{}
		var got []string
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
			r := <-ask(ctx, g, "key", source.takes(100*time.Millisecond))
			got = append(got, fmt.Sprint(r.Value, r.Err))
			cancel()
		}
		if want := "[0context deadline exceeded 1<nil>]"; strings.ReplaceAll(fmt.Sprint(got), " <", "<") != strings.ReplaceAll(want, "0context", "0 context") {
			t.Errorf("two callers got %v", got)
		}
		source.want(t, 1)
	})
}

// P2: in a loop on one key, nobody gets a value from before its call.
func TestContract_C2_ALandedFlightIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := sharded.NewGroup[string, time.Time](sharded.Options[string]{})
		done := make(chan struct{})
		for i := range 256 {
			go func() {
				for range 20 {
					start := time.Now()
					landed, _, err := g.Do(t.Context(), "key", func(context.Context) (time.Time, error) {
						time.Sleep(time.Duration(1+i%7) * time.Millisecond)
						return time.Now(), nil
					})
					if err != nil || landed.Before(start) {
						t.Errorf("got a value from %v before the call, error %v", start.Sub(landed), err)
					}
				}
				done <- struct{}{}
			}()
		}
		for range 256 {
			<-done
		}
	})
}
