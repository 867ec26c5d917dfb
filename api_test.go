package corral_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updateAPI = flag.Bool("update-api", false, "write testdata/api.txt anew")

const modulePath = "github.com/corralcache/corral"

// TestAPI compares what the packages of this module export with
// testdata/api.txt, so that no change of it goes unseen. After a change that is
// meant: go test -run TestAPI -update-api .
func TestAPI(t *testing.T) {
	const golden = "testdata/api.txt"
	var got strings.Builder
	for _, pkg := range publicPackages(t) {
		for _, line := range exported(t, pkg) {
			fmt.Fprintf(&got, "%s: %s\n", pkg.ImportPath, line)
		}
	}
	if *updateAPI {
		if err := os.WriteFile(golden, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.Split(readFile(t, golden), "\n")
	lines := strings.Split(got.String(), "\n")
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
	for _, line := range lines {
		if !slices.Contains(want, line) {
			t.Errorf("not in %s: %s", golden, line)
		}
	}
}

// Some methods are for others to call, as the example of their type or of its
// constructor shows: errors, fmt and, in adapters, a Loader.
var (
	calledByLibraries = []string{"Error", "Unwrap", "String"}
	calledByLoaders   = []string{"Get", "Set", "Delete", "GetValue", "SetValue", "Settle", "Check", "Far", "Prompt",
		"LeaseLife", "Acquire", "Renew", "Fill", "Release", "Watch", "Listen", "Layers",
		"GetMany", "SetMany", "DeleteMany", "AcquireMany", "RenewMany", "FillMany", "ReleaseMany"}
)

func TestEveryCallHasAnExample(t *testing.T) {
	call := regexp.MustCompile(`^func (?:\(\*?(\w+)[^)]*\) )?(\w+)`)
	for _, pkg := range publicPackages(t) {
		examples := exampleNames(t, pkg)
		for _, line := range exported(t, pkg) {
			m := call.FindStringSubmatch(line)
			if m == nil || slices.Contains(calledByLibraries, m[2]) ||
				pkg.ImportPath != modulePath && slices.Contains(calledByLoaders, m[2]) {
				continue
			}
			name := strings.TrimPrefix(m[1]+"_"+m[2], "_")
			shown := func(example string) bool {
				return example == name || strings.HasPrefix(example, name+"_")
			}
			if !slices.ContainsFunc(examples, shown) {
				t.Errorf("%s: no Example%s", pkg.ImportPath, name)
			}
		}
	}
}

// publicPackages returns the packages of this module that anybody may import.
func publicPackages(t *testing.T) (list []*build.Package) {
	t.Helper()
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); dir != "." && (err == nil || private(d.Name())) {
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(dir, 0)
		if err == nil && pkg.Name != "main" && len(pkg.GoFiles) > 0 {
			pkg.ImportPath = path.Join(modulePath, filepath.ToSlash(dir))
			list = append(list, pkg)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func private(name string) bool {
	return name == "internal" || name == "testdata" || name[0] == '.' || name[0] == '_'
}

// exported returns a line for each thing that pkg exports, sorted.
func exported(t *testing.T, pkg *build.Package) (lines []string) {
	t.Helper()
	for _, file := range parse(t, pkg.Dir, pkg.GoFiles) {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				lines = append(lines, exportedFunc(d)...)
			case *ast.GenDecl:
				lines = append(lines, exportedSpecs(d)...)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func exportedFunc(d *ast.FuncDecl) []string {
	if !d.Name.IsExported() {
		return nil
	}
	if d.Recv != nil {
		receiver := d.Recv.List[0]
		receiver.Names = nil
		if !ast.IsExported(strings.TrimLeft(oneLine(receiver.Type), "*")) {
			return nil
		}
	}
	d.Doc, d.Body = nil, nil
	return []string{oneLine(d)}
}

func exportedSpecs(d *ast.GenDecl) (lines []string) {
	var typ ast.Expr // of a constant that names none: as the one before
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			lines = append(lines, exportedType(s)...)
		case *ast.ValueSpec:
			if s.Type != nil || len(s.Values) > 0 {
				typ = s.Type
			}
			for _, name := range s.Names {
				if name.IsExported() {
					lines = append(lines, strings.TrimSpace(fmt.Sprintf("%v %s %s", d.Tok, name, oneLine(typ))))
				}
			}
		}
	}
	return lines
}

// exportedType returns a line for the type and one for each field or method.
func exportedType(s *ast.TypeSpec) []string {
	if !s.Name.IsExported() {
		return nil
	}
	_, constraint := s.Type.(*ast.InterfaceType)
	var members *ast.FieldList
	switch typ := s.Type.(type) {
	case *ast.StructType:
		members, s.Type = typ.Fields, ast.NewIdent("struct")
	case *ast.InterfaceType:
		members, s.Type = typ.Methods, ast.NewIdent("interface")
	}
	s.Doc, s.Comment = nil, nil
	head := "type " + oneLine(s)
	lines := []string{head}
	if members == nil {
		return lines
	}
	for _, f := range members.List {
		f.Tag = nil
		for _, name := range f.Names {
			if name.IsExported() {
				lines = append(lines, head+": "+member(name, f.Type))
			}
		}
		embedded := oneLine(f.Type)
		if len(f.Names) == 0 && (constraint || ast.IsExported(embedded[strings.LastIndexAny(embedded, ".*")+1:])) {
			lines = append(lines, head+": "+embedded)
		}
	}
	return lines
}

// member is a field, or a method of an interface.
func member(name *ast.Ident, typ ast.Expr) string {
	if f, ok := typ.(*ast.FuncType); ok && f.Func == token.NoPos {
		return name.Name + strings.TrimPrefix(oneLine(typ), "func")
	}
	return name.Name + " " + oneLine(typ)
}

// oneLine prints a node on one line.
func oneLine(node any) string {
	if expr, ok := node.(ast.Expr); ok && expr == nil || node == nil {
		return ""
	}
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), node); err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func exampleNames(t *testing.T, pkg *build.Package) (names []string) {
	t.Helper()
	for _, file := range parse(t, pkg.Dir, slices.Concat(pkg.TestGoFiles, pkg.XTestGoFiles)) {
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil {
				if name, ok := strings.CutPrefix(d.Name.Name, "Example"); ok {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

func parse(t *testing.T, dir string, names []string) (files []*ast.File) {
	t.Helper()
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}
