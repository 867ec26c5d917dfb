package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Print writes the table: first where the queries and errors come from, then
// one line for each set-up, then what it means in one sentence.
func (t Table) Print(w io.Writer) {
	fmt.Fprintln(w, "Source queries by phase, and in brackets the errors that callers saw:")
	fmt.Fprintln(w)
	printGrid(w, t.phaseGrid())
	fmt.Fprintln(w)
	fmt.Fprintln(w, "All phases:")
	fmt.Fprintln(w)
	printGrid(w, t.totalGrid())
	fmt.Fprintln(w)
	fmt.Fprintln(w, t.Conclusion())
}

func (t Table) phaseGrid() [][]string {
	head := []string{"", "least"}
	for _, row := range t.Rows {
		head = append(head, row.SetUp)
	}
	grid := [][]string{head}
	for i, phase := range t.Phases {
		line := []string{phase, count(t.Least[i])}
		for _, row := range t.Rows {
			line = append(line, fmt.Sprintf("%s (%s)", count(row.Queries[i]), count(row.Failed[i])))
		}
		grid = append(grid, line)
	}
	return grid
}

func (t Table) totalGrid() [][]string {
	grid := [][]string{
		{"", "source", "times the", "errors", "slowest", "time to", "stale", "deleted", "loads by"},
		{"", "queries", "least", "seen", "wait", "recover", "answers", "served", "Stats"},
	}
	for _, row := range t.Rows {
		loads := "-"
		if row.Loads >= 0 {
			loads = count(row.Loads)
		}
		grid = append(grid, []string{
			row.SetUp, count(sum(row.Queries)), fmt.Sprintf("%.1f", t.ratio(row)), count(sum(row.Failed)),
			wait(row.Slowest), wait(row.Recovery), count(row.Stale), count(row.Deleted), loads,
		})
	}
	return append(grid, []string{"theoretical least", count(sum(t.Least)), "1.0", "", "", "", "", "0", ""})
}

// printGrid aligns the first column to the left and all others to the right.
func printGrid(w io.Writer, grid [][]string) {
	widths := make([]int, len(grid[0]))
	for _, line := range grid {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range grid {
		var text strings.Builder
		for i, cell := range line {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				text.WriteString(cell + padding)
				continue
			}
			text.WriteString("  " + padding + cell)
		}
		fmt.Fprintln(w, "  "+strings.TrimRight(text.String(), " "))
	}
}

// count writes n with a comma between thousands.
func count(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func wait(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
