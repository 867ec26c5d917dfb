package report

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/corralcache/corral/bench/internal/economy"
	"github.com/corralcache/corral/bench/internal/measure"
)

// A page has a chart below the heading of each result, the target beside the
// ratio, the floor and the reason where that is not reached, and what was not
// measured with its reason.
func TestWritePage(t *testing.T) {
	c := &measure.Case{Group: "hit", Name: "one", Rival: "raw", Targets: []measure.Target{
		{Row: "corral, x", Rival: "raw", At1: 0.9},
		{Row: "corral, x", Rival: "raw", At1: 0.5, Why: "it is no lighter than air", Floor: "floor: air"},
		{Row: "corral, x", Rival: "raw", At1: 1, Why: "of no use: it is reached"},
	}}
	r := &Report{
		Command: "go run ./cmd/compare",
		Results: []measure.Result{{Case: c, CPUs: 1, Rows: []measure.Measured{
			{Name: "corral, x", Samples: []measure.Sample{{Ns: 50}, {Ns: 60}}},
			{Name: "floor: air", Samples: []measure.Sample{{Ns: 40}, {Ns: 42}}},
			{Name: "raw", Samples: []measure.Sample{{Ns: 100}, {Ns: 100}}},
			{Name: "other", Err: errors.New("on purpose")},
		}}},
		Economy: []Stampede{{economy.Scenarios()[0], []economy.Row{{Contender: "other", Outcome: economy.Outcome{Died: "its process died"}}}}},
	}
	root := t.TempDir()
	if err := r.WritePage(root); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "benchmarks.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"![](benchmarks/hit-one-at-1-cpu.svg)", "0.55 (0.50–0.60)", "≤ 0.9 × raw", "yes", "other: on purpose", "its process died",
		"0.55 × raw, not 0.5", "air | 0.41 (0.40–0.42)", "- corral, x: it is no lighter than air",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "of no use") {
		t.Errorf("the page says why a target is not reached that is:\n%s", text)
	}
	svg, err := os.ReadFile(filepath.Join(root, "docs", "benchmarks", "hit-one-at-1-cpu.svg"))
	if err != nil || !strings.Contains(string(svg), "corral, x") {
		t.Errorf("the chart does not name its rows: %v", err)
	}
}
