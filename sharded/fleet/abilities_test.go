package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// shared returns the stores of a fleet that processes share, and a process.
func shared(t testing.TB, n int, life time.Duration, opts fleet.Options[string]) (stores []*memadapter.Shared[string, string], process func() *fleet.Fleet[string, string]) {
	for range n {
		stores = append(stores, memadapter.NewShared[string, string](life))
	}
	return stores, func() *fleet.Fleet[string, string] {
		f, _ := open(t, equal(n), opts, func(i int) corral.Cache[string, string] { return stores[i].Process() })
		return f
	}
}

func TestALeaseIsAtTheKeysShard(t *testing.T) {
	stores, process := shared(t, 3, time.Minute, fleet.Options[string]{})
	f := process()
	if got := f.LeaseLife(); got != time.Minute {
		t.Errorf("the leases last %v, want 1m", got)
	}
	for i, keys := range keysOn(f, 3, 2) {
		l, err := f.Acquire(t.Context(), keys[0], corral.LeaseRequest[string]{Token: "mine"})
		must(t, err)
		busy, err := stores[i].Process().Acquire(t.Context(), keys[0], corral.LeaseRequest[string]{Token: "another"})
		if must(t, err); l.State != corral.LeaseHeld || busy.State != corral.LeaseBusy {
			t.Errorf("the lease is %v, and at its shard %v", l.State, busy.State)
		}
		ended, stop := f.Watch(keys[0])
		must(t, f.Renew(t.Context(), keys[0], l.Token))
		must(t, f.Fill(t.Context(), keys[0], l.Token, fresh("value")))
		<-ended
		stop()
		if e, _ := stores[i].Process().Get(t.Context(), keys[0]); e == nil || e.Value != "value" {
			t.Errorf("its shard holds %v", e)
		}
	}
}

func TestManyLeasesAreAtTheirShards(t *testing.T) {
	_, process := shared(t, 3, time.Minute, fleet.Options[string]{})
	f := process()
	keys := mixed(keysOn(f, 3, 4))
	requests, tokens, entries := make([]corral.LeaseRequest[string], 12), make([]string, 12), make([]*corral.Entry[string], 12)
	for i, key := range keys {
		requests[i], entries[i] = corral.LeaseRequest[string]{Token: "token of " + key}, fresh(key)
	}
	got, err := f.AcquireMany(t.Context(), keys, requests)
	must(t, err)
	for i, l := range got {
		if tokens[i] = l.Token; l.State != corral.LeaseHeld || tokens[i] == "" {
			t.Errorf("lease %d is %+v", i, l)
		}
	}
	must(t, f.RenewMany(t.Context(), keys, tokens))
	must(t, f.Delete(t.Context(), keys[5])) // ends its lease
	var some *corral.KeyErrors[string]
	if err := f.FillMany(t.Context(), keys, tokens, entries); !errors.As(err, &some) || len(some.Errors) != 1 {
		t.Fatalf("the error is %v, want that of one key", err)
	}
	wantIs(t, some.Errors[keys[5]], corral.ErrLeaseLost)
	must(t, f.ReleaseMany(t.Context(), keys, tokens))
	for i, key := range keys {
		e, err := f.Get(t.Context(), key)
		if must(t, err); (e == nil) != (i == 5) || e != nil && e.Value != key {
			t.Errorf("entry %d is %v", i, e)
		}
	}
	for name, err := range map[string]error{
		"RenewMany": f.RenewMany(t.Context(), keys, nil), "ReleaseMany": f.ReleaseMany(t.Context(), keys, nil),
		"FillMany": f.FillMany(t.Context(), keys, tokens, nil),
	} {
		if err == nil {
			t.Errorf("no error of %s for 12 keys and nothing else", name)
		}
	}
}

// counted counts the calls for many leases, and refuses those for one.
type counted struct {
	*memadapter.Process[string, string]
	many *atomic.Int64
}

func (c counted) Acquire(context.Context, string, corral.LeaseRequest[string]) (l corral.Lease[string], err error) {
	return l, errors.New("one at a time")
}

func (c counted) AcquireMany(ctx context.Context, keys []string, requests []corral.LeaseRequest[string]) ([]corral.Lease[string], error) {
	c.many.Add(1)
	return c.Process.AcquireMany(ctx, keys, requests)
}

func TestManyLeasesAreOneCallToEachShard(t *testing.T) {
	var many atomic.Int64
	f, _ := open(t, equal(3), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
		return counted{memadapter.NewShared[string, string](time.Minute).Process(), &many}
	})
	keys := mixed(keysOn(f, 3, 4))
	requests := make([]corral.LeaseRequest[string], 12)
	for i := range requests {
		requests[i].Token = fmt.Sprint("token", i)
	}
	_, err := f.AcquireMany(t.Context(), keys, requests)
	if must(t, err); many.Load() != 3 {
		t.Errorf("3 shards got %d calls", many.Load())
	}
}

// A shard that gives one lease at a time does so in turns.
func TestLeasesWithoutBatches(t *testing.T) {
	type one struct {
		corral.Cache[string, string]
		corral.Leaser[string, string]
	}
	f, _ := open(t, equal(2), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
		p := memadapter.NewShared[string, string](time.Minute).Process()
		return one{p, p}
	})
	keys := mixed(keysOn(f, 2, 20))
	requests, tokens := make([]corral.LeaseRequest[string], 40), make([]string, 40)
	for i := range keys {
		requests[i].Token = fmt.Sprint("token", i)
	}
	leases, err := f.AcquireMany(t.Context(), keys, requests)
	must(t, err)
	for i, l := range leases {
		tokens[i] = l.Token
	}
	must(t, f.RenewMany(t.Context(), keys, tokens))
	must(t, f.FillMany(t.Context(), keys, tokens, make([]*corral.Entry[string], 40)))
	must(t, f.ReleaseMany(t.Context(), keys, tokens))
}

func TestWhatTheShardsLack(t *testing.T) {
	f, _ := faultyFleet(t, 1, fleet.Options[string]{})
	ctx, keys, tokens := t.Context(), []string{"key"}, []string{"token"}
	_, err := f.Acquire(ctx, "key", corral.LeaseRequest[string]{Token: "token"})
	_, errMany := f.AcquireMany(ctx, keys, make([]corral.LeaseRequest[string], 1))
	for _, err := range []error{
		err, errMany, f.Renew(ctx, "key", "token"), f.Fill(ctx, "key", "token", nil), f.Release(ctx, "key", "token"),
		f.RenewMany(ctx, keys, tokens), f.FillMany(ctx, keys, tokens, make([]*corral.Entry[string], 1)), f.ReleaseMany(ctx, keys, tokens),
	} {
		wantAbility(t, err, "s00", "Leaser whose leases are on")
	}
	wantAbility(t, f.Listen(ctx, func(...string) {}), "s00", "Listener")
	ended, stop := f.Watch("key")
	stop()
	if ended != nil || f.LeaseLife() != 0 || f.Far() || f.Check() != nil || f.Settle(ctx, "key") != nil {
		t.Error("a fleet of caches in memory watches, leases, is far, or does not settle")
	}
}

// deaf is a Listener that can be made to fail.
type deaf struct {
	*memadapter.Process[string, string]
	fault  atomic.Pointer[error]
	begins atomic.Int64
	ends   chan struct{}
}

func (d *deaf) Listen(ctx context.Context, drop func(keys ...string)) error {
	d.begins.Add(1)
	if err := d.fault.Load(); err != nil {
		return *err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.ends:
			cancel()
		case <-ctx.Done():
		}
	}()
	return d.Process.Listen(ctx, drop)
}

// H1: a shard that hears no longer listens again, and the others are not disturbed.
func TestAShardThatHearsNoLongerListensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stores := []*memadapter.Shared[string, string]{new(memadapter.Shared[string, string]), new(memadapter.Shared[string, string])}
		ears := []*deaf{{Process: stores[0].Process(), ends: make(chan struct{})}, {Process: stores[1].Process(), ends: make(chan struct{})}}
		var mu sync.Mutex
		var told []string
		f, _ := open(t, equal(2), fleet.Options[string]{Hooks: fleet.Hooks{
			ListenError: func(_ context.Context, s fleet.Shard, err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, s.ID)
			},
		}}, func(i int) corral.Cache[string, string] { return ears[i] })
		ctx, cancel := context.WithCancel(t.Context())
		var drops, all int
		var heard []string
		ended := make(chan error, 1)
		go func() {
			ended <- f.Listen(ctx, func(keys ...string) {
				if drops++; len(keys) == 0 { // under no lock: drop is called by one at a time
					all++
				}
				heard = append(heard, keys...)
			})
		}()
		synctest.Wait()
		if all != 2 {
			t.Fatalf("drop was called %d times without a key, want once for each shard", all)
		}
		on := keysOn(f, 2, 1)
		fault := errors.New("fault")
		ears[0].fault.Store(&fault)
		ears[0].ends <- struct{}{}
		time.Sleep(time.Minute)
		must(t, stores[1].Process().Set(t.Context(), on[1][0], fresh("elsewhere")))
		synctest.Wait()
		if !slices.Equal(heard, on[1]) || ears[1].begins.Load() != 1 {
			t.Errorf("of the other shard was heard %v, after %d beginnings", heard, ears[1].begins.Load())
		}
		if n := ears[0].begins.Load(); n < 15 || n > 20 || int64(len(told)) != n {
			t.Errorf("in a minute the shard listened %d times and the hook was told %d times", n, len(told))
		}
		ears[0].fault.Store(nil)
		time.Sleep(5 * time.Second)
		must(t, stores[0].Process().Delete(t.Context(), on[0][0]))
		synctest.Wait()
		if all != 3 || !slices.Equal(heard, []string{on[1][0], on[0][0]}) {
			t.Errorf("after the shard was back, drop was called %d times without a key, and with %v", all, heard)
		}
		cancel()
		wantIs(t, <-ended, context.Canceled)
	})
}

func TestShardsThatCanNeverHear(t *testing.T) {
	never := error(&corral.OptionError{Field: "Options.ParseKey", Value: "nil", Bound: "required"})
	f, _ := open(t, equal(2), fleet.Options[string]{}, func(int) corral.Cache[string, string] {
		d := &deaf{Process: new(memadapter.Shared[string, string]).Process(), ends: make(chan struct{})}
		d.fault.Store(&never)
		return d
	})
	var option *corral.OptionError
	if err := f.Listen(t.Context(), func(...string) {}); !errors.As(err, &option) || option.Field != "Options.ParseKey" {
		t.Errorf("Listen = %v, want what the shards said", err)
	}
}

// A hook that panics, or ends its goroutine, harms nobody, and is counted.
func TestHooksThatPanic(t *testing.T) {
	for name, breaks := range map[string]func(){"panic": func() { panic("no") }, "Goexit": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			pins := &remotePins{MemoryPins: memoryPins[string](t, 0)}
			d := &deaf{Process: new(memadapter.Shared[string, string]).Process(), ends: make(chan struct{})}
			fault := errors.New("fault")
			d.fault.Store(&fault)
			calls := 0
			f, _ := open(t, equal(1), fleet.Options[string]{Pins: pins, Hooks: fleet.Hooks{
				PinsError:   func(context.Context, error) { calls++; breaks() },
				ListenError: func(context.Context, fleet.Shard, error) { calls++; breaks() },
			}}, func(int) corral.Cache[string, string] { return d })
			pins.fault.Store(&fault)
			time.Sleep(time.Minute)
			get(t, f, "key")
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			wantIs(t, f.Listen(ctx, func(...string) {}), context.DeadlineExceeded)
			if n := f.Stats().HookPanics; calls != 2 || n != 2 {
				t.Errorf("%s: the hooks were called %d times and %d were counted, want 2", name, calls, n)
			}
		})
	}
}
