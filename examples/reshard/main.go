// Reshard changes the shards of a fleet while it is in use, and shows what the
// source notices of it. Two fleets of Redis servers, in this program's memory, get
// the same calls at the same time: of one the shards come, go and die, and the other
// one, the control, has had the final shards from the beginning. Each has a source
// of its own, which counts what it is asked for:
//
//	go run ./examples/reshard          # with Fleet.Apply and fleet.Migrate
//	go run ./examples/reshard -swap    # without: another fleet over the same servers
//	go run ./examples/reshard -gutter  # what is on a dead shard is kept at the next one
//	go run ./examples/reshard -keys    # type what happens
//
// The columns of the table:
//
//   - calls: of each of the two fleets, Deletes not among them
//   - source loads: what the source was asked for by calls of the step
//   - control's loads: the same of the control
//   - deleted served: answers older than a Delete that had returned nil before their
//     call began, of both
//
// Values outlive the show, so that loads follow Deletes and nothing else: as many in
// either fleet, until a shard dies. A server that is killed is killed in both; it
// comes back empty. It exits with 1 if a change cost a herd of loads, or if a deleted
// value was served; with -swap, if none did.
package main

import "github.com/corralcache/corral/examples/reshard/internal/reshard"

func main() { reshard.Main() }
