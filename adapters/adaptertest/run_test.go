package adaptertest

import (
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/corralcache/corral"
)

// Run itself is seen failing: the test runs itself again, over a broken cache,
// in a process of its own.
func TestRunReportsByClause(t *testing.T) {
	const child = "ADAPTERTEST_RUN_BROKEN"
	if os.Getenv(child) != "" {
		Run(t, Config[string, string]{New: func(*testing.T) cache { return deleteLate() }})
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunReportsByClause$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the process succeeded")
	}
	for _, want := range []string{
		"--- FAIL: TestRunReportsByClause/delete (",
		`Get("key-00000000") right after Delete found an entry with the value "value-00000000", want a miss`,
		"promise: After Delete returned nil, Get misses",
		"matters: The user deleted because the value is wrong.",
		"look at: Deletes that are queued",
		"--- PASS: TestRunReportsByClause/keep (",
		"--- PASS: TestRunReportsByClause/goroutines (",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
}

func TestConfigThatCannotWork(t *testing.T) {
	type user struct{ id int }
	someCache := func(*testing.T) corral.Cache[user, user] { return nil }
	each, one := func(n int) user { return user{n} }, func(int) user { return user{7} }
	for _, tt := range []struct {
		cfg  Config[user, user]
		want string
	}{
		{Config[user, user]{}, "adaptertest: Config.New is nil: it must make the cache under test"},
		{Config[user, user]{New: someCache, Granularity: -1}, "adaptertest: Config.Granularity is -1ns: it must not be below zero"},
		{Config[user, user]{New: someCache, Linger: -1}, "adaptertest: Config.Linger is -1ns: it must not be below zero, and zero if Plain"},
		{Config[user, user]{New: someCache, Linger: 1, Plain: true}, "adaptertest: Config.Linger is 1ns: it must not be below zero, and zero if Plain"},
		{Config[user, user]{New: someCache}, "adaptertest: Config.Key is nil: it must make a different adaptertest.user for each number"},
		{Config[user, user]{New: someCache, Key: each}, "adaptertest: Config.Value is nil: it must make a different adaptertest.user for each number"},
		{Config[user, user]{New: someCache, Key: one, Value: each}, "adaptertest: Config.Key returns the same adaptertest.user for 0 and 1: it must make a different one for each number"},
		{Config[user, user]{New: someCache, Key: each, Value: one}, "adaptertest: Config.Value returns the same adaptertest.user for 0 and 1: it must make a different one for each number"},
		{Config[user, user]{New: someCache, Key: each, Value: each, Equal: func(user, user) bool { return true }}, "adaptertest: Config.Value returns the same adaptertest.user for 0 and 1: it must make a different one for each number"},
	} {
		if _, err := tt.cfg.complete(); err == nil || err.Error() != tt.want {
			t.Errorf("error %v, want %s", err, tt.want)
		}
	}
}

// Samples are distinct, also where the type is narrow or has a name.
func TestSamples(t *testing.T) {
	type name string
	type id uint16
	checkSamples[string](t, 32)
	checkSamples[name](t, 32)
	checkSamples[int](t, 8)
	checkSamples[int16](t, 8)
	checkSamples[id](t, 7)
	checkSamples[uint64](t, 7)
	checkSamples[time.Duration](t, 8)
	if numbered[int8]("key") != nil || numbered[any]("key") != nil || numbered[[]name]("key") != nil {
		t.Error("samples of a type that has too few, or that is not simple")
	}
	if v := numbered[[]byte]("value")(7); string(v) != "value-00000007" {
		t.Errorf("bytes %q", v)
	}
}

func checkSamples[K comparable](t *testing.T, least int) {
	t.Helper()
	all, make := odd[K](), numbered[K]("key")
	seen := map[K]bool{}
	for n, k := range all {
		if seen[k] {
			t.Errorf("%v: odd sample %d comes twice", reflect.TypeFor[K](), n)
		}
		seen[k] = true
	}
	if len(all) < least {
		t.Errorf("%v: %d odd samples, want at least %d", reflect.TypeFor[K](), len(all), least)
	}
	if many := []K{make(0), make(1), make(32767), make(300)}; many[0] == many[1] || slices.Contains(many[:2], many[2]) {
		t.Errorf("%v: numbered samples meet: %v", reflect.TypeFor[K](), many)
	}
}

func TestEqualTakesNilForEmpty(t *testing.T) {
	switch {
	case !equal([]byte(nil), []byte{}), !equal(map[int]int(nil), map[int]int{}), !equal("a", "a"), !equal[any](nil, nil):
		t.Error("equal values differ")
	case equal([]byte{0}, nil), equal("", "a"), equal[any](1, "1"):
		t.Error("different values are equal")
	}
}
