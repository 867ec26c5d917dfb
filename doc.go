// Package corral wraps a cache that its user already has so that no expired
// key, restart or cancelled request sends a herd of identical loads to the
// source.
//
//	// cache is the *ristretto.Cache[string, User] that you have, db your source.
//	users, err := corral.New(ristrettoadapter.Plain(cache, ristrettoadapter.Options[User]{}), corral.Options{
//		TTL:         time.Minute,      // fresh: served, nothing starts
//		StaleFor:    10 * time.Minute, // stale: served at once, one refresh runs
//		EarlyExpiry: 1,                // keys in use are refreshed before they are stale
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	load := db.LoadUser // made once: a method value made at each call allocates
//
//	user, err := users.GetOrLoad(ctx, "42", load) // 10,000 callers, one load
//
// # What a call does
//
//  1. A fresh value is served, and nothing starts. Only [Options].EarlyExpiry
//     may start its refresh ahead of time.
//  2. A stale value, within [Options].StaleFor after its TTL, is served at once,
//     and one refresh of the key runs in the background.
//  3. Else one load runs, and everybody who asks meanwhile waits for it, each on
//     a context of its own. What it returns is stored, unless a Delete or Set of
//     the key came in between. If it fails, a value within [Options].StaleIfError
//     takes its place.
//
// A caller that leaves takes nobody with it: the load has the values of the
// context of the caller that started it, not its end. A load that panics, exits
// its goroutine or waits for itself is an error to those who waited for it. A
// cache that fails is a miss.
//
// # Where to look
//
// [Loader] is the type to use, [Options] what can be said about it. Inside a
// load, [FromContext] gives the [Control] by which the load decides about its own
// entry. [Hooks] and [Loader.Stats] tell what happens.
//
// [Cache] is what an adapter implements. Those of this module are
// ristrettoadapter, redisadapter, adapters/bytestore for any store of bytes, and
// adapters/memadapter for tests; adapters/adaptertest tests an adapter of your
// own. Package sharded has the coalescing alone, for code without a cache.
package corral
