// Package sharded coalesces concurrent loads of the same key into one, for code
// that wants this without a cache. A [Group] does what
// golang.org/x/sync/singleflight does, and differs from it in five ways:
//
//   - Keys and values have types; a key need not be a string.
//   - A caller waits on its own context. The load runs with the values of the
//     context of the caller that started it, and not with its end.
//   - A load that panics or calls [runtime.Goexit] gives every caller an error.
//   - A load that, through others or directly, waits for itself gets an error
//     instead of a deadlock.
//   - Flights are spread over shards, so that callers of different keys seldom
//     meet at a lock.
//
// Code that wants singleflight's behaviour to the letter finds it in package
// sharded/singleflight. A cache with loads of this kind is package corral.
package sharded
