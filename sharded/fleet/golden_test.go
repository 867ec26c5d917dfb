package fleet_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/corralcache/corral/sharded/fleet"
)

var update = flag.Bool("update", false, "write testdata/routes.txt anew")

// TestRoutesAreGolden compares where keys are with testdata/routes.txt. Processes of
// different releases and architectures share shards: what is in the file never
// changes. The test also runs for 32 bits.
func TestRoutesAreGolden(t *testing.T) {
	const golden = "testdata/routes.txt"
	var b strings.Builder
	b.WriteString("# scheme and weights of s00, s01, …; key; its hash; shards, best first\n")
	for _, c := range goldenCases() {
		r := route(t, c.router, c.topology)
		for key, hash := range goldenHashes(t, c.secret) {
			fmt.Fprintf(&b, "%s %v; %s; %016x; %v\n", c.scheme, weights(c.topology), key, hash, r.Rank(hash, nil))
		}
	}
	if *update {
		must(t, os.WriteFile(golden, []byte(b.String()), 0o666))
	}
	text, err := os.ReadFile(golden)
	must(t, err)
	got, want := strings.Split(b.String(), "\n"), strings.Split(string(text), "\n")
	if len(got) != len(want) {
		t.Fatalf("there are %d lines, want %d", len(got), len(want))
	}
	for i, line := range got {
		if line != want[i] {
			t.Errorf("line %d is\n%s, want\n%s", i+1, line, want[i])
		}
	}
}

type goldenCase struct {
	scheme   string
	router   fleet.RouterFunc
	topology fleet.Topology
	secret   *[16]byte
}

func goldenCases() []goldenCase {
	weighted := shards(1, 2, 3, 5, 8, 13, fleet.MaxWeight)
	return []goldenCase{
		{"rendezvous", fleet.Rendezvous(), equal(1), nil},
		{"rendezvous", fleet.Rendezvous(), equal(3), nil},
		{"rendezvous", fleet.Rendezvous(), equal(12), nil},
		{"rendezvous", fleet.Rendezvous(), shards(3, 4), nil},
		{"rendezvous", fleet.Rendezvous(), weighted, nil},
		{"secret rendezvous", fleet.Rendezvous(), equal(8), testSecret()},
		{"ring of 1", fleet.Ring(1, nil), equal(3), nil},
		{"ring of 100", fleet.Ring(100, nil), shards(1, 2, 3), nil},
		{"jump", fleet.Jump(), equal(5), nil},
	}
}

func weights(t fleet.Topology) (w []uint32) {
	for _, s := range t.Shards {
		w = append(w, max(1, s.Weight))
	}
	return w
}

// testSecret is the key of SipHash's own test vectors.
func testSecret() *[16]byte {
	return &[16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
}

func goldenHashes(t *testing.T, secret *[16]byte) func(yield func(string, uint64) bool) {
	return func(yield func(string, uint64) bool) {
		texts := []string{"", "a", "user:1", "user:2", "grün", "\x00", strings.Repeat("long ", 40)}
		for i := range 20 {
			texts = append(texts, fmt.Sprint("order:", i*i))
		}
		for _, key := range texts {
			h, err := fleet.Hash(key, nil, secret)
			must(t, err)
			if !yield(fmt.Sprintf("%q", key), h) {
				return
			}
		}
		for _, key := range []int64{0, -1, 42, 1<<63 - 1, -1 << 63} {
			h, err := fleet.Hash(key, nil, secret)
			must(t, err)
			if !yield(fmt.Sprint(key), h) {
				return
			}
		}
	}
}
