// Package fleet routes keys to the shards of a [Topology]: caches that stand side by
// side, each with a share of the keys.
//
// # When there is a need for it
//
// One Redis Cluster, or one server behind a go-redis client, distributes its keys
// itself, and so does a go-redis Ring: where that is enough, use it as one cache, and
// not this package. A fleet is for what they do not join: several clusters or
// servers that know nothing of each other, caches in memory by tenant, shards of
// unequal size, keys that must be at a certain shard.
package fleet
