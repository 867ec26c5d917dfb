package fleet

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/examples/fleet/internal/report"
)

const ms = time.Millisecond

func ask(s *source, method, path string) string {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return strings.TrimSpace(w.Body.String())
}

func TestSourceKeepsALog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(400*ms, 60*ms)
		var told []string
		s.deleted = func(key string, version int) { told = append(told, key) }
		for _, step := range []struct{ method, path, want string }{
			{"GET", "/news?process=2", `{"Version":1}`},
			{"POST", "/news", `{"Version":2}`},
			{"GET", "/news?process=3", `{"Version":2}`},
			{"POST", "/news?deleted=2", ""},
			{"GET", "/home?process=2", `{"Version":1}`},
		} {
			if got := ask(s, step.method, step.path); got != step.want {
				t.Errorf("%s %s = %s, want %s", step.method, step.path, got, step.want)
			}
		}
		s.kill(2)
		log := s.snapshot()
		want := report.Log{
			TTL:     400 * ms,
			Loads:   []report.Load{{Key: "news", Process: 2, Ended: 60 * ms}, {Key: "news", Process: 3, Began: 60 * ms, Ended: 120 * ms}, {Key: "home", Process: 2, Began: 120 * ms, Ended: 180 * ms}},
			Deletes: []report.Delete{{Key: "news", Began: 60 * ms, Ended: 120 * ms}},
			Kills:   []report.Kill{{Process: 2, At: 180 * ms}},
		}
		if !slices.Equal(log.Loads, want.Loads) || !slices.Equal(log.Deletes, want.Deletes) || !slices.Equal(log.Kills, want.Kills) || log.TTL != want.TTL {
			t.Errorf("logged %+v, want %+v", *log, want)
		}
		if !slices.Equal(told, []string{"news"}) {
			t.Errorf("told of %q", told)
		}
	})
}

// The load of a process that is gone has no end.
func TestSourceNotesWhoIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(400*ms, 60*ms)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if row, ok := s.load(ctx, 1, "news"); ok {
				t.Errorf("load = %v for nobody", row)
			}
		})
		time.Sleep(59 * ms)
		cancel()
		wg.Wait()
		if log := s.snapshot(); len(log.Loads) != 1 || log.Loads[0].Ended != 0 {
			t.Errorf("logged %v", log.Loads)
		}
	})
}

func TestFences(t *testing.T) {
	busy := true
	f := newFences(func(string) bool { return busy })
	want := func(version int) {
		t.Helper()
		if got := f.oldest("news"); got != version {
			t.Errorf("oldest = %d, want %d", got, version)
		}
	}
	want(0)
	f.raise("news", 3, true) // one's own
	want(3)
	f.raise("news", 5, false) // another's, during a flight here
	want(0)
	busy = false
	want(5)
	busy = true // another flight
	want(5)
	f.raise("news", 4, false) // late news
	want(5)
}

func TestParse(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "",
		"-redis here:1 -stale 0":       "",
		"-kill=false -control -for 1s": "",
		"-processes 1":                 "-processes is 1: it must be from 2 to 64",
		"-callers 0":                   "-callers is 0",
		"-for 999ms":                   "-for is 999ms: it must be from 1s to 1h0m0s",
		"-ttl 99ms":                    "-ttl is",
		"-stale -1s":                   "-stale is",
		"-load 0":                      "-load is",
		"-lease 2h":                    "-lease is",
		"now":                          `unknown argument "now"`,
	} {
		_, err := parse(strings.Fields(args))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("parse(%q) = %v, want %q", args, err, want)
		}
	}
}
