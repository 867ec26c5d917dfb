// Package flight is the machinery of coalescing: a table of flights, at most
// one per key, which callers join, leave and wait for. sharded.Group,
// singleflight.Group and corral.Loader are its faces; each decides what a
// flight does and turns the facts told here into errors of its own.
//
// # The life of a flight
//
// A flight is mapped when [Table.Join] or [Table.Lead] starts it. Its leader
// works through phases of the face's choosing, each with an alarm of its own
// ([Flight.Advance]), publishes an outcome and wakes the waiters. A woken
// flight may stay mapped: it then serves newcomers until [Flight.Remove].
//
// A flight is detached when a write or [Table.Detach] takes it out of the map:
// its waiters still get its outcome, the next caller starts anew.
//
// # Locks
//
// A shard has one lock; no code of a user runs under it. The wait-for graph has
// one lock for all tables, taken only by calls made inside a load.
package flight
