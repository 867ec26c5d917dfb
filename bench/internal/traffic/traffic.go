// Package traffic makes the keys that are asked for.
package traffic

import (
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/ristretto/v2/sim"
)

const (
	// ZipfKeys is how many different keys the Zipf traffic has.
	ZipfKeys = 100_000

	calls  = 1 << 17 // keys in a row, a power of two as contender.Hits wants
	zipfS  = 1.01
	zipfV  = 1
	length = 16 // of a string key
)

// Text is a string key of 16 bytes.
func Text(n int) string {
	s := strconv.Itoa(n)
	return "key:" + strings.Repeat("0", length-len("key:")-len(s)) + s
}

// Hot is one key, over and over.
func Hot() []string { return []string{Text(4711)} }

// Zipf is calls over ZipfKeys keys, few of which are asked for most of the time.
// It is the same in every run.
func Zipf() []int {
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), zipfS, zipfV, ZipfKeys-1)
	keys := make([]int, calls)
	for i := range keys {
		keys[i] = int(z.Uint64())
	}
	return keys
}

// Trace is the trace that Ristretto's module ships, cut to a power of two.
func Trace() ([]int, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/dgraph-io/ristretto/v2").Output()
	if err != nil {
		return nil, fmt.Errorf("the trace is in Ristretto's module, which go list does not find: %w", err)
	}
	file, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "sim", "gli.lirs.gz"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var keys []int
	for next := sim.NewReader(sim.ParseLIRS, lines); ; {
		key, err := next()
		if err != nil {
			break // sim tells the end of the file so
		}
		keys = append(keys, int(key))
	}
	size := 1
	for 2*size <= len(keys) {
		size *= 2
	}
	if size < 1024 {
		return nil, fmt.Errorf("the trace has %d calls", len(keys))
	}
	return keys[:size], nil
}

// Texts turns numbers into string keys, each number into one string that all its
// calls share, as they would a key from a request.
func Texts(numbers []int) []string {
	known := make(map[int]string)
	keys := make([]string, len(numbers))
	for i, n := range numbers {
		key, ok := known[n]
		if !ok {
			key = Text(n)
			known[n] = key
		}
		keys[i] = key
	}
	return keys
}

// Different returns each key once.
func Different[K comparable](keys []K) []K {
	seen := make(map[K]bool, len(keys))
	var out []K
	for _, key := range keys {
		if !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	return out
}
