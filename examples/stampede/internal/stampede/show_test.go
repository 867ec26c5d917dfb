package stampede

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// Each mechanism spoils its column if it is off, which is what run checks then.
func TestShowBroken(t *testing.T) {
	var others []report.Event // the same beside each
	synctest.Test(t, func(t *testing.T) {
		others = playTurns(t, "", report.Plain, report.ByHand).events
	})
	for _, broken := range []string{report.BreakFlight, report.BreakFence, report.BreakStale} {
		t.Run(broken, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := playTurns(t, broken, report.Corral)
				var table bytes.Buffer
				for _, e := range others {
					if e.SetUp != "" {
						s.events = append(s.events, e)
					}
				}
				if err := report.Show(&table, s.events); err != nil {
					t.Errorf("%v\n%s", err, table.String())
				}
			})
		})
	}
}

func playTurns(t *testing.T, broken string, setUps ...string) *show {
	t.Helper()
	s := &show{options: options{seed: 1, broken: broken}, out: io.Discard, open: openPipe, schedule: newSchedule(1)}
	s.introduce()
	for i, name := range setUps {
		if err := s.turn(t.Context(), i+1, name); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Each set-up has its turn with each seed, and another one begins.
func TestShowRotates(t *testing.T) {
	for seed, want := range map[uint64][]string{
		1: {report.Plain, report.ByHand, report.Corral},
		2: {report.ByHand, report.Corral, report.Plain},
		3: {report.Corral, report.Plain, report.ByHand},
		4: {report.Plain, report.ByHand, report.Corral},
	} {
		s := &show{options: options{seed: seed}}
		if got := s.order(); !slices.Equal(got, want) {
			t.Errorf("seed %d: %v, want %v", seed, got, want)
		}
	}
}

// An interrupt ends the turn under way, and the file is kept but not whole.
func TestShowInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		file := filepath.Join(t.TempDir(), "events.jsonl")
		s := &show{options: options{seed: 3, json: file}, out: &bytes.Buffer{}, open: openPipe}
		time.AfterFunc(time.Second, func() { cancel(interrupted) })
		if err := s.run(ctx); !errors.Is(err, interrupted) {
			t.Errorf("error %v", err)
		}
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		events, err := report.Read(bytes.NewReader(kept))
		if err != nil || len(events) == 0 {
			t.Errorf("%d events were kept, %v", len(events), err)
		}
		if _, err := report.Collect(events); err == nil {
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
