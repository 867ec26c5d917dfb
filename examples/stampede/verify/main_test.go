package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"testdata/whole.jsonl"}, &out); err != nil {
		t.Error(err)
	}
	const want = "Corral: 2 queries where 2 would do (2 and 2 without it), " +
		"0 errors (0 and 0), 0 deleted values served (0 and 0).\n"
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("the table ends otherwise:\n%s", out.String())
	}
}

// Each case changes one thing of a record that is whole.
func TestRunRefuses(t *testing.T) {
	whole, err := os.ReadFile("testdata/whole.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, old, changed, want string }{
		{"a load that the source did not see", `"event":"stats","setup":"Corral","count":2`,
			`"event":"stats","setup":"Corral","count":3`, "Corral counted 3 loads, its source 2 queries"},
		{"a query that the source did not count", `"event":"source","setup":"Corral","count":2`,
			`"event":"source","setup":"Corral","count":1`, "its source counted 1"},
		{"garbage", `"event":"run"`, `"event":5`, "event 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(string(whole), test.old, test.changed, 1)
			if changed == string(whole) {
				t.Fatal("nothing was changed")
			}
			file := filepath.Join(t.TempDir(), "events.jsonl")
			if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := run([]string{file}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestRunArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"one", "two"}, {filepath.Join(t.TempDir(), "none")}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("no error for %q", args)
		}
	}
}
