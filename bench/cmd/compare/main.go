// Command compare measures Corral beside its peers, prints tables, and with
// -write puts them into docs/benchmarks.md, with charts.
//
//	go run ./cmd/compare -short
//	go run ./cmd/compare -count 10 -write
//	go run ./cmd/compare -scenario 'hit: one hot key' -cpu 1
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/corralcache/corral/bench/internal/child"
	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/economy"
	"github.com/corralcache/corral/bench/internal/honest"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/memory"
	"github.com/corralcache/corral/bench/internal/redisd"
	"github.com/corralcache/corral/bench/internal/report"
	"github.com/corralcache/corral/bench/internal/scenario"
)

func main() {
	child.Main(map[string]child.Part{
		honest.Part: honest.Child, memory.Part: memory.Child, economy.Part: economy.Child,
	})
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// flags of the command.
type flags struct {
	short, write, list bool
	count              int
	length             time.Duration
	scenario           *regexp.Regexp
	cpus               []int
	profile            string
}

func parse() (f flags, err error) {
	flag.BoolVar(&f.short, "short", false, "few and short rounds: under two minutes")
	flag.BoolVar(&f.write, "write", false, "write docs/benchmarks.md and its charts")
	flag.BoolVar(&f.list, "list", false, "print the scenarios and stop")
	flag.IntVar(&f.count, "count", 0, "`rounds` of each row; 0 is 3 with -short, else 8")
	flag.DurationVar(&f.length, "length", 0, "of a row in a round; 0 is 15 ms with -short, else 100 ms")
	flag.StringVar(&f.profile, "cpuprofile", "", "write a CPU profile of the timed rounds to `file`")
	match := flag.String("scenario", "", "only those that match this `regexp`, as -list prints them")
	cpus := flag.String("cpu", "1,2", "`numbers` of CPUs to measure at")
	flag.Parse()
	if f.scenario, err = regexp.Compile(*match); err != nil {
		return f, err
	}
	for text := range strings.SplitSeq(*cpus, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > runtime.NumCPU() {
			return f, fmt.Errorf("-cpu %s: %q is not from 1 to %d", *cpus, text, runtime.NumCPU())
		}
		f.cpus = append(f.cpus, n)
	}
	if f.count == 0 {
		f.count = choose(f.short, 3, 8)
	}
	if f.length == 0 {
		f.length = choose(f.short, 15*time.Millisecond, 100*time.Millisecond)
	}
	return f, nil
}

func choose[T any](short bool, a, b T) T {
	if short {
		return a
	}
	return b
}

// bench is one run of the command.
type bench struct {
	flags
	server *redisd.Server // nil until it is needed
	report report.Report
}

func run() error {
	f, err := parse()
	if err != nil {
		return err
	}
	b := &bench{flags: f, report: report.Report{
		Command: "go run ./cmd/compare " + strings.Join(os.Args[1:], " "), Date: time.Now(), Rounds: f.count, Length: f.length,
	}}
	b.report.Command = strings.TrimSpace(b.report.Command)
	defer b.close()
	b.closeOnSignal()
	cases := scenario.Cases(f.scenario, b.redis)
	if f.list {
		b.list(cases)
		return nil
	}
	steps := []func() error{
		func() error { return b.check(cases) },
		func() error { return profiled(f.profile, func() { b.time(cases) }) },
		b.weigh,
		b.stampede,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	b.report.Took = time.Since(b.report.Date)
	b.report.Markdown(os.Stdout)
	if f.write {
		return b.report.WritePage(filepath.Dir(moduleRoot()))
	}
	return nil
}

// redis starts the server at the first use.
func (b *bench) redis() (*redisd.Server, error) {
	if b.server != nil {
		return b.server, nil
	}
	s, err := redisd.Start()
	if err != nil {
		return nil, err
	}
	b.server, b.report.Redis = s, s.Version()
	return s, nil
}

func (b *bench) close() {
	if b.server != nil {
		b.server.Close()
	}
}

func (b *bench) closeOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		b.close()
		os.Exit(130)
	}()
}

func (b *bench) list(cases []*measure.Case) {
	for _, c := range cases {
		fmt.Printf("%s: %s\n", c.Group, c.Name)
	}
	for _, k := range memory.Kinds() {
		if b.scenario.MatchString(memoryName(k)) {
			fmt.Println(memoryName(k))
		}
	}
	for _, s := range economy.Scenarios() {
		if b.scenario.MatchString(stampedeName(s)) {
			fmt.Println(stampedeName(s))
		}
	}
}

func memoryName(k memory.Kind) string           { return "memory: " + string(k) }
func stampedeName(s economy.Scenario) string    { return "stampede: " + s.Name }
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// check looks into what the flights do besides being fast. A row of Corral's own
// that does not keep to every condition is not measured; what a peer leaves out
// is said beside its figures.
func (b *bench) check(cases []*measure.Case) error {
	var flights bool
	for _, c := range cases {
		flights = flights || c.Group == "flight" || c.Group == "waiter"
	}
	if !flights {
		return nil
	}
	for _, c := range contender.All() {
		if c.Flight == nil && c.FlightCtx == nil {
			continue
		}
		b.say("checking %s", c.Name)
		v := honest.Check(c.Name)
		b.report.Verdicts = append(b.report.Verdicts, v)
		if c.Name == ownGroup && len(v.Broken) > 0 {
			withhold(cases, c.Name)
			b.report.Failures = append(b.report.Failures, c.Name+" has no row: it does not keep to every condition")
		}
	}
	return nil
}

// ownGroup is the contender that must keep to every condition.
const ownGroup = "corral, Group.Do"

func withhold(cases []*measure.Case, name string) {
	for _, c := range cases {
		rows := c.Rows[:0]
		for _, row := range c.Rows {
			if row.Name != name {
				rows = append(rows, row)
			}
		}
		c.Rows = rows
	}
}

func (b *bench) time(cases []*measure.Case) {
	for _, c := range cases {
		for _, cpus := range b.cpus {
			begin := time.Now()
			b.report.Results = append(b.report.Results, measure.Run(c, cpus, measure.Settings{Rounds: b.count, Length: b.length}))
			b.say("%6.1fs  %s: %s, at %d CPUs", time.Since(begin).Seconds(), c.Group, c.Name, cpus)
		}
	}
}

func (b *bench) weigh() error {
	for _, k := range memory.Kinds() {
		if b.scenario.MatchString(memoryName(k)) {
			begin := time.Now()
			b.report.Memory = append(b.report.Memory, report.Weighed{Kind: k, Rows: memory.Run(k, choose(b.short, 10_000, 100_000))})
			b.say("%6.1fs  %s", time.Since(begin).Seconds(), memoryName(k))
		}
	}
	if !b.scenario.MatchString("memory: on the wire") {
		return nil
	}
	s, err := b.redis()
	if err != nil {
		return err
	}
	b.report.Wire, err = scenario.Wire(s)
	return err
}

func (b *bench) stampede() error {
	set := economy.Settings{Length: choose(b.short, 800*time.Millisecond, 3*time.Second)}
	for _, s := range economy.Scenarios() {
		if !b.scenario.MatchString(stampedeName(s)) {
			continue
		}
		begin := time.Now()
		rows, err := economy.Run(s, set, b.redis)
		if err != nil {
			return err
		}
		b.report.Economy = append(b.report.Economy, report.Stampede{Scenario: s, Rows: rows})
		b.say("%6.1fs  %s", time.Since(begin).Seconds(), stampedeName(s))
	}
	return nil
}
