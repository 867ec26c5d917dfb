// Package layered makes one [corral.Cache] of two: a near one in the memory of
// this process, which holds copies, and a far one that processes share.
//
//	cache := layered.New(
//		ristrettoadapter.New(c, ristrettoadapter.Options[User]{}),
//		redisadapter.New(client, redisadapter.Options[string, User]{Prefix: "users"}),
//		layered.Options{})
//	users, err := corral.New(cache, corral.Options{TTL: time.Minute})
//
// A call is answered by near; what near has not, one flight reads from far, and
// what far has not, it loads. A write goes to far and decides what near holds.
//
// # What near may serve
//
//   - In the process that wrote: nothing older than a Delete or Set that has
//     returned nil. Reads of far that were under way when it began are not
//     copied, nor are those that begin before it ends.
//   - In other processes: nothing older, once they have heard of the write. The
//     far cache's Listen tells them ([corral.Listener], run by the Loader until
//     its Close): the copy is dropped, and reads of far that are under way are not
//     copied.
//   - While a process does not hear, from before the first subscription until the
//     next one after a loss: nothing that was read from far before the gap began,
//     and nothing that was read longer ago than [Options].Unheard, one second if
//     it is zero. How soon a loss is noticed is up to the far cache.
//   - Over a far cache that is no Listener, that is so for good: a copy lives no
//     longer than Options.Unheard.
//   - No copy outlives its entry in far: it has the same LoadedAt and Keep.
//     Entries of unknown age are not copied.
//
// What another process loads and stores anew is not a write in this sense: near
// keeps the older copy for its TTL, as it would if nobody had loaded.
//
// # What fails
//
// Errors of far are those of the cache. An error of near is a miss, and a copy
// that near does not take is missed later; [Options].NearError is told. Only a
// Delete or Set that near's Delete fails is an error, as near may then serve what
// was to go. A write that far reports as failed, and carries out later all the
// same, announces itself to other processes; this one may have copied the old
// entry by then, and keeps it until its end.
//
// # What fits
//
// Near holds entries, is in memory, and belongs to the layered cache alone: its
// Version of an entry says until when the copy is good. Copies that died are not
// deleted, but overwritten, evicted or let go at their end; so near must be one
// that bounds its memory, as Ristretto, unless the keys are few. Calls of near are
// made under a lock of their key, and a function that near calls, such as
// Ristretto's OnEvict, may not write to the layered cache.
//
// Far says that it is far. Where it is a Listener, it belongs to the layered cache
// alone, too: it tells only of others' writes, and those that another Loader of
// this process makes through the same value would count as its own. Make another
// one over the same client. It may hold bare values ([corral.PlainCache]). What of
// such a value's life is its stale window is learnt from the first entry that this
// process writes; until then it counts as stale. Its age is counted from when it
// was read, and it has no load time: there is no early expiry.
//
// # Many keys
//
// What near has not of many keys, one call of far reads, if far is a
// [corral.BatchCache] ([corral.BatchLeaser] for leases); what is written, one call
// writes. Over a far cache that takes one key at a time, 16 single calls run at
// once. Whatever was said above holds for each key: the others' copies are made
// if one is deleted meanwhile.
//
// # go-redis' own client-side caching
//
// Since 9.22.0 a *redis.Client can itself keep replies in memory, by
// redis.Options.ClientSideCacheConfig; 9.7.3 cannot. The feature is called
// experimental, needs RESP3 and database 0, and neither Cluster nor Ring have it.
// It saves the round trip of a redisadapter alone, without a second cache, and
// suits values that may be old for a while. It keeps bytes, so that each hit is
// decoded, and inside of a flight, since the Loader takes the cache for far. And
// an invalidation counts once the connection that carries it is read, which may be
// after a Delete by the same process has returned: by its own documentation it is
// eventually consistent. Where a Delete must be final, leave it off, also below a
// layered cache.
package layered
