package report

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/corralcache/corral/bench/internal/measure"
)

// Colours of the bars: Corral's own rows, and all others.
var (
	ownColour   = color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}
	otherColour = color.RGBA{R: 0xb8, G: 0xb8, B: 0xb8, A: 0xff}
	lineColour  = color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff}
)

// Charts writes a chart of each result into a directory, in place of those that
// were there, and returns their files by the title of the result.
func (r *Report) Charts(dir string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	files := make(map[string]string)
	for i := range r.Results {
		res := &r.Results[i]
		name := chartName(res)
		drawn, err := chart(res, filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if drawn {
			files[heading(res)] = name
		}
	}
	return files, nil
}

var odd = regexp.MustCompile(`[^a-z0-9]+`)

func chartName(r *measure.Result) string {
	name := odd.ReplaceAllString(strings.ToLower(heading(r)), "-")
	return strings.Trim(name, "-") + ".svg"
}

func heading(r *measure.Result) string { return title(r.Case) + ", at " + cpus(r.CPUs) }

// chart draws the ratios to the rival as bars, the best on top, each with a line
// from the least to the greatest round. It draws nothing if there is nothing to
// compare.
func chart(r *measure.Result, file string) (bool, error) {
	type bar struct {
		name  string
		ratio measure.Spread
	}
	var bars []bar
	for _, row := range r.Rows {
		if ratio, ok := r.Ratio(row.Name, r.Case.Rival); ok {
			bars = append(bars, bar{row.Name, ratio})
		}
	}
	if len(bars) < 2 {
		return false, nil
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return -compare(a.ratio.Median, b.ratio.Median) })

	p := plot.New()
	p.Title.Text = heading(r)
	p.X.Label.Text = "time of a call, " + r.Case.Rival + " = 1"
	p.X.Min = 0
	names := make([]string, len(bars))
	var own, others plotter.Values
	spreads := new(errorBars)
	for i, b := range bars {
		names[i] = b.name
		mine, theirs := b.ratio.Median, 0.0
		if !strings.HasPrefix(b.name, "corral") {
			mine, theirs = theirs, mine
		}
		own, others = append(own, mine), append(others, theirs)
		spreads.add(b.ratio, float64(i))
	}
	for _, set := range []struct {
		values plotter.Values
		colour color.Color
	}{{own, ownColour}, {others, otherColour}} {
		c, err := plotter.NewBarChart(set.values, vg.Points(12))
		if err != nil {
			return false, err
		}
		c.Horizontal, c.Color, c.LineStyle.Width = true, set.colour, 0
		p.Add(c)
	}
	lines, err := plotter.NewXErrorBars(spreads)
	if err != nil {
		return false, err
	}
	rival, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(bars)) - 0.5}})
	if err != nil {
		return false, err
	}
	rival.Color, rival.Dashes = lineColour, []vg.Length{vg.Points(3), vg.Points(3)}
	p.Add(lines, rival)
	p.X.Max *= 1.03 // the last line's end is seen
	p.NominalY(names...)
	return true, p.Save(18*vg.Centimeter, vg.Length(len(bars))*vg.Centimeter*0.7+3*vg.Centimeter, file)
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// errorBars are the lines of the spread.
type errorBars struct {
	plotter.XYs
	plotter.XErrors
}

func (e *errorBars) add(s measure.Spread, y float64) {
	e.XYs = append(e.XYs, plotter.XY{X: s.Median, Y: y})
	e.XErrors = append(e.XErrors, struct{ Low, High float64 }{s.Median - s.Low, s.High - s.Median})
}
