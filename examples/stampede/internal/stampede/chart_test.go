package stampede

import (
	"strings"
	"testing"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

func newTestChart(out *strings.Builder, live bool) *chart {
	return &chart{out: out, live: live, top: 8, phases: []report.Event{
		{Name: "first", Due: 0, Until: 3 * chartStep}, {Name: "second", Due: 3 * chartStep, Until: 5 * chartStep},
	}}
}

func TestChartPlain(t *testing.T) {
	var out strings.Builder
	newTestChart(&out, false).finish([]float64{8, 4, 0, 2, 1})
	want := "  1 first           8 4 0\n  2 second          2 1\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// A chart is drawn over the one before it, as wide as the turn will be.
func TestChartLive(t *testing.T) {
	var out strings.Builder
	c := newTestChart(&out, true)
	c.draw([]float64{8, 4, 0, 0, 0}, 2)
	first := out.Len()
	c.finish([]float64{8, 4, 0, 2, 1})
	lines := strings.Split(out.String()[first:], "\n")
	if lines[0] == "" || !strings.HasPrefix(lines[0], "\x1b[10A\x1b[J") {
		t.Errorf("the second chart begins with %q", lines[0])
	}
	if ruler := lines[len(lines)-2]; strings.TrimSpace(ruler) != "1··2·" {
		t.Errorf("the ruler is %q", ruler)
	}
}
