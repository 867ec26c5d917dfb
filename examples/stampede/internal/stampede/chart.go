package stampede

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/guptarohit/asciigraph"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

const chartHeight = 8

// sourceCapacity is how many queries a healthy source answers in a chartStep.
const sourceCapacity = float64(slots * chartStep / cost)

// chart shows the queries of one turn as they arrive: redrawn in place in a
// terminal, a line for each phase at the end of the turn elsewhere.
type chart struct {
	out    io.Writer
	live   bool
	top    float64 // of the axis: the same in each turn, so that they compare
	color  asciigraph.AnsiColor
	phases []report.Event
	drawn  int // lines to go back before drawing again
}

// isTerminal says whether f can be redrawn in place.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 &&
		os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}

// follow redraws the chart until done is closed.
func (c *chart) follow(rec *recorder, now func() time.Duration, done <-chan struct{}) {
	if !c.live {
		<-done
		return
	}
	frames := time.NewTicker(chartStep)
	defer frames.Stop()
	for {
		select {
		case <-frames.C:
			c.draw(rec.chart(), int(now()/chartStep))
		case <-done:
			return
		}
	}
}

// finish draws the whole turn.
func (c *chart) finish(queries []float64) {
	if c.live {
		c.draw(queries, len(queries))
		return
	}
	for i, phase := range c.phases {
		fmt.Fprintf(c.out, "  %d %-15s", i+1, phase.Name)
		for _, n := range queries[phase.Due/chartStep : phase.Until/chartStep] {
			fmt.Fprintf(c.out, " %d", int(n))
		}
		fmt.Fprintln(c.out)
	}
}

// draw draws the columns before now; those to come are left blank.
func (c *chart) draw(queries []float64, now int) {
	for i := max(now, 1); i < len(queries); i++ {
		queries[i] = math.NaN()
	}
	capacity := make([]float64, len(queries))
	for i := range capacity {
		capacity[i] = sourceCapacity
	}
	plot := asciigraph.PlotMany([][]float64{capacity, queries},
		asciigraph.Height(chartHeight), asciigraph.Precision(0), asciigraph.LowerBound(0), asciigraph.UpperBound(c.top),
		asciigraph.SeriesColors(asciigraph.DarkGray, c.color))
	plot += "\n" + c.ruler(plot) + "\n"
	if c.drawn > 0 {
		fmt.Fprintf(c.out, "\x1b[%dA\x1b[J", c.drawn)
	}
	c.drawn = strings.Count(plot, "\n")
	io.WriteString(c.out, plot)
}

// ruler numbers the phases below the chart, from the column of its axis on.
func (c *chart) ruler(plot string) string {
	axis := 0
	if i := strings.IndexAny(plot, "┤┼"); i > 0 {
		axis = utf8.RuneCountInString(plot[:i])
	}
	var line strings.Builder
	line.WriteString(strings.Repeat(" ", axis))
	for i, phase := range c.phases {
		columns := int((phase.Until - phase.Due) / chartStep)
		line.WriteString(fmt.Sprint(i+1) + strings.Repeat("·", columns-1))
	}
	return line.String()
}
