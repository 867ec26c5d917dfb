package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

func TestFleetsThatCannotWork(t *testing.T) {
	type options = fleet.Options[string]
	routing := func(r fleet.Router) options {
		return options{Router: func(fleet.Topology) (fleet.Router, error) { return r, nil }}
	}
	for name, c := range map[string]struct {
		topology fleet.Topology
		opts     options
		field    string
		value    any
	}{
		"no shards":        {fleet.Topology{}, options{}, "Topology.Shards", "0 shards"},
		"an ID twice":      {fleet.Topology{Shards: []fleet.Shard{{ID: "a"}, {ID: "a"}}}, options{}, "Topology.Shards[1].ID", `"a"`},
		"a timeout":        {equal(2), options{Timeout: -1}, "Options.Timeout", "-1ns"},
		"too many points":  {equal(2), options{Router: fleet.Ring(10_001, nil)}, "Ring: points", 10_001},
		"weights for Jump": {shards(1, 2), options{Router: fleet.Jump()}, "Jump: Topology.Shards[1].Weight", 2},
		"no router":        {equal(2), routing(nil), "Options.Router", "a function that returned nil"},
	} {
		t.Run(name, func(t *testing.T) {
			opened := false
			_, err := fleet.New(t.Context(), c.topology, func(context.Context, fleet.Shard) (corral.Cache[string, string], error) {
				opened = true
				return memadapter.New[string, string](), nil
			}, c.opts)
			wantOption(t, err, c.field, c.value)
			if opened {
				t.Error("shards were opened")
			}
		})
	}
	_, err := fleet.New[string, string](t.Context(), equal(1), nil, options{})
	wantOption(t, err, "New: open", "nil")
	_, err = fleet.New(t.Context(), equal(1), func(context.Context, fleet.Shard) (corral.Cache[float64, string], error) {
		return memadapter.New[float64, string](), nil
	}, fleet.Options[float64]{})
	wantOption(t, err, "Options.KeyBytes", "nil")
	_, err = fleet.New(t.Context(), equal(1), inMemory, options{Router: func(fleet.Topology) (fleet.Router, error) { panic("no") }})
	wantPanic(t, err)
	fault := errors.New("fault")
	_, err = fleet.New(t.Context(), equal(1), inMemory, options{Router: func(fleet.Topology) (fleet.Router, error) { return nil, fault }})
	if !errors.Is(err, fault) {
		t.Errorf("the error is %v, want the Router's", err)
	}
}

func wantPanic(t testing.TB, err error) {
	t.Helper()
	var panicked *corral.PanicError
	if !errors.As(err, &panicked) {
		t.Errorf("the error is %v, want a PanicError", err)
	}
}

type unfit struct {
	*memadapter.Cache[string, string]
}

var errUnfit = errors.New("unfit")

func (unfit) Check() error { return errUnfit }

// What was opened is closed if one shard cannot be.
func TestAShardThatCannotBeOpened(t *testing.T) {
	fault := errors.New("fault")
	var none *memadapter.Cache[string, string]
	for name, c := range map[string]struct {
		open   func() (corral.Cache[string, string], error)
		want   func(t *testing.T, err error)
		closed []string
	}{
		"an error": {
			func() (corral.Cache[string, string], error) { return nil, fault },
			func(t *testing.T, err error) { wantIs(t, err, fault) }, []string{"s00", "s02"},
		},
		"nil": {
			func() (corral.Cache[string, string], error) { return nil, nil },
			func(t *testing.T, err error) { wantOption(t, err, "New: open", "a function that returned nil") }, []string{"s00", "s02"},
		},
		"a nil pointer": {
			func() (corral.Cache[string, string], error) { return none, nil },
			func(t *testing.T, err error) { wantOption(t, err, "New: open", "a function that returned nil") }, []string{"s00", "s02"},
		},
		"a panic": {
			func() (corral.Cache[string, string], error) { panic("no") },
			func(t *testing.T, err error) { wantPanic(t, err) }, []string{"s00", "s02"},
		},
		"Goexit": {
			func() (corral.Cache[string, string], error) { runtime.Goexit(); return nil, nil },
			func(t *testing.T, err error) {}, []string{"s00", "s02"},
		},
		"Check": {
			func() (corral.Cache[string, string], error) { return unfit{memadapter.New[string, string]()}, nil },
			func(t *testing.T, err error) { wantIs(t, err, errUnfit) }, []string{"s00", "s01", "s02"},
		},
		"bare values": {
			func() (corral.Cache[string, string], error) { return memadapter.Plain[string, string](), nil },
			func(t *testing.T, err error) { wantAbility(t, err, "s00", "PlainCache") }, []string{"s00", "s01", "s02"},
		},
		"leases": {
			func() (corral.Cache[string, string], error) {
				return memadapter.NewShared[string, string](time.Second).Process(), nil
			},
			func(t *testing.T, err error) { wantAbility(t, err, "s00", "Leaser whose leases are on") }, []string{"s00", "s01", "s02"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var closed []string
			f, err := fleet.New(t.Context(), equal(3), func(ctx context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
				if s.ID == "s01" {
					return c.open()
				}
				return inMemory(ctx, s)
			}, fleet.Options[string]{Close: func(_ context.Context, s fleet.Shard, cache any) error {
				mu.Lock()
				defer mu.Unlock()
				closed = append(closed, s.ID)
				if cache == nil {
					t.Errorf("what was closed of %s is nil", s.ID)
				}
				return nil
			}})
			if f != nil || err == nil {
				t.Fatalf("New = %v, %v; want an error", f, err)
			}
			c.want(t, err)
			if slices.Sort(closed); !slices.Equal(closed, c.closed) {
				t.Errorf("closed were %v, want %v", closed, c.closed)
			}
		})
	}
}

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

func wantAbility(t testing.TB, err error, shard, ability string) {
	t.Helper()
	var lacks *fleet.AbilityError
	if !errors.As(err, &lacks) || lacks.Shard != shard || lacks.Ability != ability {
		t.Errorf("the error is %v, want an AbilityError of %s and %s", err, shard, ability)
	}
	var option *corral.OptionError
	if !errors.As(err, &option) {
		t.Errorf("the error %v is no OptionError", err)
	}
}

func TestShardErrorsNameTheShards(t *testing.T) {
	_, err := fleet.New(t.Context(), equal(20), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		if s.ID == "s03" || s.ID == "s17" {
			return nil, fmt.Errorf("no route to %s", s.ID)
		}
		return memadapter.New[string, string](), nil
	}, fleet.Options[string]{})
	const want = `fleet: 2 shards failed: "s03": no route to s03; "s17": no route to s17`
	if err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
}

// I9: the router is asked for, and Topology returns, shards in order of their IDs: the
// order of a configuration file changes nothing.
func TestTheOrderOfShardsDoesNotMatter(t *testing.T) {
	orders := []fleet.Topology{equal(5), equal(5)}
	slices.Reverse(orders[1].Shards)
	for name, router := range schemes() {
		var owners [2][]string
		for i, topology := range orders {
			f, err := fleet.New(t.Context(), topology, inMemory, fleet.Options[string]{Router: router})
			must(t, err)
			for n := range 200 {
				owners[i] = append(owners[i], f.Owner(fmt.Sprint(n)).ID)
			}
			if got, _ := f.Topology(); fmt.Sprint(got) != fmt.Sprint(orders[0]) {
				t.Errorf("%s: the topology is %v, want %v", name, got, orders[0])
			}
		}
		if !slices.Equal(owners[0], owners[1]) {
			t.Errorf("%s: another order of the shards moves keys", name)
		}
	}
}

func TestClose(t *testing.T) {
	fault := errors.New("fault")
	closes := map[string]int{}
	var mu sync.Mutex
	f, err := fleet.New(t.Context(), equal(3), inMemory, fleet.Options[string]{
		Close: func(_ context.Context, s fleet.Shard, _ any) error {
			mu.Lock()
			defer mu.Unlock()
			closes[s.ID]++
			switch s.ID {
			case "s01":
				return fault
			case "s02":
				panic("no")
			}
			return nil
		},
	})
	must(t, err)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			err := f.Close(t.Context())
			var some *fleet.ShardErrors
			if !errors.As(err, &some) || len(some.Errors) != 2 || some.Errors["s01"] != fault {
				t.Errorf("Close = %v, want the errors of s01 and s02", err)
			}
			wantPanic(t, err)
		})
	}
	all.Wait()
	if want := map[string]int{"s00": 1, "s01": 1, "s02": 1}; fmt.Sprint(closes) != fmt.Sprint(want) {
		t.Errorf("closes: %v, want %v", closes, want)
	}
	_, err = f.Get(t.Context(), "key")
	wantIs(t, err, fleet.ErrClosed)
	wantIs(t, f.Set(t.Context(), "key", fresh("value")), fleet.ErrClosed)
	wantIs(t, f.DeleteMany(t.Context(), []string{"a", "b"}), fleet.ErrClosed)
	wantIs(t, f.Settle(t.Context(), "key"), fleet.ErrClosed)
}
