// Package stampede is the program of examples/stampede.
package stampede

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// CacheFunc opens a cache in the Redis at an address. Closing ends what it
// began.
type CacheFunc = func(address string) (cache corral.Cache[string, Row], closing func(), err error)

// Main is the program's main function. Redis is nil in the one that has no Redis
// client: it hands -redis over to the one that has.
func Main(redis CacheFunc) {
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
	if opts.redis != "" && redis == nil {
		handOver(ctx, os.Args[1:])
	}
	show := &show{options: opts, out: os.Stdout, live: isTerminal(os.Stdout), open: openProcess, openRedis: redis}
	exit(show.run(ctx), 1)
}

func exit(err error, code int) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "stampede:", err)
	os.Exit(code)
}

// options are the flags.
type options struct {
	seed   uint64
	broken string
	redis  string
	json   string
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
