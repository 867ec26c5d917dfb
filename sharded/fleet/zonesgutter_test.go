package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/sharded/fleet"
)

// W1 while the replicas of a group change: a Delete reaches the gutter in which another
// process keeps what is on the group, and the gutter spares the source then too.
func TestZones_AGutterWhileReplicasChange(t *testing.T) {
	zoned := func(epoch uint64, zones ...string) fleet.Topology {
		all := replicated(epoch, 2, "east")
		for _, z := range zones {
			all.Shards = append(all.Shards, fleet.Shard{ID: "g0 " + z, Zone: z, Group: "g0"})
		}
		return all
	}
	for name, c := range map[string]struct{ from, to fleet.Topology }{
		"a replica comes": {zoned(1), zoned(2, "west")},
		"a replica goes":  {zoned(1, "west"), zoned(2)},
	} {
		for _, many := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/many=%v", name, many), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { deleteInTheGutter(t, c.from, c.to, many) })
			})
		}
	}
}

func deleteInTheGutter(t *testing.T, from, to fleet.Topology, many bool) {
	r, epochs := newRegion(2*time.Second), &fleet.MemoryEpochs{}
	opts := withGutter(time.Minute)
	opts.MaxLife, opts.Epochs, opts.EpochLife = time.Minute, epochs, time.Second
	var fleets []*fleet.Fleet[string, string]
	for range 2 {
		f, _ := r.process(t, "east", from, opts)
		fleets = append(fleets, f)
	}
	p, q := fleets[0], fleets[1]
	l, err := corral.New(q, corral.Options{TTL: time.Minute})
	must(t, err)
	defer func() { must(t, l.Close(t.Context())) }()
	drain := func() {
		for _, s := range q.Health() {
			if s.Shard.Group == "g0" {
				must(t, q.SetState(t.Context(), s.Shard.ID, fleet.StateUnhealthy))
			}
		}
	}
	key := "key:0"
	for i := 1; q.Owner(key).Group != "g0"; i++ {
		key = fmt.Sprint("key:", i)
	}
	applied := make(chan *fleet.Change)
	go func() {
		c, err := p.Apply(t.Context(), to)
		must(t, err)
		applied <- c
	}()
	defer func() { <-(<-applied).Done() }()
	loads := &numbered{}
	for at := range 30 { // prepare, switch and what follows
		drain() // what is new here too
		value := loads.read(t, l, key)
		if again := loads.read(t, l, key); again != value {
			t.Errorf("after %d00 ms: the gutter does not keep what is on a group", at)
		}
		remove := func() error { return p.Delete(t.Context(), key) }
		if many {
			remove = func() error { return p.DeleteMany(t.Context(), []string{key, "another"}) }
		}
		must(t, remove())
		if old := loads.read(t, l, key); old == value {
			t.Errorf("after %d00 ms: %s is served, which was deleted", at, old)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// numbered is a source that returns the numbers of its loads.
type numbered struct{ loads int }

func (s *numbered) read(t *testing.T, l *corral.Loader[string, string], key string) string {
	t.Helper()
	v, err := l.GetOrLoad(t.Context(), key, func(context.Context, string) (string, error) {
		s.loads++
		return fmt.Sprint(s.loads), nil
	})
	must(t, err)
	synctest.Wait()
	return v
}

// Of a group that is out as a whole, what happens in the gutter is what counts.
func TestZones_AGutterIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, topology := newRegion(10*time.Second), replicated(1, 2, "east", "west")
		p, _ := r.process(t, "east", topology, withGutter(time.Minute))
		q, ways := r.process(t, "west", topology, withGutter(time.Minute))
		for _, f := range []*fleet.Fleet[string, string]{p, q} {
			for _, id := range []string{"g0 east", "g0 west"} {
				must(t, f.SetState(t.Context(), id, fleet.StateUnhealthy))
			}
		}
		key := "key:0"
		for i := 1; q.Owner(key).Group != "g0"; i++ {
			key = fmt.Sprint("key:", i)
		}
		held, err := p.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "p"})
		must(t, err)
		if l, err := q.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "q"}); err != nil || l.State != corral.LeaseBusy {
			t.Fatalf("%+v, %v, while another process has the lease", l, err)
		}
		ended, stop := q.Watch(key)
		defer stop()
		must(t, p.Release(t.Context(), key, held.Token))
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("nobody is told that the lease in the gutter has ended")
		}
		for id := range ways { // what is slow takes nothing for others
			if id[:2] == "g1" {
				ways[id].do(func(context.Context, string) error { time.Sleep(time.Second); return nil })
			}
		}
		for i := range 3 {
			_, _ = q.Get(t.Context(), heldBy(t, q, "g1 west", i+1)[i])
		}
		if _, err := q.Acquire(t.Context(), key, corral.LeaseRequest[string]{Token: "q"}); !errors.Is(err, fleet.ErrUnhealthy) {
			t.Errorf("Acquire = %v in a gutter that is slow", err)
		}
	})
}
