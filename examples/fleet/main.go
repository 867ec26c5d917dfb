// Fleet shows one load per key and expiry in several processes together. It
// starts processes of its own, each with a Loader of its own over one Redis, and
// many callers of a few keys that expire often; one process deletes a key now and
// then, and one is killed while it loads under a lease. What was loaded, the
// source's own log says:
//
//	go run ./examples/fleet                         # with a Redis of its own, in memory
//	go run ./examples/fleet -redis localhost:6379   # with yours
//	go run ./examples/fleet -control                # without leases, to compare
//	go run ./examples/fleet -stale 0                # callers wait for each load
//
// The columns of the tables:
//
//   - expiries: how often a perfect cache, shared by all, would have had to load:
//     a key was missing, deleted or older than its TTL; computed from the source's
//     log and the Deletes alone
//   - loads: lines of the source's log
//   - lease waits: loads that another process was running already, so that this
//     one waited for it
//   - longest wait: of any caller
//   - deleted served: answers older than a Delete that had returned before their
//     call began. In another process than that of the Delete a call may share
//     what was under way when it returned, once; such answers are none of these
//
// It exits with 1 if the numbers contradict what leases promise.
package main

import "github.com/corralcache/corral/examples/fleet/internal/fleet"

func main() { fleet.Main() }
