package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// intro is what the page says before the figures.
const intro = `# Benchmarks

What Corral costs, side by side with what else one could use. Written by the
command below; the figures are those of one run on one machine, so look at the
ratios. What is compared, and how, is in [bench](../bench/README.md).

`

// WritePage writes docs/benchmarks.md and its charts below root.
func (r *Report) WritePage(root string) error {
	const charts = "benchmarks"
	files, err := r.Charts(filepath.Join(root, "docs", charts))
	if err != nil {
		return err
	}
	var text bytes.Buffer
	r.Markdown(&text)
	var page strings.Builder
	page.WriteString(intro)
	for line := range strings.Lines(text.String()) {
		page.WriteString(line)
		if file, ok := files[strings.TrimSpace(strings.TrimPrefix(line, "### "))]; ok {
			fmt.Fprintf(&page, "\n![](%s/%s)\n", charts, file)
		}
	}
	return os.WriteFile(filepath.Join(root, "docs", "benchmarks.md"), []byte(strings.TrimRight(page.String(), "\n")+"\n"), 0o644)
}
