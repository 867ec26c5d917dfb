package fleet

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(roleVariable); text != "" {
		exit(runRole(text), 1)
	}
	os.Exit(m.Run())
}

// The whole show, short: in real time, as its processes are real.
func TestShow(t *testing.T) {
	for name, c := range map[string]struct{ args, want string }{
		"leases":    {"-for 2s -lease 200ms", "one for each expiry"},
		"no stale":  {"-for 2s -lease 200ms -stale 0", "one for each expiry"},
		"no leases": {"-for 1s -kill=false -control", "as there were no leases"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts, err := parse(append(strings.Fields(c.args), "-processes", "3", "-callers", "5"))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := (&show{options: opts, out: &out}).run(t.Context()); err != nil {
				t.Errorf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("the output does not say %q:\n%s", c.want, out.String())
			}
			if opts.kill != strings.Contains(out.String(), "is killed") {
				t.Errorf("kill is %v:\n%s", opts.kill, out.String())
			}
		})
	}
}

func TestNoRedisThere(t *testing.T) {
	opts, err := parse([]string{"-redis", "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	err = (&show{options: opts, out: new(bytes.Buffer)}).run(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "-redis 127.0.0.1:1: ") {
		t.Errorf("run = %v", err)
	}
}

// A process of the fleet ends with the one that started it.
func TestMemberEndsWithItsInput(t *testing.T) {
	server := miniredis.RunT(t)
	var out bytes.Buffer
	r := role{Number: 7, Redis: server.Addr(), Source: "127.0.0.1:1", Prefix: "p", TTL: time.Second}
	if err := runMember(r, strings.NewReader("deleted news 3\n"), &out); err != nil {
		t.Fatal(err)
	}
	var last word
	for lines := json.NewDecoder(&out); lines.More(); {
		if err := lines.Decode(&last); err != nil {
			t.Fatal(err)
		}
	}
	if !last.Final || last.Number != 7 {
		t.Errorf("its last word is %+v", last)
	}
}
