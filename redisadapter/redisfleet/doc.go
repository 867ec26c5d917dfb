// Package redisfleet keeps on a Redis what the processes of a fleet
// ([github.com/corralcache/corral/sharded/fleet]) have to agree on: which keys are
// pinned ([Pins]), which topology is in force ([Epochs]), and how far a migration has
// come ([Checkpoints]).
//
// The client may be any of go-redis's. All keys of one Prefix share a hash tag, so that
// on a Cluster they are on one node. None of this is cached data: use a server that
// evicts nothing and does not forget, which need not be one of the fleet's shards.
//
// Scripts change everything, with EVALSHA, and EVAL where the server does not know them
// yet. A call returns soon after its context ended; what it had sent may still be done.
// Every call is safe for concurrent use.
package redisfleet
