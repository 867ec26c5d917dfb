// Stampede shows what a cache stampede does to a source, and what stops it. It
// plays one schedule of calls against three ways to read through a cache, with a
// source of limited capacity in a process of its own, and prints what the
// source's log and the callers say:
//
//	go run ./examples/stampede
//
// The columns of the table:
//
//   - source queries: lines of the source's own log
//   - times the least: over the queries of a perfect cache, which asks once for a
//     key that is missing, deleted or older than its TTL, while the source can
//     answer; computed from the schedule alone
//   - errors seen: by callers, except those who hung up themselves
//   - slowest wait: of any caller
//   - time to recover: from the moment the source is back until the last error,
//     or the last wait of more than three queries' time
//   - stale answers: older than the TTL when their call began
//   - deleted served: answers below the row version of the last delete that was
//     acknowledged before their call began
//   - loads by Stats: Corral's own count, which must be that of the log
//
// -json keeps every event; examples/stampede/verify computes the table again
// from them. -break switches one mechanism of Corral off, to see its column
// change. -redis runs examples/stampede/withredis, which go builds first. It exits
// with 1 if Corral breaks a promise, or if the record contradicts itself.
package main

import "github.com/corralcache/corral/examples/stampede/internal/stampede"

func main() { stampede.Main(nil) }
