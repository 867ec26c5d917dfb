package corral_test

import (
	"go/build"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestImports: who uses the Loader or the flights without an adapter depends on
// the standard library and golang.org/x/sync alone. Adapters depend on corral,
// corral on sharded, and never the other way.
func TestImports(t *testing.T) {
	for pkg, allowed := range map[string]string{
		modulePath:                           `^(sharded|internal)(/|$)`,
		modulePath + "/sharded":              `^internal(/|$)`,
		modulePath + "/sharded/singleflight": `^(sharded$|internal/)`,
	} {
		if _, err := os.Stat(directory(pkg)); err != nil {
			t.Errorf("%s: %v", pkg, err)
			continue
		}
		ours := regexp.MustCompile(allowed)
		for _, path := range dependencies(t, pkg) {
			own, inside := strings.CutPrefix(path, modulePath+"/")
			switch {
			case inside && !ours.MatchString(own):
				t.Errorf("%s depends on %s", pkg, path)
			case !inside && !strings.HasPrefix(path, "golang.org/x/sync/"):
				t.Errorf("%s depends on %s, which is neither standard nor golang.org/x/sync", pkg, path)
			}
		}
	}
}

// TestModuleIsLight names every module that go.mod may require itself.
func TestModuleIsLight(t *testing.T) {
	allowed := []string{
		"github.com/dgraph-io/ristretto/v2", "github.com/redis/go-redis/v9", "golang.org/x/sync",
		"github.com/guptarohit/asciigraph",                          // the chart of examples/stampede
		"github.com/cespare/xxhash/v2", "github.com/dchest/siphash", // the hashes of sharded/fleet, of which nothing else depends
		// For tests:
		"github.com/alicebob/miniredis/v2", "go.uber.org/goleak", "pgregory.net/rapid", "github.com/anishathalye/porcupine",
	}
	require := regexp.MustCompile(`^(?:require)?\s+(\S+\.\S+/\S+) v\S+$`)
	found := 0
	for line := range strings.SplitSeq(readFile(t, "go.mod"), "\n") {
		if m := require.FindStringSubmatch(line); m != nil {
			found++
			if !slices.Contains(allowed, m[1]) {
				t.Errorf("go.mod requires %s", m[1])
			}
		}
	}
	if found == 0 {
		t.Error("go.mod requires nothing: does this test still read it?")
	}
}

// dependencies returns the packages outside of the standard library that pkg
// needs, directly or through others of this module.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	var found []string
	todo := []string{pkg}
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		p, err := build.ImportDir(directory(next), 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range p.Imports {
			first, _, _ := strings.Cut(path, "/")
			if !strings.Contains(first, ".") || slices.Contains(found, path) {
				continue
			}
			found = append(found, path)
			if strings.HasPrefix(path, modulePath+"/") {
				todo = append(todo, path)
			}
		}
	}
	return found
}

func directory(pkg string) string {
	return filepath.FromSlash("." + strings.TrimPrefix(pkg, modulePath))
}
