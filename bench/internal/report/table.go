package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/corralcache/corral/bench/internal/measure"
)

// table is one of Markdown, padded so that a terminal shows it well too.
type table struct {
	head []string
	rows [][]string
}

// add adds a row; cells that are not given are empty.
func (t *table) add(cells ...string) {
	t.rows = append(t.rows, append(cells, make([]string, max(0, len(t.head)-len(cells)))...))
}

func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	line := func(cells []string) {
		for i, cell := range cells {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(w, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(w, "| %s%s ", pad, cell)
			}
		}
		fmt.Fprintln(w, "|")
	}
	line(t.head)
	for i, width := range widths {
		if i == 0 {
			fmt.Fprintf(w, "|:%s-", strings.Repeat("-", width))
		} else {
			fmt.Fprintf(w, "|-%s:", strings.Repeat("-", width))
		}
	}
	fmt.Fprintln(w, "|")
	for _, row := range t.rows {
		line(row)
	}
	fmt.Fprintln(w)
}

// spread prints a median, with the least and the greatest.
func spread(s measure.Spread, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.Median, s.Low, s.High)
}

func ns(s measure.Spread) string {
	if s.Median < 1000 {
		return spread(s, "%.1f")
	}
	return spread(s, "%.0f")
}

func bytesText(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

// number prints a small number as short as it is.
func number(n float64) string {
	s := strconv.FormatFloat(n, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func cpus(n int) string {
	if n == 1 {
		return "1 CPU"
	}
	return fmt.Sprintf("%d CPUs", n)
}
