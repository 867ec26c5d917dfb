package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	for _, tt := range []struct {
		name, events string
		ok           bool
		count        string
		prints       []string
	}{
		{
			name:   "nothing ran",
			count:  "0 passed, 0 failed",
			prints: []string{"no test was run"},
		},
		{
			name: "all passed",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA/sub"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p"}
{"Action":"skip","Package":"q"}`,
			ok:    true,
			count: "2 passed, 0 failed",
		},
		{
			name: "one failed",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"got 2, want 1\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"fail","Package":"p"}`,
			count:  "1 passed, 1 failed",
			prints: []string{"FAIL p TestA\n", "got 2, want 1"},
		},
		{
			name: "failed once in three runs",
			events: `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA"}`,
			count:  "0 passed, 1 failed",
			prints: []string{"FAIL p TestA\n"},
		},
		{
			name: "skipped",
			events: `{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}`,
			count:  "1 passed, 0 failed",
			prints: []string{"SKIP p TestA"},
		},
		{
			name: "does not build",
			events: `{"Action":"build-output","ImportPath":"p","Output":"p.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p"}
{"Action":"pass","Package":"q","Test":"TestB"}`,
			count:  "1 passed, 1 failed",
			prints: []string{"syntax error", "FAIL p\n"},
		},
		{
			name: "a crash between the lines",
			events: `fatal error: all goroutines are asleep
{"Action":"fail","Package":"p"}`,
			count:  "0 passed, 1 failed",
			prints: []string{"FAIL p\n", "all goroutines are asleep"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "events")
			if err := os.WriteFile(file, []byte(tt.events), 0o666); err != nil {
				t.Fatal(err)
			}
			var out, count strings.Builder
			if ok, err := run(&out, true, []string{file}); ok != tt.ok || err != nil {
				t.Errorf("check: %v, %v, want %v", ok, err, tt.ok)
			}
			for _, want := range tt.prints {
				if !strings.Contains(out.String(), want) {
					t.Errorf("check printed\n%s\nwithout %q", &out, want)
				}
			}
			if tt.ok && out.Len() > 0 {
				t.Errorf("check printed %q, want nothing", &out)
			}
			if _, err := run(&count, false, []string{file}); err != nil || count.String() != tt.count+"\n" {
				t.Errorf("count printed %q, %v, want %q", &count, err, tt.count)
			}
		})
	}
}

// A test that fails in one of several files failed.
func TestCountAddsUpRuns(t *testing.T) {
	dir := t.TempDir()
	for name, events := range map[string]string{
		"plain": `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestB"}`,
		"race":  `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p","Test":"TestB"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(events), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if _, err := run(&out, false, []string{filepath.Join(dir, "plain"), filepath.Join(dir, "race")}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "1 passed, 1 failed\n" {
		t.Errorf("got %q", &out)
	}
	if _, err := run(&out, false, []string{filepath.Join(dir, "none")}); err == nil {
		t.Error("a file that is not there is no error")
	}
}
