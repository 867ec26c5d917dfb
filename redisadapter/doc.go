// Package redisadapter makes a [corral.Cache] of a go-redis client that its user
// already has: a *redis.Client, also one of Sentinel's, a *redis.ClusterClient
// or a *redis.Ring, over Redis 6.0 and later or Valkey.
//
// [New] is for keys of its own: it stores entries in the envelope of package
// bytestore, which knows how old a value is, whether it belongs to the key, and
// that the source has none. [Plain] is for keys that other programs write and
// read.
//
// # Cost
//
// A hit is one GET; of a Plain cache, PTTL and GET in one round trip. A value is
// stored by one SET, which carries its life: no key is ever written without one.
//
// # Keys
//
// The cache of New stores an entry under Prefix, a colon and the key in braces:
// prefix "users" and key 42 are "users:{42}". As the prefix may hold no brace,
// no two prefixes meet. A key that is empty or begins with } or \ gets a \ in
// front of it, so that the braces are never empty. All keys that begin with an
// entry's key are therefore in its hash slot on a Cluster, whatever braces the
// user's key holds.
//
// Plain uses the Prefix and the key one after the other, as they are.
//
// # Clocks
//
// The processes that share a Redis agree on its clock, not on theirs. The
// adapter learns it with TIME, in the round trip of its first command, and
// again now and then in that of a later one; in between it counts with the
// process's monotonic clock. A step of the process's wall clock changes no age,
// but has it ask again: the machine may have been suspended, when the monotonic
// clock stands still.
//
// While the server's clock is unknown, so is an entry's age, and it counts as
// stale. Through any client but a *redis.Client the clock is that of the node
// which holds the key "clock" of the prefix, and it is asked with EVAL, since
// TIME has no key to be sent by. Where the server's rules forbid TIME (or that
// EVAL), Set returns the server's error, rather than storing entries that can
// never be fresh.
//
// # Deadlines
//
// A call returns when its context ends, also where go-redis goes on waiting. The
// command itself runs without the context's end: to give up a command in the
// middle is to lose its connection, and a caller in a hurry is no fault of the
// server's. So what a command may take is up to the client's own DialTimeout,
// ReadTimeout, WriteTimeout and PoolTimeout, and none of them should be switched
// off.
//
// A Set or Delete that was left behind, or whose reply was lost, may still be
// carried out.
//
// # Replicas
//
// What is deleted or replaced on the master is still read from a replica for a
// while. A client that reads from replicas (ReadOnly, RouteByLatency,
// RouteRandomly, ReplicaOnly) serves deleted values, and no adapter can tell: use
// one that does not where a Delete must be final.
package redisadapter
