package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// faultyFleet returns a fleet over n caches in memory that can fail.
func faultyFleet(t testing.TB, n int, opts fleet.Options[string]) (*fleet.Fleet[string, string], []*faulty) {
	var caches []*faulty
	f, _ := open(t, equal(n), opts, func(int) corral.Cache[string, string] {
		caches = append(caches, newFaulty())
		return caches[len(caches)-1]
	})
	return f, caches
}

// keysOn returns, for each of n shards, some keys that are on it.
func keysOn(f *fleet.Fleet[string, string], n, some int) [][]string {
	on := make([][]string, n)
	index := map[string]int{}
	for i, s := range equal(n).Shards {
		index[s.ID] = i
	}
	for key, left := 0, n*some; left > 0; key++ {
		text := fmt.Sprint("key:", key)
		if i := index[f.Owner(text).ID]; len(on[i]) < some {
			on[i] = append(on[i], text)
			left--
		}
	}
	return on
}

func TestAKeyIsOnItsShardAlone(t *testing.T) {
	f, caches := faultyFleet(t, 3, fleet.Options[string]{})
	on := keysOn(f, 3, 20)
	for i, keys := range on {
		for _, key := range keys {
			must(t, f.Set(t.Context(), key, fresh(key)))
			for j, c := range caches {
				if e, _ := c.Cache.Get(t.Context(), key); (e != nil) != (i == j) {
					t.Errorf("%s is on shard %d: %v; it belongs to %d", key, j, e != nil, i)
				}
			}
			e, err := f.Get(t.Context(), key)
			if must(t, err); e == nil || e.Value != key {
				t.Errorf("Get(%s) = %v", key, e)
			}
			must(t, f.Delete(t.Context(), key))
			if e, _ := caches[i].Cache.Get(t.Context(), key); e != nil {
				t.Errorf("%s is still on shard %d", key, i)
			}
		}
	}
}

// mixed interleaves the keys of all shards.
func mixed(on [][]string) (keys []string) {
	for j := range on[0] {
		for _, some := range on {
			keys = append(keys, some[j])
		}
	}
	return keys
}

// B1: one call for each shard, and all at a time.
func TestManyKeysAreOneCallToEachShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, caches := faultyFleet(t, 3, fleet.Options[string]{})
		keys := mixed(keysOn(f, 3, 10))
		entries := make([]*corral.Entry[string], len(keys))
		for i, key := range keys {
			entries[i] = fresh(key)
		}
		for _, c := range caches {
			c.do(func(context.Context) error { time.Sleep(time.Second); return nil })
		}
		start := time.Now()
		must(t, f.SetMany(t.Context(), keys, entries))
		got, err := f.GetMany(t.Context(), keys)
		must(t, err)
		for i, e := range got {
			if e == nil || e.Value != keys[i] {
				t.Errorf("entry %d is %v, want that of %s", i, e, keys[i])
			}
		}
		must(t, f.DeleteMany(t.Context(), keys))
		got, err = f.GetMany(t.Context(), append(keys, "never"))
		must(t, err)
		for i, e := range got {
			if e != nil {
				t.Errorf("entry %d is still there", i)
			}
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("4 calls of 3 shards took %v, want 4s", took)
		}
		for i, c := range caches {
			if n := c.calls.Load(); n != 4 {
				t.Errorf("shard %d got %d calls, want 4", i, n)
			}
		}
	})
}

func TestManyKeysOfOneShardAreOneCall(t *testing.T) {
	f, caches := faultyFleet(t, 3, fleet.Options[string]{})
	keys := keysOn(f, 3, 5)[1]
	fault := errors.New("fault")
	caches[1].do(func(context.Context) error { return fault })
	if _, err := f.GetMany(t.Context(), keys); err != fault {
		t.Errorf("the error is %v, want the shard's own", err)
	}
	if a, b := caches[0].calls.Load(), caches[2].calls.Load(); a+b != 0 {
		t.Errorf("the other shards got %d and %d calls", a, b)
	}
	got, err := f.GetMany(t.Context(), nil)
	if err != nil || len(got) != 0 {
		t.Errorf("GetMany of no keys = %v, %v", got, err)
	}
	must(t, f.SetMany(t.Context(), nil, nil))
	if err := f.SetMany(t.Context(), keys, nil); err == nil {
		t.Error("no error for 5 keys without entries")
	}
}

// I11: a shard that fails, whichever way, fails its keys alone.
func TestAShardThatFailsFailsItsKeysAlone(t *testing.T) {
	fault := errors.New("fault")
	for name, c := range map[string]struct {
		does func(ctx context.Context) error
		want func(t *testing.T, err error)
		took time.Duration
	}{
		"an error": {func(context.Context) error { return fault }, func(t *testing.T, err error) { wantIs(t, err, fault) }, 0},
		"a panic":  {func(context.Context) error { panic("no") }, func(t *testing.T, err error) { wantPanic(t, err) }, 0},
		"late, by the context": {
			func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
			func(t *testing.T, err error) { wantIs(t, err, context.DeadlineExceeded) }, 900 * time.Millisecond,
		},
		"late, whatever the context says": {
			func(ctx context.Context) error { time.Sleep(time.Minute); return nil },
			func(t *testing.T, err error) { wantIs(t, err, context.DeadlineExceeded) }, 900 * time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, caches := faultyFleet(t, 3, fleet.Options[string]{})
				on := keysOn(f, 3, 10)
				keys := mixed(on)
				for _, key := range keys {
					must(t, f.Set(t.Context(), key, fresh(key)))
				}
				caches[1].do(c.does)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				start := time.Now()
				got, err := f.GetMany(ctx, keys)
				if took := time.Since(start); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				var some *corral.KeyErrors[string]
				if !errors.As(err, &some) || len(some.Errors) != 10 {
					t.Fatalf("the error is %v, want that of 10 keys", err)
				}
				for _, key := range on[1] {
					c.want(t, some.Errors[key])
				}
				for i, e := range got {
					if _, failed := some.Errors[keys[i]]; failed == (e != nil) {
						t.Errorf("entry %d of %s is %v", i, keys[i], e)
					}
				}
				time.Sleep(time.Hour) // what was left behind ends
			})
		})
	}
}

func TestTimeoutBoundsAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, caches := faultyFleet(t, 2, fleet.Options[string]{Timeout: 50 * time.Millisecond})
		on := keysOn(f, 2, 2)
		caches[0].do(func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) })
		start := time.Now()
		err := f.DeleteMany(t.Context(), mixed(on))
		var some *corral.KeyErrors[string]
		if took := time.Since(start); took != 50*time.Millisecond || !errors.As(err, &some) || len(some.Errors) != 2 {
			t.Errorf("after %v the error is %v; want those of 2 keys after 50ms", took, err)
		}
	})
}

// short returns fewer entries than keys.
type short struct{ *faulty }

func (s short) GetMany(context.Context, []string) ([]*corral.Entry[string], error) {
	return make([]*corral.Entry[string], 1), nil
}

func TestAShardThatMiscounts(t *testing.T) {
	f, _ := open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] {
		if i == 0 {
			return short{newFaulty()}
		}
		return newFaulty()
	})
	var some *corral.KeyErrors[string]
	if _, err := f.GetMany(t.Context(), mixed(keysOn(f, 2, 3))); !errors.As(err, &some) || len(some.Errors) != 3 {
		t.Errorf("the error is %v, want that of 3 keys", err)
	}
}

// halfway answers for one key, and loses the others.
type halfway struct{ *faulty }

var errLost = errors.New("the connection broke")

func (halfway) DeleteMany(_ context.Context, keys []string) error {
	return errors.Join(&corral.KeyErrors[string]{Errors: map[string]error{keys[0]: errors.New("refused")}}, errLost)
}

func TestAnErrorJoinedToKeyErrors(t *testing.T) {
	f, _ := open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] {
		if i == 0 {
			return halfway{newFaulty()}
		}
		return newFaulty()
	})
	on := keysOn(f, 2, 3)
	var some *corral.KeyErrors[string]
	if err := f.DeleteMany(t.Context(), mixed(on)); !errors.As(err, &some) || len(some.Errors) != 3 || !errors.Is(some.Errors[on[0][1]], errLost) {
		t.Errorf("the error is %v, want that of 3 keys", err)
	}
}

// A shard that takes one key at a time is asked in turns, as one of a batch.
func TestAShardWithoutBatches(t *testing.T) {
	fault := errors.New("fault")
	inner := newFaulty()
	f, _ := open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] {
		if i == 0 {
			return single{inner}
		}
		return newFaulty()
	})
	on := keysOn(f, 2, 100)
	keys := mixed(on)
	entries := make([]*corral.Entry[string], len(keys))
	for i, key := range keys {
		entries[i] = fresh(key)
	}
	must(t, f.SetMany(t.Context(), keys, entries))
	var n int
	got, err := f.GetMany(t.Context(), keys)
	must(t, err)
	for i, e := range got {
		if e == nil || e.Value != keys[i] {
			t.Errorf("entry %d is %v", i, e)
		}
	}
	inner.do(func(context.Context) error {
		if inner.calls.Load()%2 == 0 {
			return fault
		}
		panic("no")
	})
	_, err = f.GetMany(t.Context(), keys)
	var some *corral.KeyErrors[string]
	if !errors.As(err, &some) {
		t.Fatal(err)
	}
	for _, key := range on[0] {
		if some.Errors[key] != nil {
			n++
		}
	}
	if n != 100 || len(some.Errors) != 100 {
		t.Errorf("%d keys failed, %d of them on the shard, want 100", len(some.Errors), n)
	}
	must(t, f.DeleteMany(t.Context(), keys))
}

// router is a Router of the user's.
type router func(hash uint64) []uint16

func (r router) Rank(hash uint64, dst []uint16) []uint16 { return append(dst, r(hash)...) }

type picker struct{ router }

func (p picker) Pick(hash uint64) uint16 { return p.router(hash)[0] }

func TestARouterOfTheUsers(t *testing.T) {
	with := func(r fleet.Router) *fleet.Fleet[string, string] {
		f, _ := faultyFleet(t, 3, fleet.Options[string]{Router: func(fleet.Topology) (fleet.Router, error) { return r, nil }})
		return f
	}
	last := router(func(uint64) []uint16 { return []uint16{2, 0, 1} })
	for name, r := range map[string]fleet.Router{"that ranks": last, "that picks": picker{last}} {
		f := with(r)
		if got := f.Owner("key").ID; got != "s02" {
			t.Errorf("a Router %s put the key on %s, want s02", name, got)
		}
	}
	for name, c := range map[string]struct {
		router fleet.Router
		value  string
	}{
		"none":   {router(func(uint64) []uint16 { return nil }), "a Router that ranked no shard"},
		"beyond": {router(func(uint64) []uint16 { return []uint16{3} }), "a Router that ranked shard 3"},
		"picks":  {picker{router(func(uint64) []uint16 { return []uint16{7} })}, "a Router that ranked shard 7"},
	} {
		t.Run(name, func(t *testing.T) {
			f := with(c.router)
			_, err := f.Get(t.Context(), "key")
			wantOption(t, err, "Options.Router", c.value)
			_, err = f.Explain(t.Context(), "key")
			wantOption(t, err, "Options.Router", c.value)
			if got := f.Owner("key"); got != (fleet.Shard{}) {
				t.Errorf("the owner is %v", got)
			}
		})
	}
	f := with(picker{router(func(uint64) []uint16 { panic("no") })})
	wantPanic(t, f.Delete(t.Context(), "key"))
	_, err := f.Explain(t.Context(), "key")
	wantPanic(t, err)
}

func TestAKeyThatCannotBePlaced(t *testing.T) {
	f, _ := faultyFleet(t, 3, fleet.Options[string]{KeyBytes: func(dst []byte, key string) []byte {
		if key == "bad" {
			panic(key)
		}
		return append(dst, key...)
	}})
	_, err := f.Get(t.Context(), "bad")
	wantPanic(t, err)
	var some *corral.KeyErrors[string]
	if err := f.SetMany(t.Context(), []string{"good", "bad"}, []*corral.Entry[string]{fresh("1"), fresh("2")}); !errors.As(err, &some) || len(some.Errors) != 1 {
		t.Errorf("the error is %v, want that of one key", err)
	}
	wantPanic(t, some.Errors["bad"])
	if e, err := f.Get(t.Context(), "good"); err != nil || e == nil {
		t.Errorf("Get of the other = %v, %v", e, err)
	}
	if n := testing.AllocsPerRun(100, func() { f.Owner("good") }); n != 0 {
		t.Errorf("%v allocations with KeyBytes", n)
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	pins := memoryPins[string](t, 0)
	_, _, err := pins.GetOrPin(t.Context(), "pinned", "s01")
	must(t, err)
	for name, opts := range map[string]fleet.Options[string]{
		"as it is": {}, "pins": {Pins: pins}, "secret": {Secret: testSecret()}, "ring": {Router: fleet.Ring(100, nil)},
	} {
		f, _ := open(t, equal(8), opts, func(int) corral.Cache[string, string] { return memadapter.New[string, string]() })
		cache, ctx := f.AsCache(), t.Context()
		for _, key := range []string{"key", "pinned"} {
			must(t, f.Set(ctx, key, fresh("value")))
			if n := testing.AllocsPerRun(100, func() { _, _ = cache.Get(ctx, key) }); n != 0 {
				t.Errorf("%s: %v allocations for a hit of %s", name, n, key)
			}
		}
	}
}
