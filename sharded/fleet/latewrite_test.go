package fleet_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// stuck makes a probe keep one kind of call until the gate is closed, whatever the context
// of the call says.
func (p *probe) stuck(kind string) (gate chan struct{}) {
	gate = make(chan struct{})
	p.do(func(_ context.Context, call string) error {
		if call == kind {
			<-gate
		}
		return nil
	})
	return gate
}

// W1: a Set that a replica keeps for longer than its time comes before the Delete that
// follows, or that one tells that it has not gone well.
func TestContract_W1_ALateSetOfAReplica(t *testing.T) {
	for _, holder := range []string{"g0 east", "g0 west"} {
		synctest.Test(t, func(t *testing.T) {
			r := newRegion(time.Minute)
			f, ways := r.process(t, "east", replicated(1, 1, "east", "west"), fleet.Options[string]{})
			l, err := corral.New(f, corral.Options{TTL: time.Hour})
			must(t, err)
			key := heldBy(t, f, holder, 1)[0]
			gate := ways[holder].stuck("Set")
			wantIs(t, l.Set(t.Context(), key, "late"), context.DeadlineExceeded)
			if l.Delete(t.Context(), key) == nil {
				t.Errorf("%s: a Delete went well before the Set had ended", holder)
			}
			deleted := make(chan error, 1)
			go func() { deleted <- l.Delete(t.Context(), key) }()
			synctest.Wait()
			close(gate)
			must(t, <-deleted)
			synctest.Wait()
			for _, id := range []string{"g0 east", "g0 west"} {
				if v := r.has(id, key); v != "" {
					t.Errorf("after a Delete that went well %s holds %q", id, v)
				}
			}
			must(t, l.Close(t.Context()))
		})
	}
}

// So it is of a shard that keeps its part of a SetMany: a write of another shard's keys
// waits for nothing.
func TestContract_W1_ALateSetManyOfAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		caches := []*faulty{newFaulty(), newFaulty()}
		f, _ := open(t, equal(2), fleet.Options[string]{}, func(i int) corral.Cache[string, string] { return remote{caches[i]} })
		keys := keysOn(f, 2, 1)
		gate := make(chan struct{})
		caches[0].do(func(context.Context) error { <-gate; return nil })
		write := func(call func(ctx context.Context) error) error {
			ctx, end := context.WithTimeout(t.Context(), time.Second)
			defer end()
			return call(ctx)
		}
		entries := []*corral.Entry[string]{fresh("late"), fresh("value")}
		both := []string{keys[0][0], keys[1][0]}
		late := (*corral.KeyErrors[string])(nil)
		for name, call := range map[string]func(ctx context.Context) error{
			"SetMany":    func(ctx context.Context) error { return f.SetMany(ctx, both, entries) },
			"DeleteMany": func(ctx context.Context) error { return f.DeleteMany(ctx, both) },
		} {
			if err := write(call); !errors.As(err, &late) || len(late.Errors) != 1 || late.Errors[both[0]] == nil {
				t.Errorf("%s while a shard hangs: %v", name, err)
			}
		}
		wantIs(t, write(func(ctx context.Context) error { return f.Delete(ctx, both[0]) }), context.DeadlineExceeded)
		must(t, write(func(ctx context.Context) error { return f.Delete(ctx, both[1]) }))
		deleted := make(chan error, 1)
		go func() { deleted <- f.Delete(t.Context(), both[0]) }()
		synctest.Wait()
		close(gate)
		must(t, <-deleted)
		synctest.Wait()
		if e, _ := caches[0].Cache.Get(t.Context(), both[0]); e != nil {
			t.Errorf("after a Delete that went well the shard holds %q", e.Value)
		}
	})
}

// A Delete that a replica keeps for longer than its time has failed: the key is a miss here
// from then on, before the replica is done with it.
func TestFenceOfALateDeleteOfAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegion(time.Minute)
		f, ways := r.process(t, "east", replicated(1, 1, "east", "west"), fleet.Options[string]{})
		key := heldBy(t, f, "g0 east", 1)[0]
		must(t, f.Set(t.Context(), key, fresh("old")))
		gate := ways["g0 east"].stuck("Delete")
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		wantIs(t, f.Delete(ctx, key), context.DeadlineExceeded)
		wantGet(t, f, key, "", "a key of which a Delete hangs")
		close(gate)
		synctest.Wait()
		time.Sleep(time.Minute)
		must(t, f.Set(t.Context(), key, fresh("new")))
		wantGet(t, f, key, "new", "after that")
	})
}
