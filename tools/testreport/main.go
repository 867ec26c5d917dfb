// Command testreport reads what "go test -json" wrote.
//
//	testreport check FILE     prints what failed, and what was skipped, in one run
//	testreport count FILE...  prints how many tests passed and failed in all runs
//
// A test that was run several times is counted once, and passed if it never
// failed. A package that failed outside of its tests, since it did not build,
// timed out or exited, counts as one failure. Check exits with 1 if anything
// failed, if a test was skipped, and if there was no test.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) < 3 || os.Args[1] != "check" && os.Args[1] != "count" {
		fmt.Fprintln(os.Stderr, "usage: testreport check FILE | testreport count FILE...")
		os.Exit(2)
	}
	ok, err := run(os.Stdout, os.Args[1] == "check", os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(w io.Writer, check bool, files []string) (ok bool, err error) {
	r := newReport()
	for _, name := range files {
		if err := r.readFile(name); err != nil {
			return false, err
		}
	}
	if check {
		return r.check(w), nil
	}
	passed, failed := r.count()
	_, err = fmt.Fprintf(w, "%d passed, %d failed\n", passed, failed)
	return true, err
}

func (r *report) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.read(f)
}

// read reads one run. A line that is no event, which a crashed process may
// leave, is output of nobody in particular.
func (r *report) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				e = event{Action: "output", Output: string(line)}
			}
			r.add(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
