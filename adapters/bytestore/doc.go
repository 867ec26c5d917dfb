// Package bytestore makes a [corral.Cache] of any store of bytes: memcached,
// BigCache, a file system, a table. It takes three methods of the user's, the
// [Store], and adds what a store of bytes cannot do by itself: it keeps the
// times of an entry beside its value, tells an absent value from an empty one,
// and knows a value that was truncated, damaged, written by something else or
// stored under another key.
//
// # Keys
//
// An entry is stored under the prefix's length, the prefix and the key, with
// colons between: prefix "users" and key 42 are "5:users:42". So no prefix and
// key can meet another prefix and key. Two caches over one store need two
// prefixes, also where their value types differ.
//
// # Clocks
//
// The load time of an entry is stored as wall time, since processes have no
// other clock in common. An entry from a process whose clock is ahead has the
// age zero until this process's clock gets there; a clock that is behind makes
// entries older. Within a process the age of an entry that was read goes by the
// monotonic clock. redisadapter, which has a server to ask, uses the server's
// clock instead.
//
// # The envelope
//
// [Envelope] is the format, for adapters of stores that need more than a Store
// can say. Its bytes, version 1, numbers big-endian:
//
//	 0  1  magic: C7. With the version after it no UTF-8 text begins so.
//	 1  1  version: 1
//	 2  1  flags: 1 absent, 2 compressed (reserved), 4 age unknown: the next time
//	       is when the entry was stored; 8 and 16 the unit of TTL, 32 and 64 that
//	       of Keep less TTL: 0 ns, 1 µs, 2 ms, 3 s; 128 is zero
//	 3  1  codec: see Identified
//	 4  8  when the value was loaded: nanoseconds since 1970 on the store's
//	       clock, 0 if unknown
//	12  4  CRC-32C of bytes 0 to 11, and of all from 16 to the end
//	16 12  the first 12 bytes of the key's SHA-256
//	28     three numbers, each as varint: how long the load took, in nanoseconds;
//	       TTL; Keep less TTL
//	       the payload: what the codec wrote; nothing if absent
//
// A varint has seven bits in each byte, the lowest first, and the highest bit set
// in all but its last. So the header has 31 bytes at the least; of a load of 200 ms,
// a TTL of an hour and a Keep of two it has 36, and 40 if the TTL has jitter.
//
// A later release reads what an earlier one wrote. A release that reads a
// version it does not know takes it for a miss, so that versions can be rolled
// out side by side.
package bytestore
