package fleet_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/adapters/memadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// door is a gate at which a write of a shard waits for a test, whatever its context says.
type door struct {
	shut atomic.Pointer[chan struct{}] // for the next one
}

func (d *door) wait() {
	if open := d.shut.Swap(nil); open != nil {
		<-*open
	}
}

// doorMemory is a shard in memory with a door, and doorShared one that gives leases.
type (
	doorMemory struct {
		*memadapter.Cache[string, string]
		*door
	}
	doorShared struct {
		*memadapter.Process[string, string]
		*door
	}
)

func (d doorMemory) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	d.wait()
	return d.Cache.Set(ctx, key, e)
}

func (d doorMemory) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[string]) error {
	d.wait()
	return d.Cache.SetMany(ctx, keys, entries)
}

func (d doorShared) Set(ctx context.Context, key string, e *corral.Entry[string]) error {
	d.wait()
	return d.Process.Set(ctx, key, e)
}

func (d doorShared) SetMany(ctx context.Context, keys []string, entries []*corral.Entry[string]) error {
	d.wait()
	return d.Process.SetMany(ctx, keys, entries)
}

// W1: a write that its shard keeps until its context has ended, and the key is on another
// shard, leaves nothing there for a topology to find that comes later.
func TestContract_W1_AWriteThatTheTopologyOvertakes(t *testing.T) {
	for kind, shard := range map[string]func(d *door) corral.Cache[string, string]{
		"memory": func(d *door) corral.Cache[string, string] {
			return doorMemory{memadapter.New[string, string](), d}
		},
		"leases": func(d *door) corral.Cache[string, string] {
			return doorShared{memadapter.NewShared[string, string](time.Second).Process(), d}
		},
	} {
		for _, write := range []string{"Set", "SetMany", "SetMany of two shards"} {
			t.Run(kind+"/"+write, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { overtake(t, shard, write) })
			})
		}
	}
}

func overtake(t *testing.T, shard func(d *door) corral.Cache[string, string], write string) {
	d := new(door)
	shards := map[string]corral.Cache[string, string]{"a": shard(d), "b": shard(new(door)), "x": shard(new(door))}
	f, err := fleet.New(t.Context(), named(1, "a", "x"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
		return shards[s.ID], nil
	}, fleet.Options[string]{MaxLife: time.Hour})
	must(t, err)
	defer func() { must(t, f.Close(context.Background())) }()
	on := func(id string) (key string) {
		for i := 0; key == "" || f.Owner(key).ID != id; i++ {
			key = fmt.Sprint("key:", i)
		}
		return key
	}
	keys, entries := []string{on("a"), on("x")}, []*corral.Entry[string]{kept("old", time.Hour), kept("other", time.Hour)}
	open := make(chan struct{})
	d.shut.Store(&open)
	written := make(chan error, 1)
	go func() {
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		switch write {
		case "Set":
			written <- f.Set(ctx, keys[0], entries[0])
		case "SetMany":
			written <- f.SetMany(ctx, keys[:1], entries[:1])
		default:
			written <- f.SetMany(ctx, keys, entries)
		}
	}()
	time.Sleep(2 * time.Second)
	_, err = f.Apply(t.Context(), named(2, "b", "x"))
	must(t, err)
	r, err := fleet.Migrate(t.Context(), f, fleet.MigrateOptions{})
	if must(t, err); !r.Ended {
		t.Fatalf("the change has not ended: %+v", r)
	}
	close(open)
	if <-written == nil {
		t.Error("a write whose time was over went well")
	}
	must(t, f.Delete(t.Context(), keys[0]))
	_, err = f.Apply(t.Context(), named(3, "a", "x"))
	must(t, err)
	wantGet(t, f, keys[0], "", "what was deleted since")
}

// So it is of a write of a process that no longer knows where keys are when its shard is
// done with it.
func TestContract_W1_AWriteOfAProcessCutOff(t *testing.T) {
	for _, write := range []string{"Set", "SetMany of two shards"} {
		t.Run(write, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cutOff(t, write) })
		})
	}
}

func cutOff(t *testing.T, write string) {
	epochs, broken, d := &fleet.MemoryEpochs{}, new(atomic.Bool), new(door)
	stores := map[string]*memadapter.Shared[string, string]{}
	for _, id := range []string{"a", "b", "x"} {
		stores[id] = memadapter.NewShared[string, string](time.Second)
	}
	process := func(epochs fleet.Epochs, d *door) *fleet.Fleet[string, string] {
		f, err := fleet.New(t.Context(), named(1, "a", "x"), func(_ context.Context, s fleet.Shard) (corral.Cache[string, string], error) {
			if s.ID == "a" {
				return doorShared{stores[s.ID].Process(), d}, nil
			}
			return stores[s.ID].Process(), nil
		}, fleet.Options[string]{MaxLife: time.Hour, Epochs: epochs, EpochLife: time.Second})
		must(t, err)
		t.Cleanup(func() { must(t, f.Close(context.Background())) })
		return f
	}
	late, other := process(cut{epochs, broken}, d), process(epochs, new(door))
	on := func(id string) (key string) {
		for i := 0; key == "" || late.Owner(key).ID != id; i++ {
			key = fmt.Sprint("key:", i)
		}
		return key
	}
	keys := []string{on("a"), on("x")}
	open := make(chan struct{})
	d.shut.Store(&open)
	written := make(chan error, 1)
	go func() {
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if write == "Set" {
			written <- late.Set(ctx, keys[0], kept("old", time.Hour))
			return
		}
		written <- late.SetMany(ctx, keys, []*corral.Entry[string]{kept("old", time.Hour), kept("other", time.Hour)})
	}()
	time.Sleep(2 * time.Second)
	broken.Store(true)
	_, err := other.Apply(t.Context(), named(2, "b", "x"))
	must(t, err)
	r, err := fleet.Migrate(t.Context(), other, fleet.MigrateOptions{})
	if must(t, err); !r.Ended {
		t.Fatalf("the change has not ended: %+v", r)
	}
	close(open)
	if <-written == nil {
		t.Error("a write whose time was over went well")
	}
	synctest.Wait()
	must(t, other.Delete(t.Context(), keys[0]))
	_, err = other.Apply(t.Context(), named(3, "a", "x"))
	must(t, err)
	wantGet(t, other, keys[0], "", "what was deleted since")
}
