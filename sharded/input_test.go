package sharded_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral/sharded"
)

func one(context.Context) (int, error) { return 1, nil }

func TestBadInputIsAnErrorThatNamesIt(t *testing.T) {
	for want, opts := range map[string]sharded.Options[string]{
		"sharded: Options.Shards is -1: it may be 0 to 65536":     {Shards: -1},
		"sharded: Options.Shards is 65537: it may be 0 to 65536":  {Shards: 65537},
		"sharded: Options.Timeout is -1s: it may not be negative": {Timeout: -time.Second},
	} {
		wantError(t, newGroup(opts), context.Background(), one, want)
	}
	g := newGroup(sharded.Options[string]{})
	wantError(t, g, nil, one, "sharded: the context is nil")
	wantError(t, g, context.Background(), nil, "sharded: the function is nil")
	wantError(t, new(group), context.Background(), one, "sharded: the Group was not made with NewGroup")
	if all := new(group).Shards(); len(all) != 0 {
		t.Errorf("the zero Group has %d shards", len(all))
	}
}

func wantError(t *testing.T, g *group, ctx context.Context, fn load, want string) {
	t.Helper()
	if _, _, err := g.Do(ctx, "key", fn); err == nil || err.Error() != want {
		t.Errorf("Do: %v; want %s", err, want)
	}
	if r := <-g.DoChan(ctx, "key", fn); r.Err == nil || r.Err.Error() != want {
		t.Errorf("DoChan: %v; want %s", r.Err, want)
	}
	g.Forget("key")
	for range g.InFlight() {
		t.Error("something is in flight")
	}
}

func TestExtremeOptionsWork(t *testing.T) {
	for _, opts := range []sharded.Options[string]{{Shards: 1}, {Shards: 65536}, {Timeout: math.MaxInt64}, {Shard: func(string) uint64 { return math.MaxUint64 }}} {
		g := newGroup(opts)
		for _, key := range []string{"", "key", strings.Repeat("long", 1<<16)} {
			if v, _, err := g.Do(context.Background(), key, one); v != 1 || err != nil {
				t.Errorf("Do = %d, %v", v, err)
			}
		}
	}
}

func TestContract_C9_InvalidKeys(t *testing.T) {
	wantInvalid(t, math.NaN())
	wantInvalid(t, [2]float64{1, math.NaN()})
	wantInvalid(t, complex(math.NaN(), 0))
	wantInvalid[any](t, math.NaN())
	wantInvalid[any](t, []int{1})
	wantInvalid[any](t, struct{ f func() }{})
	wantInvalid(t, struct{ k any }{map[string]int{}})
	wantValid(t, math.Inf(1))
	wantValid(t, math.Copysign(0, -1))
	wantValid[any](t, nil)
	wantValid[any](t, "text")
	wantValid(t, struct{ k any }{7})
	wantValid(t, struct{}{})
}

func do[K comparable](key K, opts sharded.Options[K]) error {
	g := sharded.NewGroup[K, int](opts)
	defer g.Forget(key)
	_, _, err := g.Do(context.Background(), key, one)
	if r := <-g.DoChan(context.Background(), key, one); r.Err != err {
		panic("Do and DoChan disagree")
	}
	return err
}

func wantInvalid[K comparable](t *testing.T, key K) {
	t.Helper()
	for _, opts := range []sharded.Options[K]{{}, {Shard: func(K) uint64 { return 0 }}} {
		if err := do(key, opts); err != sharded.ErrInvalidKey {
			t.Errorf("%T: %v, want ErrInvalidKey", key, err)
		}
	}
}

func wantValid[K comparable](t *testing.T, key K) {
	t.Helper()
	if err := do(key, sharded.Options[K]{}); err != nil {
		t.Errorf("%T: %v", key, err)
	}
}

func TestContract_C9_AShardFunctionThatPanics(t *testing.T) {
	if err := do("key", sharded.Options[string]{Shard: func(string) uint64 { panic("no") }}); err != sharded.ErrInvalidKey {
		t.Errorf("%v, want ErrInvalidKey", err)
	}
}
