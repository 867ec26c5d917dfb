package reshard

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func someTable() *table {
	return &table{rows: []row{
		{name: "every key is loaded", loads: 2000, control: 2000},
		{name: "e is added", change: true, calls: 6000, loads: 93, control: 93},
		{name: "b is killed", calls: 6001, loads: 640, control: 638, unheard: 7},
	}}
}

func TestPrint(t *testing.T) {
	const want = `
step                       calls   source loads   control's loads   deleted served
0 every key is loaded          0           2000              2000                0
1 e is added                6000             93                93                0
2 b is killed               6001            640               638                0

The changes cost 0 loads; deleted values were served 0 times.
7 Deletes failed while a server was dead, and said so.
`
	var out strings.Builder
	out.WriteString("\n")
	someTable().print(&out)
	if out.String() != want {
		t.Errorf("printed%s, want%s", out.String(), want)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		want  string
		spoil func(*table)
	}{
		{"", func(*table) {}},
		{"", func(t *table) { t.rows[1].loads = 110 }},
		{"the changes cost 114 loads", func(t *table) { t.rows[1].loads = 207 }},
		{"", func(t *table) { t.rows[2].loads = 5000 }},
		{"deleted values were served 1 times", func(t *table) { t.rows[2].served = 1 }},
		{"3 callers got an error", func(t *table) { t.rows[2].errors = 3 }},
		{"a plain swap cost only 0 loads", func(t *table) { t.swap = true }},
		{"", func(t *table) { t.swap, t.rows[1].calls = true, 999 }},
		{"", func(t *table) { t.swap, t.rows[1].loads, t.rows[1].served = true, 250, 90 }},
		{"", func(t *table) { t.swap, t.rows = true, t.rows[:1] }},
	} {
		table := someTable()
		c.spoil(table)
		err := table.check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("check = %v, want %q", err, c.want)
		}
	}
}

func TestSourceCounts(t *testing.T) {
	s := newSource(time.Now())
	s.loads = []load{{50 * time.Millisecond, 0}, {150 * time.Millisecond, 1}, {199 * time.Millisecond, 1}, {420 * time.Millisecond, 2}}
	got := s.between(100*time.Millisecond, 450*time.Millisecond, interval)
	if len(got) != 3 || got[0] != 2 || got[1]+got[2] != 0 || s.of(1) != 2 || s.of(3) != 0 {
		t.Errorf("between = %v, of(1) = %d, of(3) = %d", got, s.of(1), s.of(3))
	}
	if v := s.change("k"); v != 2 {
		t.Errorf("version %d after a change, want 2", v)
	}
	if row, err := s.load(7)(t.Context(), "k"); row.Version != 2 || err != nil || s.of(7) != 1 {
		t.Errorf("load = %v, %v, counted %d times", row, err, s.of(7))
	}
}

func TestChart(t *testing.T) {
	var out strings.Builder
	c := &chart{out: &out, top: 100, columns: 5}
	c.begin(3, "e is added")
	c.draw([]float64{1}, []float64{2})
	c.finish([]float64{1, 20}, []float64{2, 3})
	const want = "3  e is added\n   fleet    1 20\n   control  2 3\n"
	if out.String() != want {
		t.Errorf("piped it is %q, want %q", out.String(), want)
	}
	out.Reset()
	c = &chart{out: &out, live: true, top: 100, columns: 5, echoed: new(atomic.Int64)}
	c.draw([]float64{1}, []float64{2})
	c.echoed.Add(1)
	c.finish([]float64{1, 20}, []float64{2, 3})
	if lines := strings.Count(out.String(), "\n"); lines != 2*(chartHeight+1) || !strings.Contains(out.String(), "\x1b[8A\x1b[J") {
		t.Errorf("in a terminal it has %d lines, and does not go back: %q", lines, out.String())
	}
}
