//go:build linux

package fleet_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

const (
	realPrefix   = "real"
	realVersions = "source:versions"
	realLoads    = "source:loads" // of each key

	// realDeleted is which keys are deleted now and then: one of so many. The others
	// are loaded once, for as long as their shard lives.
	realDeleted = 5

	// realEpochLife is long: a process that cannot run for two thirds of it loads by
	// itself, and that would be counted.
	realEpochLife = 3 * time.Second
)

func realKey(i int) string { return fmt.Sprint("key:", i) }

var (
	realFrom = named(1, "a", "b", "c", "d")
	realTo   = named(2, "a", "b", "c", "d", "e")
)

// The whole of a change between processes that share Redis servers: two processes use
// the fleet, another one makes four shards five and migrates. One of the servers is
// killed in the middle of that, and so is the process that migrates. A new one goes on
// where it was, and comes to the end when the server is back.
func TestReshard_Real(t *testing.T) {
	servers, plan := realServers(t)
	swap := swapLoads(t, plan)
	c := &realCrowd{t: t, plan: plan, events: make(chan realTold, 1000)}
	c.ledger.owners, c.ledger.dead = ownersOf(t, plan), "b"

	clients := []*realProcess{c.start(plan), c.start(plan)}
	c.until("the processes are ready", func() bool { return every(clients, func(p *realProcess) bool { return p.ready }) })
	c.order("warm", clients...)
	c.until("all keys are stored", func() bool { return every(clients, func(p *realProcess) bool { return p.warm == 1 }) })
	if n := len(c.ledger.loads); n != plan.Keys {
		t.Errorf("%d loads of %d keys that two processes asked for", n, plan.Keys)
	}
	c.order("start", clients...)

	left := c.killBoth(servers["b"], clients)
	second := c.goOn(left)
	servers["b"].Restart()
	c.order("migrate", second)
	c.until("the migration has come to its end", func() bool { return len(second.migrated) == 2 })
	c.until("the server is read again", func() bool {
		return every(clients, func(p *realProcess) bool { return len(p.view.Out) == 0 && p.view.Settled })
	})
	c.ledger.back = realTime()
	c.order("warm", clients...)
	c.until("every key was asked for once more", func() bool { return every(clients, func(p *realProcess) bool { return p.warm == 2 }) })
	for _, p := range append(clients, second) {
		must(t, p.orders.Close())
	}
	c.until("the processes have ended", func() bool { return every(c.all, func(p *realProcess) bool { return p.ended }) })

	c.wantWhole(second.migrated[1])
	c.wantLoads(clients, swap)
	c.wantInPlace()
}

// realServers starts the servers: the shards, and one for what the processes share
// besides.
func realServers(t *testing.T) (map[string]*redistest.Server, realPlan) {
	plan := realPlan{
		Hub: redistest.Start(t), Shards: map[string]string{},
		From: realFrom, To: realTo, Keys: 1200, Callers: 10,
	}
	servers := map[string]*redistest.Server{}
	for _, s := range realTo.Shards {
		servers[s.ID] = redistest.StartServer(t)
		plan.Shards[s.ID] = servers[s.ID].Addr
	}
	return servers, plan
}

// ownersOf returns where each key is by both topologies.
func ownersOf(t *testing.T, plan realPlan) map[string]realOwners {
	var by []*fleet.Fleet[string, string]
	for _, topology := range []fleet.Topology{plan.From, plan.To} {
		f, err := fleet.New(t.Context(), topology, inMemory, fleet.Options[string]{})
		must(t, err)
		defer func() { must(t, f.Close(context.Background())) }()
		by = append(by, f)
	}
	owners := map[string]realOwners{}
	for i := range plan.Keys {
		owners[realKey(i)] = realOwners{by[0].Owner(realKey(i)).ID, by[1].Owner(realKey(i)).ID}
	}
	return owners
}

// killBoth kills a server in the middle of the migration, and then the process that
// migrates, and returns the checkpoint that it has left. The process waits where it
// noted how far it was: so the middle is where it is on every machine.
func (c *realCrowd) killBoth(server *redistest.Server, clients []*realProcess) fleet.Checkpoint {
	plan := c.plan
	plan.Callers, plan.Gates = 0, []int{3, 8}
	first := c.start(plan)
	c.until("the new topology is in force", func() bool { return first.applied })
	c.order("migrate", first)
	c.until("some was migrated", func() bool { return first.gates == 1 })
	if first.saved.Shards["b"].Done {
		c.t.Errorf("the server that is to die was migrated before: %+v", first.saved)
	}
	c.ledger.kill.From = realTime()
	server.Kill()
	c.ledger.kill.To = realTime()
	c.order("go", first)
	c.until("more was migrated, and the dead shard is out", func() bool {
		return first.gates == 2 && every(clients, func(p *realProcess) bool { return slices.Contains(p.view.Out, "b") })
	})
	must(c.t, first.cmd.Process.Kill())
	c.until("the process that migrates has ended", func() bool { return first.ended })
	return first.saved
}

// goOn has a new process go on with the migration, which cannot come to its end while
// one of the servers is dead.
func (c *realCrowd) goOn(left fleet.Checkpoint) *realProcess {
	plan := c.plan
	plan.Callers = 0
	second := c.start(plan)
	c.until("another process goes on with the change", func() bool { return second.applied })
	c.order("migrate", second)
	c.until("it has migrated what can be", func() bool { return len(second.migrated) == 1 })
	if at := second.began[0]; !reflect.DeepEqual(at, left) {
		c.t.Errorf("the second process began at %+v, and the first had got to %+v", at, left)
	}
	r := second.migrated[0]
	if r.Ended || r.Err == "" || !slices.Equal(r.Failed, []string{"b"}) {
		c.t.Errorf("with a server that is dead the migration came to %+v, want an error of that shard alone", r)
	}
	for id, cursor := range left.Cursors {
		if r.Cursors[id] != cursor {
			c.t.Errorf("shard %s was scanned from %q, want the checkpoint's %q", id, r.Cursors[id], cursor)
		}
	}
	for id, was := range left.Shards {
		now := r.Shards[id]
		if id != "b" && !now.Done || visited(now) < visited(was) {
			c.t.Errorf("shard %s came from %+v to %+v, want all of it", id, was, now)
		}
		if _, scanned := r.Cursors[id]; was.Done && scanned {
			c.t.Errorf("shard %s was scanned again", id)
		}
	}
	return second
}

// visited is how many keys a scan came to.
func visited(r fleet.ShardReport) int {
	return r.Stayed + r.Copied + r.Present + r.Skipped + r.Mismatched + r.Failed
}

func (c *realCrowd) wantWhole(r *realMigration) {
	c.t.Helper()
	sum := r.Sum
	if !r.Ended || !r.Done || r.Err != "" || r.Lazy != 0 || !sum.Done || sum.Failed+sum.Mismatched != 0 || len(r.Shards) != 4 {
		c.t.Errorf("the migration came to %+v, want the end of the change and nothing left", r)
	}
	c.t.Logf("the migration: %d stayed, %d copied, %d copied before by calls, %d skipped, %d deleted at the old shards and %d at the end",
		sum.Stayed, sum.Copied, sum.Present, sum.Skipped, sum.Retired, r.Swept)
}

// wantLoads wants the source to have been asked for what had to be loaded, and callers
// to have had nothing that was deleted.
func (c *realCrowd) wantLoads(clients []*realProcess, swap int) {
	c.t.Helper()
	l, calls, stalled, faults := &c.ledger, 0, time.Duration(0), map[string]string{}
	for _, p := range clients {
		calls += p.report.Calls
		stalled = max(stalled, p.report.Stalled)
		maps.Copy(faults, p.report.Faults)
		if len(p.report.Errors) > 0 {
			c.t.Errorf("%d calls failed: %q", len(p.report.Errors), p.report.Errors[:min(3, len(p.report.Errors))])
		}
	}
	judge := c.t.Errorf
	if stalled > time.Second { // who could not run lost leases, and what it knew of the epoch
		judge = c.t.Logf
	}
	for key, err := range faults {
		if l.owners[key].from != l.dead {
			judge("the cache failed for %s, which was never on the dead shard: %s", key, err)
		}
	}
	for i, load := range l.needless() {
		if i < 10 {
			judge("load %d of %s, which is on %+v, had no reason:%s", load.Version, load.Key, l.owners[load.Key], l.around(load))
		}
	}
	for i, fault := range l.stale() {
		if i < 10 {
			c.t.Error(fault)
		}
	}
	sums := c.sums()
	if len(l.deletes) < 50 || sums["of the dead shard"] == 0 {
		c.t.Errorf("only %d Deletes, and %v: that shows nothing", len(l.deletes), sums)
	}
	c.t.Logf("%d keys, %d calls, %d Deletes; loads %v; a plain swap loads %d more; the longest stall was %v", c.plan.Keys, calls, len(l.deletes), sums, swap, stalled)
}

// sums sorts the loads after each key's first by where the key was, and holds them
// against the source's own count.
func (c *realCrowd) sums() map[string]int {
	c.t.Helper()
	hub := redis.NewClient(&redis.Options{Addr: c.plan.Hub})
	defer hub.Close()
	counted, err := hub.HGetAll(c.t.Context(), realLoads).Result()
	must(c.t, err)
	sums, told := map[string]int{"first": c.plan.Keys}, map[string]int{}
	for _, load := range c.ledger.loads {
		told[load.Key]++
	}
	for key, on := range c.ledger.owners {
		if counted[key] != strconv.Itoa(told[key]) {
			c.t.Errorf("the source counted %s loads of %s, and its clients %d", counted[key], key, told[key])
		}
		i, _ := strconv.Atoi(key[len("key:"):])
		switch again := told[key] - 1; {
		case on.from == "b" && on.to == "b":
			sums["of the dead shard"] += again
		case on.from == "b":
			sums["moved from the dead shard"] += again
		case i%realDeleted == 0:
			sums["after Deletes"] += again
		case on.from != on.to:
			sums["moved"] += again
		default:
			sums["of the others"] += again
		}
	}
	return sums
}

// wantInPlace wants every key to be where it belongs, and nowhere else.
func (c *realCrowd) wantInPlace() {
	c.t.Helper()
	for id, addr := range c.plan.Shards {
		client := redis.NewClient(&redis.Options{Addr: addr})
		defer client.Close()
		cache := redisadapter.New(client, redisadapter.Options[string, int64]{Prefix: realPrefix})
		for cursor, first := "", true; first || cursor != ""; first = false {
			items, next, err := cache.ScanPage(c.t.Context(), cursor, 1000, true)
			must(c.t, err)
			for _, it := range items {
				if owner := c.ledger.owners[it.Key].to; owner != id {
					c.t.Errorf("%s is on %s, and belongs on %s", it.Key, id, owner)
				}
			}
			cursor = next
		}
	}
}

// swapLoads is what a change costs without Apply, over the same servers: how many keys
// that are stored are loaded again.
func swapLoads(t *testing.T, plan realPlan) (loads int) {
	t.Helper()
	clients := map[string]*redis.Client{}
	for id, addr := range plan.Shards {
		clients[id] = redis.NewClient(&redis.Options{Addr: addr})
		defer clients[id].Close()
	}
	var keys []string
	for i := range plan.Keys {
		keys = append(keys, realKey(i))
	}
	for _, topology := range []fleet.Topology{plan.From, plan.To} {
		f, err := fleet.New(t.Context(), topology, func(_ context.Context, s fleet.Shard) (corral.Cache[string, int64], error) {
			return redisadapter.New(clients[s.ID], redisadapter.Options[string, int64]{Prefix: "swap"}), nil
		}, fleet.Options[string]{})
		must(t, err)
		l, err := corral.New(f, corral.Options{TTL: time.Hour, CacheTimeout: 5 * time.Second})
		must(t, err)
		loads = 0
		_, err = l.GetOrLoadMany(t.Context(), keys, func(_ context.Context, missing []string) (map[string]int64, error) {
			loads += len(missing)
			values := map[string]int64{}
			for _, key := range missing {
				values[key] = 1
			}
			return values, nil
		})
		must(t, err)
		must(t, l.Close(t.Context()))
		must(t, f.Close(context.Background()))
	}
	if loads < plan.Keys/10 {
		t.Errorf("a plain swap loads %d of %d keys: that shows nothing", loads, plan.Keys)
	}
	return loads
}
