package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of the output of a build
	Test       string
	Output     string
}

// name is a test, or with Test empty what a package does outside of its tests.
type name struct{ pkg, test string }

func (n name) String() string { return strings.TrimSuffix(n.pkg+" "+n.test, " ") }

type report struct {
	failed map[name]bool // of every test, whether it ever failed
	skips  map[name]bool
	output map[name]*strings.Builder
	builds strings.Builder
}

func newReport() *report {
	return &report{map[name]bool{}, map[name]bool{}, map[name]*strings.Builder{}, strings.Builder{}}
}

func (r *report) add(e event) {
	n := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.builds.WriteString(e.Output)
	case "output":
		if r.output[n] == nil {
			r.output[n] = new(strings.Builder)
		}
		r.output[n].WriteString(e.Output)
	case "pass":
		if _, known := r.failed[n]; e.Test != "" && !known {
			r.failed[n] = false
		}
		delete(r.output, n) // what passes is quiet
	case "fail":
		if e.Test != "" || !r.failedInside(e.Package) {
			r.failed[n] = true
		}
	case "skip":
		if e.Test != "" { // a package is skipped if it has no tests
			r.skips[n] = true
		}
	}
}

// failedInside reports whether a test of the package failed: then that is why
// the package did.
func (r *report) failedInside(pkg string) bool {
	for n, failed := range r.failed {
		if failed && n.pkg == pkg && n.test != "" {
			return true
		}
	}
	return false
}

func (r *report) count() (passed, failed int) {
	for _, f := range r.failed {
		if f {
			failed++
		} else {
			passed++
		}
	}
	return passed, failed
}

// check prints what is wrong and reports whether nothing is.
func (r *report) check(w io.Writer) bool {
	fmt.Fprint(w, r.builds.String())
	passed, failed := r.count()
	for _, n := range sorted(r.failed) {
		fmt.Fprintf(w, "FAIL %v\n", n)
		if out := r.output[n]; out != nil {
			fmt.Fprint(w, out.String())
		}
	}
	if out := r.output[name{}]; out != nil && failed > 0 {
		fmt.Fprint(w, out.String())
	}
	for _, n := range sorted(r.skips) {
		fmt.Fprintf(w, "SKIP %v: a test that does not run proves nothing\n", n)
	}
	if passed+failed == 0 {
		fmt.Fprintln(w, "no test was run")
	}
	return failed == 0 && len(r.skips) == 0 && passed > 0
}

// sorted returns the names that hold true, in order.
func sorted(names map[name]bool) []name {
	list := slices.Collect(maps.Keys(names))
	list = slices.DeleteFunc(list, func(n name) bool { return !names[n] })
	slices.SortFunc(list, func(a, b name) int { return strings.Compare(a.String(), b.String()) })
	return list
}
