package fleet_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/corralcache/corral/sharded/fleet"
)

var updatePage = flag.Bool("update-page", false, "have the benchmarks write their tables in docs/fleet.md anew")

const page = "../../docs/fleet.md"

// table returns the lines of the page's table with this head and ruler, and what is before
// and after it.
func table(t testing.TB, head string) (lines []string, before, after string) {
	t.Helper()
	text, err := os.ReadFile(page)
	must(t, err)
	before, rest, _ := strings.Cut(string(text), head+"\n")
	body, after, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatalf("%s has no table that begins with %s", page, head)
	}
	return strings.Split(body, "\n")[1:], before, after
}

// writeTable puts lines into the place of the page's table with this head, if that is
// wanted.
func writeTable(t testing.TB, head, ruler string, lines []string) {
	t.Helper()
	if !*updatePage {
		return
	}
	_, before, after := table(t, head)
	text := before + strings.Join(append([]string{head, ruler}, lines...), "\n") + "\n\n" + after
	must(t, os.WriteFile(page, []byte(text), 0o644))
}

// best are the least times of what a benchmark measured, over all its runs (-count).
type best struct {
	mu sync.Mutex
	ns map[string]float64 // guarded by mu
}

// note notes the time of b.
func (t *best) note(name string, b *testing.B) { t.per(name, b, b.N) }

// per notes the time of b for each of so many things.
func (t *best) per(name string, b *testing.B, things int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ns == nil {
		t.ns = map[string]float64{}
	}
	ns := float64(b.Elapsed().Nanoseconds()) / float64(max(1, things))
	if now, measured := t.ns[name]; !measured || ns < now {
		t.ns[name] = ns
	}
}

// of returns the least time, and whether it was measured: -bench may have left it out.
func (t *best) of(name string) (ns float64, measured bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ns, measured = t.ns[name]
	return ns, measured
}

const (
	routeHead  = "| router | shards | ns | cv | max | moved |"
	routeRuler = "|---|--:|--:|--:|--:|--:|"
)

// routing is a row of the table of routers.
type routing struct {
	name   string
	shards int
	router fleet.RouterFunc // nil for go-redis' Ring
	before fleet.Topology
}

func (r routing) bench() string { return fmt.Sprintf("%s/shards=%d", r.name, r.shards) }

// routings are the rows of the table.
func routings() (rows []routing) {
	for _, c := range []struct {
		name     string
		router   fleet.RouterFunc
		topology func(n int) fleet.Topology
		shards   []int
	}{
		{"`Rendezvous`, equal weights", fleet.Rendezvous(), equal, []int{2, 8, 32, 128}},
		{"`Rendezvous`, weights 1 to 3", fleet.Rendezvous(), weights1to3, []int{2, 8, 32, 128}},
		{"`Ring` of 160 points", fleet.Ring(160, nil), equal, []int{2, 8, 32, 128}},
		{"`Jump`", fleet.Jump(), equal, []int{2, 8, 32, 128}},
		{"go-redis' Ring", nil, equal, []int{2, 8, 32, 128}},
	} {
		for _, n := range c.shards {
			rows = append(rows, routing{c.name, n, c.router, c.topology(n)})
		}
	}
	return rows
}

func weights1to3(n int) fleet.Topology {
	t := equal(n)
	for i := range t.Shards {
		t.Shards[i].Weight = uint32(1 + i%3)
	}
	return t
}

// shares says of 200,000 keys how unevenly shards have them for their weights, and how
// many move when a shard is added that has the weight of the first. go-redis' Ring has
// each key where Rendezvous has it: see TestRendezvousIsGoRedisRing.
func (r routing) shares(t testing.TB) (cv, most, moved float64) {
	const keys = 200_000
	scheme := r.router
	if scheme == nil {
		scheme = fleet.Rendezvous()
	}
	after := r.before
	after.Shards = append(slices.Clone(r.before.Shards), fleet.Shard{ID: "s99x", Weight: r.before.Shards[0].Weight})
	from, to := route(t, scheme, r.before), route(t, scheme, after)
	counts, sum := make([]float64, len(r.before.Shards)), 0.0
	for hash := range hashes(keys) {
		at := pick(from, hash)
		counts[at]++
		if pick(to, hash) != at {
			moved++
		}
	}
	for _, s := range r.before.Shards {
		sum += float64(max(1, s.Weight))
	}
	squares := 0.0
	for i, s := range r.before.Shards {
		share := counts[i] / keys * sum / float64(max(1, s.Weight)) // 1 is what the weight says
		most = max(most, share)
		squares += (share - 1) * (share - 1)
	}
	return math.Sqrt(squares / float64(len(counts))), most, moved / keys
}

// row is a line of the table.
func (r routing) row(t testing.TB, ns string) string {
	name := r.name
	if r.shards != 2 {
		name = ""
	}
	cv, most, moved := r.shares(t)
	return strings.ReplaceAll(fmt.Sprintf("| %s | %d | %s | %s | %.3f | %.1f %% |", name, r.shards, ns,
		strings.TrimPrefix(fmt.Sprintf("%.3f", cv), "0"), most, 100*moved), "|  |", "| |")
}

// What the page says of the routers is so, but for the times, which BenchmarkRoute writes.
func TestRoutersAreAsThePageSays(t *testing.T) {
	lines, _, _ := table(t, routeHead)
	var want []string
	for i, r := range routings() {
		ns := ""
		if i < len(lines) {
			if columns := strings.Split(lines[i], " | "); len(columns) > 2 {
				ns = columns[len(columns)-4]
			}
		}
		want = append(want, r.row(t, ns))
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%s says\n%s\n\nand it is (go test -bench Route -update-page)\n%s", page, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}
