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
// change. It exits with 1 if Corral breaks a promise, or if the record
// contradicts itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// options are the flags.
type options struct {
	seed   uint64
	broken string
	redis  string
	json   string
}

func main() {
	if os.Getenv(sourceVariable) != "" {
		exit(runSource(), 1)
	}
	opts, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		exit(err, 2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	show := &show{options: opts, out: os.Stdout, live: isTerminal(os.Stdout), open: openProcess}
	exit(show.run(ctx), 1)
}

func exit(err error, code int) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "stampede:", err)
	os.Exit(code)
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("stampede", flag.ContinueOnError)
	flags.Uint64Var(&o.seed, "seed", 1, "draws the schedule, and which set-up comes first")
	flags.StringVar(&o.broken, "break", "", "switch one mechanism of Corral off, which must spoil its column:\n"+
		"flight (source queries), fence (deleted served), stale (errors seen);\n"+
		"it is a fault then if the column stays clean")
	flags.StringVar(&o.redis, "redis", "", "let Corral use Redis: \"embedded\", or an address such as localhost:6379")
	flags.StringVar(&o.json, "json", "", "write every event to this `file`, one JSON object per line")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if !slices.Contains([]string{"", report.BreakFlight, report.BreakFence, report.BreakStale}, o.broken) {
		return o, fmt.Errorf("-break is %q: it must be %s, %s or %s", o.broken,
			report.BreakFlight, report.BreakFence, report.BreakStale)
	}
	return o, nil
}
