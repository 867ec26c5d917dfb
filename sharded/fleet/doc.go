// Package fleet makes one [corral.Cache] of many that stand side by side: each key is
// on one of them, its shard.
//
//	t := fleet.Topology{Epoch: 1, Shards: []fleet.Shard{
//		{ID: "a", Addr: "10.0.0.1:6379"},
//		{ID: "b", Addr: "10.0.0.2:6379", Weight: 2},
//	}}
//	users, err := fleet.New(ctx, t, func(ctx context.Context, s fleet.Shard) (corral.Cache[string, User], error) {
//		return redisadapter.New(redis.NewClient(&redis.Options{Addr: s.Addr}), redisadapter.Options[string, User]{}), nil
//	}, fleet.Options[string]{})
//	…
//	loader, err := corral.New(users, corral.Options{TTL: time.Minute})
//
// # When there is a need for it
//
// One Redis Cluster distributes its keys itself, replaces nodes that fail and moves
// slots while they are used; a go-redis Ring distributes keys over servers. Where one
// of these is enough, use it as one cache, and not this package. A fleet is for what
// they do not join: several clusters, or servers that know nothing of each other;
// caches in memory, such as one for each group of tenants; shards of unequal size;
// keys that must be on a certain shard; and whatever else has an adapter.
//
// # Where a key is
//
// A key is on the shard that it is pinned to ([Pins]), else on the one that the router
// ranks first for the hash of its bytes: every process computes the same, in each
// release and on each architecture. See [Rendezvous], which is the default, [Ring] and
// [Jump] for what moves when shards come and go, and [Options].Secret for keys that
// strangers choose.
//
// # Zones
//
// Shards of one [Shard].Group hold the same keys. Each process reads the one in its own
// zone, [Options].Zone; of all processes one loads a key, and a Delete reaches every zone.
//
// # When shards come and go
//
// [Fleet.Apply] puts another topology into force under load. What moves is looked for
// where it was, and brought over, so that the source does not notice; and nothing that
// was deleted or set meanwhile comes back. With [Options.Epochs] all processes of a
// fleet change together.
//
// # What holds of a fleet
//
// What the cache of a shard promises holds for the keys on it: their leases, their
// announcements to other processes, the order of their writes. A call with many keys
// is one call to each shard that any of them is on, all at a time; a shard that fails
// or is late fails its keys alone, and one that does so again and again is not asked
// for a while: see [HealthOptions]. One that can tell when it comes back with old data
// ([corral.Incarnate]) serves none of them.
//
// [Fleet.Broadcast] and [Fleet.Scan] are over all shards, by a [Policy] for those that
// fail.
package fleet
