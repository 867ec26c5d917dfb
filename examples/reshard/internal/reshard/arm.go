package reshard

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/redisadapter"
	"github.com/corralcache/corral/sharded/fleet"
)

// ttl is longer than the show, so that no load is an expiry's.
const ttl = time.Hour

// arm is a fleet with what is around it: servers below, a Loader above, a source
// beside.
type arm struct {
	source  *source
	control bool
	lease   time.Duration // the end of a migration waits for two of them
	gutter  fleet.GutterOptions

	mu      sync.Mutex
	servers map[string]*miniredis.Miniredis // guarded by mu

	now    atomic.Pointer[inUse]
	epoch  uint64
	shards []string
	down   []string
}

// inUse is what calls go to: with -swap another one after each change.
type inUse struct {
	fleet  *fleet.Fleet[string, Row]
	loader *corral.Loader[string, Row]
}

// newArm has an arm begin with shards.
func newArm(ctx context.Context, a *arm, shards ...string) (*arm, error) {
	a.servers, a.epoch, a.shards = map[string]*miniredis.Miniredis{}, 1, shards
	return a, a.use(ctx)
}

// topology is that of the shards, in the epoch.
func (a *arm) topology() fleet.Topology {
	t := fleet.Topology{Epoch: a.epoch}
	for _, id := range a.shards {
		t.Shards = append(t.Shards, fleet.Shard{ID: id})
	}
	return t
}

// use makes a fleet and a Loader, and has calls go there from now on.
func (a *arm) use(ctx context.Context) error {
	f, err := fleet.New(ctx, a.topology(), a.open, fleet.Options[string]{
		MaxLife: 2 * ttl,
		Health:  fleet.HealthOptions{MinPause: time.Second, MaxPause: 2 * time.Second, Gutter: a.gutter},
		Close:   func(_ context.Context, _ fleet.Shard, cache any) error { return cache.(shard).client.Close() },
	})
	if err != nil {
		return err
	}
	l, err := corral.New(f, corral.Options{TTL: ttl, CacheTimeout: 5 * time.Second}) // a busy machine is no failure
	if err != nil {
		return err
	}
	a.now.Store(&inUse{f, l})
	return nil
}

// shard is the cache on a server.
type shard struct {
	*redisadapter.Cache[string, Row]
	client *redis.Client
}

// open starts the server of a shard, unless it runs.
func (a *arm) open(_ context.Context, s fleet.Shard) (corral.Cache[string, Row], error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	server := a.servers[s.ID]
	if server == nil {
		server = miniredis.NewMiniRedis()
		server.ClockTTL(true) // keys end with time, as everywhere
		if err := server.Start(); err != nil {
			return nil, err
		}
		a.servers[s.ID] = server
	}
	client := redis.NewClient(&redis.Options{
		Addr: server.Addr(), MaxRetries: -1, // who is refused need not ask again
		ReadTimeout: 20 * time.Second, // a busy machine is no failure
	})
	return shard{redisadapter.New(client, redisadapter.Options[string, Row]{Prefix: "show", Lease: a.lease}), client}, nil
}

// fill asks for every key.
func (a *arm) fill(ctx context.Context, keys []string) error {
	for batch := range slices.Chunk(keys, 100) {
		if _, err := a.now.Load().loader.GetOrLoadMany(ctx, batch, a.source.loadAll); err != nil {
			return err
		}
	}
	return nil
}

// get is a call of the Loader that is in use.
func (a *arm) get(ctx context.Context, e event) (row Row, err error) {
	err = a.with(func(l *corral.Loader[string, Row]) error {
		row, err = l.GetOrLoad(ctx, e.key, a.source.load(e.step))
		return err
	})
	return row, err
}

func (a *arm) delete(ctx context.Context, key string) error {
	return a.with(func(l *corral.Loader[string, Row]) error { return l.Delete(ctx, key) })
}

// with makes a call again if -swap has closed the Loader meanwhile.
func (a *arm) with(call func(*corral.Loader[string, Row]) error) error {
	for {
		now := a.now.Load()
		if err := call(now.loader); !errors.Is(err, corral.ErrClosed) || a.now.Load() == now {
			return err
		}
	}
}

// change makes these the shards: by Apply and Migrate.
func (a *arm) change(ctx context.Context, shards []string) (fleet.Report, error) {
	a.epoch, a.shards = a.epoch+1, shards
	f := a.now.Load().fleet
	change, err := f.Apply(ctx, a.topology())
	if err != nil {
		return fleet.Report{}, err
	}
	opts := fleet.MigrateOptions{Checkpoints: new(fleet.MemoryCheckpoints), Latency: 500 * time.Millisecond} // as all servers are this program
	report, err := fleet.Migrate(ctx, f, opts)
	for tries := 1; !report.Ended && tries < 5 && ctx.Err() == nil; tries++ { // it goes on from the checkpoint
		report, err = fleet.Migrate(ctx, f, opts)
	}
	if err != nil || !report.Ended {
		return report, errors.Join(err, errors.New("the migration has not come to its end"))
	}
	<-change.Done()
	return report, change.Err()
}

// swap makes these the shards: by another fleet over the same servers.
func (a *arm) swap(ctx context.Context, shards []string) error {
	a.epoch, a.shards = a.epoch+1, shards
	before := a.now.Load()
	if err := a.use(ctx); err != nil {
		return err
	}
	if err := before.loader.Close(ctx); err != nil {
		return err
	}
	return before.fleet.Close(ctx)
}

// kill ends a server, if the arm has it.
func (a *arm) kill(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if slices.Contains(a.shards, id) {
		a.servers[id].Close()
		a.down = append(a.down, id)
	}
}

// revive starts a server again, empty, as one that was restarted.
func (a *arm) revive(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.Index(a.down, id)
	if i < 0 {
		return nil
	}
	a.down = slices.Delete(a.down, i, i+1)
	a.servers[id].FlushAll() // it would have kept what it held
	return a.servers[id].Restart()
}

// well reports whether no shard is out.
func (a *arm) well() bool {
	return !slices.ContainsFunc(a.now.Load().fleet.Health(), func(h fleet.ShardHealth) bool { return h.Out })
}

func (a *arm) close(ctx context.Context) error {
	now := a.now.Load()
	err := errors.Join(now.loader.Close(ctx), now.fleet.Close(ctx))
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, server := range a.servers {
		server.Close()
	}
	return err
}
