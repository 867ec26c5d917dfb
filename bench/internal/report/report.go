// Package report prints what was measured, and writes it as a page with charts.
package report

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/corralcache/corral/bench/internal/contender"
	"github.com/corralcache/corral/bench/internal/economy"
	"github.com/corralcache/corral/bench/internal/honest"
	"github.com/corralcache/corral/bench/internal/measure"
	"github.com/corralcache/corral/bench/internal/memory"
)

// Report is all of a run.
type Report struct {
	Command  string
	Date     time.Time
	Took     time.Duration
	Rounds   int
	Length   time.Duration
	Redis    string // the server's version, empty if none ran
	Verdicts []honest.Verdict
	Results  []measure.Result
	Memory   []Weighed
	Wire     int64 // bytes that an entry of Corral's has on the wire besides its value; 0: not measured
	Economy  []Stampede
	Failures []string
}

// Weighed is a kind of thing and what it weighs.
type Weighed struct {
	Kind memory.Kind
	Rows []memory.Row
}

// Stampede is a scenario and what it cost.
type Stampede struct {
	Scenario economy.Scenario
	Rows     []economy.Row
}

// Markdown writes the tables. Every line of them can be read as it is, too.
func (r *Report) Markdown(w io.Writer) {
	r.head(w)
	for i := range r.Results {
		writeResult(w, &r.Results[i])
	}
	for _, m := range r.Memory {
		writeMemory(w, m)
	}
	if r.Wire > 0 {
		fmt.Fprintf(w, "### Bytes on the wire\n\nAn entry of a `redisadapter` has %d bytes besides its value.\n\n", r.Wire)
	}
	for _, s := range r.Economy {
		writeStampede(w, s)
	}
	r.goals(w)
	r.notes(w)
}

func (r *Report) head(w io.Writer) {
	fmt.Fprintf(w, "- Command: `%s` in `bench`, %s, took %v\n", r.Command, r.Date.UTC().Format("2 January 2006 15:04 MST"), r.Took.Round(time.Second))
	fmt.Fprintf(w, "- Rounds: %d of %v for each row, interleaved in one process\n", r.Rounds, r.Length)
	fmt.Fprintf(w, "- Machine: %s, %d CPUs, %s/%s, %s\n", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
	if r.Redis != "" {
		fmt.Fprintf(w, "- Server: redis-server %s on the loopback interface\n", r.Redis)
	}
	fmt.Fprintf(w, "- Versions: %s\n\n", strings.Join(versions(), ", "))
	fmt.Fprint(w, "Figures are medians of the rounds, with the least and the greatest in brackets. "+
		"A ratio is that of two rows in the same round. ns is elapsed time by calls, so at 2 CPUs it falls if the work is shared.\n\n")
}

// processor is what Linux calls it.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// versions of the modules that are compared, as this program was linked.
func versions() []string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return []string{"unknown"}
	}
	wanted := make(map[string]bool)
	for _, c := range contender.All() {
		wanted[c.Module] = true
	}
	var out []string
	for _, m := range info.Deps {
		if wanted[m.Path] {
			out = append(out, m.Path+" "+m.Version)
		}
	}
	slices.Sort(out)
	return out
}

func title(c *measure.Case) string { return capital(c.Group) + ": " + c.Name }

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func writeResult(w io.Writer, r *measure.Result) {
	fmt.Fprintf(w, "### %s, at %s\n\n", title(r.Case), cpus(r.CPUs))
	extras := extraNames(r)
	t := table{head: []string{"", "ratio to " + r.Case.Rival, "target", "ns", "B", "allocs"}}
	for _, name := range extras {
		t.head = append(t.head, name+" by call")
	}
	for _, row := range r.Rows {
		if row.Err != nil {
			t.add(row.Name, "failed")
			continue
		}
		line := []string{row.Name, ratioText(r, row.Name), targetText(r, row.Name), ns(row.Of(measure.Ns)), bytesText(row.Of(measure.Bytes).Median), number(row.Of(measure.Allocs).Median)}
		for _, name := range extras {
			line = append(line, strconv.FormatFloat(row.Extra[name], 'f', 4, 64))
		}
		t.add(line...)
	}
	t.write(w)
}

func extraNames(r *measure.Result) []string {
	var names []string
	for _, row := range r.Rows {
		for name := range row.Extra {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func ratioText(r *measure.Result, row string) string {
	ratio, ok := r.Ratio(row, r.Case.Rival)
	if !ok {
		return "–"
	}
	if row == r.Case.Rival {
		return "1"
	}
	return spread(ratio, "%.2f")
}

// targetText is the target of a row that is a ratio to the case's rival.
func targetText(r *measure.Result, row string) string {
	for _, t := range r.Case.Targets {
		if t.Row == row && t.Rival == r.Case.Rival {
			return "≤ " + number(t.At(r.CPUs))
		}
	}
	return ""
}

func writeMemory(w io.Writer, m Weighed) {
	fmt.Fprintf(w, "### Bytes of %s\n\n", m.Kind)
	t := table{head: []string{"", "bytes"}}
	for _, row := range m.Rows {
		if row.Err != "" {
			t.add(row.Contender, "failed: "+row.Err)
			continue
		}
		t.add(row.Contender, fmt.Sprintf("%.0f", row.Bytes))
	}
	t.write(w)
}

func writeStampede(w io.Writer, s Stampede) {
	fmt.Fprintf(w, "### Stampede: %s\n\n", s.Scenario.Name)
	t := table{head: []string{"", "loads", "least", "peak by 100 ms", "slowest", "99.9 %", "errors", "stale", "deleted", "hung", "calls"}}
	for _, row := range s.Rows {
		if row.Died != "" || row.Impaired != "" {
			t.add(row.Contender, row.Died+row.Impaired)
			continue
		}
		least := "–"
		if row.Least > 0 {
			least = fmt.Sprint(row.Least)
		}
		t.add(row.Contender, fmt.Sprint(row.Loads), least, fmt.Sprint(row.Peak), wait(row.Slowest), wait(row.P999),
			fmt.Sprint(row.Errors), fmt.Sprint(row.Stale), fmt.Sprint(row.Deleted), fmt.Sprint(row.Hung), fmt.Sprint(row.Calls))
	}
	t.write(w)
}

func wait(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// goals writes the targets beside what was measured.
func (r *Report) goals(w io.Writer) {
	t := table{head: []string{"", "at", "row", "target", "measured", "reached"}}
	for i := range r.Results {
		res := &r.Results[i]
		for _, g := range res.Goals() {
			target, got := fmt.Sprintf("≤ %s × %s", number(g.Most), g.Rival), spread(g.Got, "%.2f")
			switch {
			case g.Extra != "":
				target, got = fmt.Sprintf("%s %s by call", number(g.Most), g.Extra), fmt.Sprintf("%.4f", g.Got.Median)
			case g.Rival == "":
				target, got = fmt.Sprintf("≤ %s allocs", number(g.Most)), number(g.Got.Median)
			}
			t.add(title(res.Case), cpus(res.CPUs), g.Row, target, got, yes(g.Reached()))
		}
	}
	r.memoryGoals(&t)
	r.economyGoals(&t)
	if len(t.rows) > 0 {
		fmt.Fprint(w, "### Targets\n\n")
		t.write(w)
	}
	r.missed(w)
}

// missed says of every target that is not reached why not, and what the row shows
// that does nothing but what cannot be left out.
func (r *Report) missed(w io.Writer) {
	t := table{head: []string{"", "at", "row", "measured", "floor", "its figure"}}
	var reasons []string
	for i := range r.Results {
		res := &r.Results[i]
		for _, g := range res.Goals() {
			if g.Reached() || g.Why == "" {
				continue
			}
			floor, figure := "–", "–"
			if ratio, ok := res.Ratio(g.Floor, g.Rival); ok && g.Floor != "" {
				floor, figure = strings.TrimPrefix(g.Floor, "floor: "), spread(ratio, "%.2f")
			}
			t.add(title(res.Case), cpus(res.CPUs), g.Row, fmt.Sprintf("%s × %s, not %s", number(g.Got.Median), g.Rival, number(g.Most)), floor, figure)
			if reason := g.Row + ": " + g.Why; !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
	}
	if len(t.rows) > 0 {
		fmt.Fprint(w, "### What is not reached, and why\n\n")
		t.write(w)
		fmt.Fprintf(w, "- %s\n\n", strings.Join(reasons, "\n- "))
	}
}

const (
	mostEntry  = 96   // bytes above Ristretto's own entry with TTL
	mostFlight = 3500 // bytes
	mostWire   = 40   // bytes
)

func (r *Report) memoryGoals(t *table) {
	add := func(what, row, target string, got, most float64) {
		t.add(what, "", row, target, fmt.Sprintf("%.0f", got), yes(got <= most))
	}
	for _, m := range r.Memory {
		weight := make(map[string]float64)
		for _, row := range m.Rows {
			if row.Err == "" {
				weight[row.Contender] = row.Bytes
			}
		}
		switch m.Kind {
		case memory.Entries:
			own, raw := weight["corral, ristretto"], weight["ristretto, TTL"]
			if own > 0 && raw > 0 {
				add("Bytes of an entry", "corral, ristretto", fmt.Sprintf("≤ %d above ristretto, TTL", mostEntry), own-raw, mostEntry)
			}
		case memory.Flights:
			if own := weight["corral, Group.Do"]; own > 0 {
				add("Bytes of a flight", "corral, Group.Do", fmt.Sprintf("≤ %d", mostFlight), own, mostFlight)
			}
		}
	}
	if r.Wire > 0 {
		add("Bytes on the wire", "corral, redis", fmt.Sprintf("≤ %d", mostWire), float64(r.Wire), mostWire)
	}
}

// economyGoals say of Corral's rows whether a stampede could have cost less.
func (r *Report) economyGoals(t *table) {
	for _, s := range r.Economy {
		for _, row := range s.Rows {
			if !strings.HasPrefix(row.Contender, "corral") {
				continue
			}
			got := fmt.Sprintf("%d loads, %d errors, %d deleted, slowest %s", row.Loads, row.Errors, row.Deleted, wait(row.Slowest))
			t.add("Stampede: "+s.Scenario.Name, "", row.Contender, "the best there is", got, yes(s.Scenario.Best(row.Outcome)))
		}
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// notes say what the figures do not: what failed, and which contenders leave out
// something that a flight should do.
func (r *Report) notes(w io.Writer) {
	var failed []string
	for i := range r.Results {
		for _, row := range r.Results[i].Rows {
			if row.Err != nil {
				failed = append(failed, fmt.Sprintf("%s, at %s, %s: %v", title(r.Results[i].Case), cpus(r.Results[i].CPUs), row.Name, row.Err))
			}
		}
	}
	failed = append(failed, r.Failures...)
	if len(failed) > 0 {
		fmt.Fprintf(w, "### Not measured\n\n- %s\n\n", strings.Join(failed, "\n- "))
	}
	if len(r.Verdicts) == 0 {
		return
	}
	fmt.Fprint(w, "### What the flights are not asked for in their times\n\n")
	for _, v := range r.Verdicts {
		if len(v.Broken) == 0 {
			fmt.Fprintf(w, "- %s keeps to every condition.\n", v.Contender)
			continue
		}
		fmt.Fprintf(w, "- %s does not keep to:\n", v.Contender)
		for _, b := range v.Broken {
			fmt.Fprintf(w, "  - %s\n", b)
		}
	}
	fmt.Fprintln(w)
}
