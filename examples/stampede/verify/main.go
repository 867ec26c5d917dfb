// Verify computes the table of examples/stampede again, from the events that
// its -json wrote and from nothing else:
//
//	go run ./examples/stampede -json events.jsonl
//	go run ./examples/stampede/verify events.jsonl
//
// It exits with 1 if the events contradict each other or break a promise.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("give one file that examples/stampede -json wrote")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer file.Close()
	events, err := report.Read(file)
	if err != nil {
		return err
	}
	return report.Show(out, events)
}
