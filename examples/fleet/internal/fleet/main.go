// Package fleet is the program of examples/fleet.
package fleet

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Main is the program's main function.
func Main() {
	if text := os.Getenv(roleVariable); text != "" {
		exit(runRole(text), 1)
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
	exit((&show{options: opts, out: os.Stdout}).run(ctx), 1)
}

func exit(err error, code int) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "fleet:", err)
	os.Exit(code)
}

// options are the flags.
type options struct {
	processes, callers int
	length             time.Duration
	ttl, stale, cost   time.Duration
	lease              time.Duration
	redis              string
	kill, control      bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.IntVar(&o.processes, "processes", 4, "how many share the Redis, 2 to 64")
	flags.IntVar(&o.callers, "callers", 50, "how many goroutines call in each process, 1 to 10000")
	flags.DurationVar(&o.length, "for", 8*time.Second, "how long they do")
	flags.DurationVar(&o.ttl, "ttl", 400*time.Millisecond, "how long a value is fresh, 100ms at least")
	flags.DurationVar(&o.stale, "stale", 5*time.Second, "how long after that it is served while one process loads;\n"+
		"with 0 everybody waits for the load")
	flags.DurationVar(&o.cost, "load", 60*time.Millisecond, "how long the source takes for a load")
	flags.DurationVar(&o.lease, "lease", time.Second, "how long a lease lasts if nobody renews it, 100ms at least")
	flags.StringVar(&o.redis, "redis", "", "address of a Redis; empty for one in this program's memory")
	flags.BoolVar(&o.kill, "kill", true, "kill one process while it loads under a lease")
	flags.BoolVar(&o.control, "control", false, "switch leases off, to see what they are for;\n"+
		"it is a fault then if there is no load too many")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	return o, o.check()
}

// check says which flag is out of its bounds. Where things take less than 100 ms
// the clocks of the processes are not exact enough to tell who was first.
func (o options) check() error {
	const short, long = 100 * time.Millisecond, time.Hour
	for _, d := range []struct {
		name             string
		value, min, most time.Duration
	}{
		{"for", o.length, time.Second, long}, {"ttl", o.ttl, short, long}, {"stale", o.stale, 0, long},
		{"load", o.cost, time.Millisecond, 10 * time.Second}, {"lease", o.lease, short, long},
	} {
		if d.value < d.min || d.value > d.most {
			return fmt.Errorf("-%s is %v: it must be from %v to %v", d.name, d.value, d.min, d.most)
		}
	}
	if o.processes < 2 || o.processes > 64 {
		return fmt.Errorf("-processes is %d: it must be from 2 to 64", o.processes)
	}
	if o.callers < 1 || o.callers > 10_000 {
		return fmt.Errorf("-callers is %d: it must be from 1 to 10000", o.callers)
	}
	return nil
}
