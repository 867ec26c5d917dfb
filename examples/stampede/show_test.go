package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/corralcache/corral/examples/stampede/internal/report"
)

// The whole show in fake time, then the same table from its file.
func TestShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		file := filepath.Join(t.TempDir(), "events.jsonl")
		s := &show{options: options{seed: 1, json: file}, out: &out, open: openPipe}
		if err := s.run(t.Context()); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		for _, line := range []string{"1/3  no coalescing", "2/3  x/sync by hand", "3/3  Corral"} {
			if !strings.Contains(out.String(), line) {
				t.Errorf("the output has no line %q:\n%s", line, out.String())
			}
		}
		if table := showFile(t, file); !strings.HasSuffix(out.String(), table) || !strings.HasSuffix(table, ").\n") {
			t.Errorf("the file's table is\n%s\nthe output\n%s", table, out.String())
		}
	})
}

func showFile(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	events, err := report.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.Show(&table, events); err != nil {
		t.Error(err)
	}
	return table.String()
}

// Each mechanism spoils its column if it is off. In the bubble nothing depends
// on the machine, so that only those columns may be spoiled which it explains.
func TestShowBroken(t *testing.T) {
	for _, broken := range []string{report.BreakFlight, report.BreakFence, report.BreakStale} {
		t.Run(broken, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				s := &show{options: options{seed: 1, broken: broken}, out: &out, open: openPipe}
				if err := s.run(t.Context()); err != nil {
					t.Errorf("%v\n%s", err, out.String())
				}
			})
		})
	}
}

// Set-ups begin in another order with each seed, and the table has one order.
func TestShowRotates(t *testing.T) {
	for seed, first := range map[uint64]string{1: report.Plain, 2: report.ByHand, 3: report.Corral, 4: report.Plain} {
		s := &show{options: options{seed: seed}}
		if got := s.order()[0]; got != first {
			t.Errorf("seed %d begins with %s, want %s", seed, got, first)
		}
	}
}

// An interrupt ends the turn under way, and the file says that it is not whole.
func TestShowInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &show{options: options{seed: 3}, out: &bytes.Buffer{}, open: openPipe}
		synctest.Wait()
		go cancel(interrupted)
		if err := s.run(ctx); !errors.Is(err, interrupted) {
			t.Errorf("error %v", err)
		}
		if _, err := report.Collect(s.events); err == nil {
			t.Error("the record of an interrupted run passes for whole")
		}
	})
}

func TestShowCannotBegin(t *testing.T) {
	noSource := errors.New("no source")
	s := &show{options: options{seed: 1}, out: &bytes.Buffer{}, open: func(func(report.Event)) (sourceConn, error) {
		return nil, noSource
	}}
	if err := s.run(t.Context()); !errors.Is(err, noSource) {
		t.Errorf("error %v", err)
	}
	s = &show{options: options{seed: 1, json: t.TempDir()}, out: &bytes.Buffer{}}
	if err := s.run(t.Context()); err == nil {
		t.Error("a directory was taken for the file of -json")
	}
}
