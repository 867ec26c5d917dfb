package reshard

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/guptarohit/asciigraph"
)

const (
	interval    = 100 * time.Millisecond
	chartHeight = 6
)

// chart shows the loads of both sources in a step as they come: redrawn in place in a
// terminal, two lines at the end of the step elsewhere.
type chart struct {
	out     io.Writer
	live    bool
	top     float64       // of the axis: the same in each step, so that they compare
	columns int           // that a step has at least
	drawn   int           // lines to go back before drawing again
	echoed  *atomic.Int64 // lines that the terminal has shown besides
}

func (c *chart) begin(number int, name string) {
	if c.live {
		name += strings.Repeat(" ", max(1, 20-len(name))) +
			asciigraph.Green.String() + "fleet " + asciigraph.DarkGray.String() + "control" + asciigraph.Default.String()
	}
	fmt.Fprintf(c.out, "%d  %s\n", number, name)
}

// draw draws what there is so far.
func (c *chart) draw(fleet, control []float64) {
	if !c.live {
		return
	}
	for len(fleet) < c.columns {
		fleet, control = append(fleet, math.NaN()), append(control, math.NaN())
	}
	plot := asciigraph.PlotMany([][]float64{control, fleet},
		asciigraph.Height(chartHeight), asciigraph.Precision(0), asciigraph.LowerBound(0), asciigraph.UpperBound(c.top),
		asciigraph.SeriesColors(asciigraph.DarkGray, asciigraph.Green)) + "\n"
	if c.drawn += int(c.echoed.Swap(0)); c.drawn > 0 {
		fmt.Fprintf(c.out, "\x1b[%dA\x1b[J", c.drawn)
	}
	c.drawn = strings.Count(plot, "\n")
	io.WriteString(c.out, plot)
}

// finish draws the whole step.
func (c *chart) finish(fleet, control []float64) {
	if c.live {
		c.draw(fleet, control)
		return
	}
	for _, line := range []struct {
		name  string
		loads []float64
	}{{"fleet", fleet}, {"control", control}} {
		fmt.Fprintf(c.out, "   %-8s", line.name)
		for _, n := range line.loads {
			fmt.Fprintf(c.out, " %d", int(n))
		}
		fmt.Fprintln(c.out)
	}
}
