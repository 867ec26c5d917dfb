package corral_test

import (
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/corralcache/corral"
)

func TestREADMEIsShort(t *testing.T) {
	if n := strings.Count(readFile(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, want at most 150", n)
	}
}

// What the README shows is compiled, and run, as a part of some test here.
func TestREADMECodeIsTested(t *testing.T) {
	var tests strings.Builder
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		tests.WriteString(dedent(readFile(t, file)))
	}
	blocks := fenced(readFile(t, "README.md"), "go")
	if len(blocks) == 0 {
		t.Fatal("README.md shows no code")
	}
	for _, block := range blocks {
		if !strings.Contains(tests.String(), dedent(block)) {
			t.Errorf("no test of the root package holds this block of README.md:\n%s", block)
		}
	}
}

func TestPackageCommentShowsTheREADMEsProgram(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	var program string
	for _, block := range new(comment.Parser).Parse(file.Doc.Text()).Content {
		if code, ok := block.(*comment.Code); ok {
			program = code.Text
			break
		}
	}
	want := fenced(readFile(t, "README.md"), "go")[0]
	if program != want {
		t.Errorf("the package comment shows\n%s\nand README.md\n%s", program, want)
	}
	if n := strings.Count(want, "\n"); n > 12 {
		t.Errorf("the program has %d lines, want at most 12", n)
	}
}

func TestREADMEListsTheOptions(t *testing.T) {
	_, table, _ := strings.Cut(readFile(t, "README.md"), "| `corral.Options` |")
	table, _, _ = strings.Cut(table, "\n\n")
	var listed []string
	for row := range strings.SplitSeq(table, "\n") {
		if cells := strings.Split(row, "|"); len(cells) == 5 {
			for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[1], -1) {
				listed = append(listed, name[1])
			}
		}
	}
	var fields []string
	for f := range reflect.TypeFor[corral.Options]().Fields() {
		fields = append(fields, f.Name)
	}
	if !slices.Equal(listed, fields) {
		t.Errorf("README.md lists the options\n%q, and Options has\n%q", listed, fields)
	}
}

// A page that was renamed is easily still linked to.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	pages := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		pages++
		for _, m := range link.FindAllStringSubmatch(readFile(t, path), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			}
		}
		return nil
	})
	if err != nil || pages == 0 {
		t.Fatalf("found %d pages, %v", pages, err)
	}
}

// The index of the decisions names each page once.
func TestDecisionsAreIndexed(t *testing.T) {
	index := readFile(t, "docs/decisions/README.md")
	pages, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		name := filepath.Base(page)
		if name != "README.md" && strings.Count(index, "]("+name+")") != 1 {
			t.Errorf("docs/decisions/README.md does not list %s once", name)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fenced returns the blocks of a Markdown page that are marked as lang.
func fenced(page, lang string) (blocks []string) {
	for _, part := range strings.Split(page, "\n```"+lang+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, block+"\n")
	}
	return blocks
}

// dedent takes off the tabs that begin lines: a block stands deeper in a
// function than on a page.
func dedent(code string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(code, "") }
