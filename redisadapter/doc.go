// Package redisadapter makes a [corral.Cache] of a go-redis client that its user
// already has: a *redis.Client, also one of Sentinel's, a *redis.ClusterClient
// or a *redis.Ring, over Redis 6.0 and later or Valkey.
//
// [New] is for keys of its own: it stores entries in the envelope of package
// bytestore, which knows how old a value is, whether it belongs to the key, and
// that the source has none. [Plain] is for keys that other programs write and
// read. For those who run it there is docs/redis.md in this module: promises,
// costs of each call, rights, and what to do in an outage.
//
// # Cost
//
// A hit is one GET, which may share its round trip with those of other callers
// ([Cache.Get]); of a Plain cache, PTTL and GET in one round trip. A miss that
// loads is three round trips: the GET, Acquire, and Fill. Set, Delete and all calls
// about a lease are one script each, sent by its digest, and whole to a server that
// does not know it. No key is ever written without a life.
//
// Calls with many keys, those behind [corral.Loader.GetOrLoadMany] and a Delete of
// several, cost as many round trips to each node as one key does: an MGET, or a
// pipeline of GETs for each node of a Cluster; of a Plain cache, a pipeline of
// PTTL and GET; and else a pipeline of scripts. A pipeline takes 1,024 keys, and
// values of some 1 MiB; what is more waits for the next. Each key fails alone. The
// keys of a Cluster's node that hangs are given up after 7/8 of the context's time,
// so that those of the others are still of use; a Ring does not tell which shard
// has what, and there all wait for the slowest one.
//
// # Leases
//
// Of all processes that miss a key one gets its lease, a second key in the same
// hash slot, and loads; the others wait for what it stores, woken by a message.
// Set and Delete end the lease of their key in the script that writes, so what was
// being loaded anywhere before them is not stored after them. That saves loads and
// keeps what is stored in order. It is no mutual exclusion: a lease may run out
// while its holder still loads, and a failover may forget it.
//
// Scripts need EVALSHA, EVAL, TIME (for New), PUBLISH and the rights to the
// channels, the pattern of which is the prefix and a star. Where one is missing the
// error says so, nothing was changed, and Options.NoLease does without scripts.
//
// While a hash slot of a Cluster moves to another node, leases in it fail, and Set
// and Delete go in single steps.
//
// # Announcements
//
// Each Set and Delete is published on the channel of the prefix that ends in
// "writes", for near caches ([Cache.Listen]), and each lease's end on the one that
// ends in "leases", for those who wait ([Cache.Watch]). A message holds the key's
// text and never a value. Messages may be lost with their connection: whoever
// listens is told when that may have happened. Channels know no database number;
// two databases with one prefix wake each other without a reason.
//
// A *redis.Ring is subscribed to on all its shards. One that is wrapped in another
// type cannot be told from a client of one server, and what its other shards
// publish is not heard.
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
// Plain uses the Prefix and the key one after the other, as they are. The lease of
// "user:42" is "corral{user:42}": what is in the braces chooses the slot of the key
// itself. No value under the same prefix has such a name, as it begins with another
// letter; keys that begin with c have "lease" there. A cache without a Prefix must
// not have keys of that form.
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
