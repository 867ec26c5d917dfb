package stampede

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	got, err := parse(strings.Fields("-seed 9 -break fence -redis embedded -json events.jsonl"))
	want := options{seed: 9, broken: "fence", redis: "embedded", json: "events.jsonl"}
	if err != nil || got != want {
		t.Errorf("parse = %+v, %v", got, err)
	}
	if got, err := parse(nil); err != nil || got != (options{seed: 1}) {
		t.Errorf("parse of nothing = %+v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"-break everything": `-break is "everything": it must be flight, fence or stale`,
		"now":               `unknown argument "now"`,
		"-seed -1":          "invalid value",
	} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
		}
	}
}
