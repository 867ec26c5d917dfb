// Package reshard is the program of examples/reshard.
package reshard

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// Main is the program's main function.
func Main() {
	opts, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		exit(err, 2)
	}
	redis.SetLogger(silent{}) // of servers that are killed on purpose
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &show{options: opts, out: os.Stdout, in: os.Stdin, live: isTerminal(os.Stdout), echo: isTerminal(os.Stdin)}
	exit(s.run(ctx), 1)
}

func exit(err error, code int) {
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "reshard:", err)
	os.Exit(code)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// isTerminal says whether f can be redrawn in place.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 &&
		os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}

// options are the flags.
type options struct {
	swap, typed, gutter bool
	seed                uint64
	length              time.Duration
	rate                int
	keyCount            int
	lease               time.Duration
}

func parse(args []string) (options, error) {
	o := options{keyCount: 2000}
	flags := flag.NewFlagSet("reshard", flag.ContinueOnError)
	flags.BoolVar(&o.swap, "swap", false, "change the shards without Apply and Migrate, to see what these are for;\n"+
		"it is a fault then if the source does not notice")
	flags.BoolVar(&o.typed, "keys", false, "do what is typed, each with Enter: a(dd), d(rop), k(ill), r(eturn), q(uit)")
	flags.BoolVar(&o.gutter, "gutter", false, "keep what is on a dead shard at the next one for 10 s; the control does not")
	flags.Uint64Var(&o.seed, "seed", 1, "draws the keys of the calls and Deletes")
	flags.DurationVar(&o.length, "step", 2*time.Second, "how long a step lasts at least, 500ms to 1m")
	flags.DurationVar(&o.lease, "lease", 2*time.Second, "how long a lease lasts if nobody renews it, 100ms to 1m;\n"+
		"the end of a migration waits for two of them")
	flags.IntVar(&o.rate, "rate", 2000, "calls a second of each fleet, 100 to 10000")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.length < 500*time.Millisecond || o.length > time.Minute:
		return o, fmt.Errorf("-step is %v: it must be from 500ms to 1m", o.length)
	case o.lease < 100*time.Millisecond || o.lease > time.Minute:
		return o, fmt.Errorf("-lease is %v: it must be from 100ms to 1m", o.lease)
	case o.rate < 100 || o.rate > 10_000:
		return o, fmt.Errorf("-rate is %d: it must be from 100 to 10000", o.rate)
	}
	return o, nil
}

// show is one run of the example.
type show struct {
	options
	out  io.Writer
	in   io.Reader
	live bool // can be redrawn
	echo bool // what is typed is shown

	echoed  atomic.Int64 // lines that were typed since the last drawing
	arms    [2]*arm      // the fleet, and the control
	traffic *traffic
	steps   []*step
}
