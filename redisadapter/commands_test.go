package redisadapter_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/corralcache/corral"
	"github.com/corralcache/corral/internal/redistest"
)

var update = flag.Bool("update", false, "write the table in docs/redis.md anew")

const (
	page       = "../docs/redis.md"
	tableHead  = "| call | cache | round trips | commands sent | commands of the scripts |"
	tableRuler = "|---|---|---|---|---|"
)

// The table of docs/redis.md is what a real server and the client's connections
// say.
func TestServer_CommandsPerCall(t *testing.T) {
	server := redistest.StartServer(t)
	lines := []string{tableHead, tableRuler}
	for _, call := range countedCalls {
		for _, kind := range []string{"New", "Plain"} {
			c := newCounted(t, server, kind)
			call.run(t, c)
			cost := c.cost(t)
			if len(cost.trips) > call.most {
				t.Errorf("%s, %s: %d round trips, want at most %d: %q", call.name, kind, len(cost.trips), call.most, cost.trips)
			}
			lines = append(lines, fmt.Sprintf("| %s | `%s` | %d | %s | %s |",
				call.name, kind, len(cost.trips), cost.sent(), cost.inScripts()))
		}
	}
	text, err := os.ReadFile(page)
	must(t, err)
	before, rest, _ := strings.Cut(string(text), tableHead)
	table, after, found := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatalf("%s has no table that begins with %s", page, tableHead)
	}
	want := strings.Join(lines, "\n")
	if *update {
		must(t, os.WriteFile(page, []byte(before+want+"\n\n"+after), 0o644))
	} else if table = tableHead + table; table != want {
		t.Errorf("%s says\n%s\n\nand the server (-update writes it there)\n%s", page, table, want)
	}
}

// countedCalls are the rows of the table. Each prepares, calls c.begin, and makes
// one call.
var countedCalls = []struct {
	name string
	most int // round trips
	run  func(t *testing.T, c *counted)
}{
	{"hit", 1, func(t *testing.T, c *counted) {
		c.set(t)
		c.begin(t)
		c.get(t, "hit", nil)
	}},
	{"stale hit that starts nothing", 1, func(t *testing.T, c *counted) {
		c.setStale(t)
		c.get(t, "stale", errors.New("the source is down")) // from now on the key is left alone
		c.begin(t)
		c.get(t, "stale", nil)
	}},
	{"stale hit with its refresh", 3, func(t *testing.T, c *counted) {
		c.setStale(t)
		c.begin(t)
		c.get(t, "stale", nil)
	}},
	{"miss that loads", 3, func(t *testing.T, c *counted) {
		c.begin(t)
		c.get(t, "loaded", nil)
	}},
	{"miss while another process loads", 2, func(t *testing.T, c *counted) {
		acquired(t, c.cache, "the other", corral.LeaseHeld)
		c.begin(t)
		c.look(t)
		acquired(t, c.cache, "mine", corral.LeaseBusy)
	}},
	{"… asks again: not yet", 1, func(t *testing.T, c *counted) {
		acquired(t, c.cache, "the other", corral.LeaseHeld)
		c.begin(t)
		acquired(t, c.cache, "mine", corral.LeaseBusy)
	}},
	{"… asks again: there it is", 1, func(t *testing.T, c *counted) {
		c.set(t)
		c.begin(t)
		acquired(t, c.cache, "mine", corral.LeaseChanged)
	}},
	{"renewal of a lease", 1, func(t *testing.T, c *counted) {
		token := acquired(t, c.cache, "mine", corral.LeaseHeld)
		c.begin(t)
		must(t, c.cache.Renew(t.Context(), 42, token))
	}},
	{"load that fails", 3, func(t *testing.T, c *counted) {
		c.begin(t)
		c.get(t, "loaded", errors.New("the source is down"))
	}},
	{"`Set`", 1, func(t *testing.T, c *counted) {
		c.begin(t)
		c.set(t)
	}},
	{"`Delete`", 1, func(t *testing.T, c *counted) {
		c.set(t)
		c.begin(t)
		must(t, c.loader.Delete(t.Context(), 42))
	}},
	{"`GetOrLoadMany`, 10 hits", 1, func(t *testing.T, c *counted) {
		c.getMany(t, upTo(10), 10)
		c.begin(t)
		c.getMany(t, upTo(10), 0)
	}},
	{"… 5 of 10 keys are missing", 3, func(t *testing.T, c *counted) {
		c.getMany(t, upTo(5), 5)
		c.begin(t)
		c.getMany(t, upTo(10), 5)
	}},
	{"`Delete` of 10 keys", 1, func(t *testing.T, c *counted) {
		c.begin(t)
		must(t, c.loader.Delete(t.Context(), upTo(10)...))
	}},
}

// counted is a Loader over a real server, of whose commands somebody keeps count.
type counted struct {
	server *redistest.Server
	cache  countedCache
	loader *corral.Loader[int, User]
	wire   *countedWire
}

type countedCache interface {
	corral.Cache[int, User]
	corral.Leaser[int, User]
}

const (
	countedTTL   = time.Minute
	countedStale = time.Hour
)

// newCounted returns a Loader over an empty server, which has run each script and
// knows the time: what a process learns in its first calls is not counted.
func newCounted(t *testing.T, server *redistest.Server, kind string) *counted {
	c := &counted{server: server, wire: &countedWire{}}
	client := redistest.ClientWith(t, &redis.Options{Addr: server.Addr, Dialer: c.wire.dial, MaxRetries: -1})
	c.cache = users(client)
	if kind == "Plain" {
		c.cache = plainUsers(client)
	}
	loader, err := corral.New[int, User](c.cache, corral.Options{TTL: countedTTL, StaleFor: countedStale, RetryMin: time.Hour, RetryMax: time.Hour})
	must(t, err)
	c.loader = loader
	t.Cleanup(func() { must(t, loader.Close(context.Background())) })

	server.Do("FLUSHALL")
	c.look(t)
	c.get(t, "loaded", nil)
	token := acquired(t, c.cache, "warm", corral.LeaseHeld, force)
	must(t, c.cache.Renew(t.Context(), 42, token))
	must(t, c.cache.Release(t.Context(), 42, token))
	must(t, loader.Delete(t.Context(), 42))
	return c
}

// get asks the Loader, whose source answers err, and waits until nothing is under
// way.
func (c *counted) get(t *testing.T, source string, err error) {
	t.Helper()
	r, got := c.loader.Lookup(t.Context(), 42, func(context.Context, int) (User, error) { return User{Name: "Ann"}, err })
	if r.Source.String() != source || (got != nil && !errors.Is(got, err)) {
		t.Fatalf("a value was %v, error %v; want it to be %s", r.Source, got, source)
	}
	c.settle(t)
}

// getMany asks the Loader for keys, so many of which must be loaded.
func (c *counted) getMany(t *testing.T, keys []int, loads int) {
	t.Helper()
	_, err := c.loader.GetOrLoadMany(t.Context(), keys, func(_ context.Context, keys []int) (map[int]User, error) {
		loads -= len(keys)
		got := map[int]User{}
		for _, key := range keys {
			got[key] = User{Name: "Ann"}
		}
		return got, nil
	})
	must(t, err)
	if loads != 0 {
		t.Fatalf("%d loads are missing", loads)
	}
	c.settle(t)
}

// settle waits until nothing is under way.
func (c *counted) settle(t *testing.T) {
	t.Helper()
	must(t, redistest.Until(t.Context(), func(context.Context) error {
		for range c.loader.InFlight() {
			return errors.New("a flight is under way")
		}
		keys := fmt.Sprint(c.server.Do("SCAN", "0"))
		if strings.Contains(keys, ":lease") || strings.Contains(keys, "corral{") {
			return errors.New("a lease is to be released yet")
		}
		if loaderAtWork() {
			return errors.New("a flight that is written can be joined yet")
		}
		return c.wire.quiet()
	}))
}

// loaderAtWork reports whether a goroutine other than the one that listens runs in
// a Loader.
func loaderAtWork() bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	_, others, _ := strings.Cut(string(stacks), "\n\n")
	for stack := range strings.SplitSeq(others, "\n\n") {
		if strings.Contains(stack, "corral.(*Loader[") && !strings.Contains(stack, ").listen.") {
			return true
		}
	}
	return false
}

// look reads the cache, which holds nothing.
func (c *counted) look(t *testing.T) {
	if e, err := c.cache.Get(t.Context(), 42); e != nil || err != nil {
		t.Fatalf("Get = %v, %v; want nothing", e, err)
	}
}

func (c *counted) set(t *testing.T) { must(t, c.loader.Set(t.Context(), 42, User{Name: "Ann"})) }

// setStale stores a value that has been stale for a minute.
func (c *counted) setStale(t *testing.T) {
	e := &corral.Entry[User]{Value: User{Name: "Ann"}, LoadedAt: time.Now().Add(-2 * countedTTL), TTL: countedTTL, Keep: countedTTL + countedStale}
	must(t, c.cache.Set(t.Context(), 42, e))
}

func force(r *corral.LeaseRequest[User]) { r.Force = true }

// acquired asks for the lease as a Loader does that has seen nothing, and returns
// the token that it got.
func acquired(t *testing.T, c countedCache, token string, want corral.LeaseState, opts ...func(*corral.LeaseRequest[User])) string {
	t.Helper()
	r := corral.LeaseRequest[User]{Token: token}
	for _, opt := range opts {
		opt(&r)
	}
	got, err := c.Acquire(t.Context(), 42, r)
	must(t, err)
	if got.State != want {
		t.Fatalf("the lease is %v, want %v", got.State, want)
	}
	return got.Token
}

// begin starts to count.
func (c *counted) begin(t *testing.T) {
	must(t, c.wire.quiet())
	c.wire.take()
	c.server.Do("CONFIG", "RESETSTAT")
}

// cost is what a call sent, and what the server ran.
type cost struct {
	trips []string       // the commands of each round trip
	ran   map[string]int // by command, those of scripts included
}

// cost returns it, without what the test itself asked the server.
func (c *counted) cost(t *testing.T) cost {
	trips := c.wire.take()
	return cost{trips, commandsRun(t, c.server)}
}

// commandsRun returns how often the server ran each command, those of scripts
// included.
func commandsRun(t *testing.T, server *redistest.Server) map[string]int {
	info, _ := server.Do("INFO", "commandstats").(string)
	ran := map[string]int{}
	for _, m := range regexp.MustCompile(`cmdstat_([^:]+):calls=(\d+)`).FindAllStringSubmatch(info, -1) {
		name, _, _ := strings.Cut(strings.ToUpper(m[1]), "|")
		if !uncounted[name] {
			n, err := strconv.Atoi(m[2])
			must(t, err)
			ran[name] += n
		}
	}
	return ran
}

// sent returns what was sent in each round trip, with how often.
func (c cost) sent() string {
	trips := make([]string, len(c.trips))
	for i, trip := range c.trips {
		var names []string
		times := map[string]int{}
		for name := range strings.SplitSeq(trip, "+") {
			if times[name]++; times[name] == 1 {
				names = append(names, name)
			}
		}
		for n, name := range names {
			if times[name] > 1 {
				names[n] = fmt.Sprintf("%d %s", times[name], name)
			}
		}
		trips[i] = strings.Join(names, "+")
	}
	return strings.Join(trips, ", ")
}

// inScripts returns what the server ran that nobody had sent.
func (c cost) inScripts() string {
	ran := maps.Clone(c.ran)
	for _, trip := range c.trips {
		for name := range strings.SplitSeq(trip, "+") {
			ran[name]--
		}
	}
	var text []string
	for _, name := range slices.Sorted(maps.Keys(ran)) {
		switch n := ran[name]; n {
		case 0:
		case 1:
			text = append(text, name)
		default:
			text = append(text, fmt.Sprintf("%d %s", n, name))
		}
	}
	if text == nil {
		return "–"
	}
	return strings.Join(text, ", ")
}

// uncounted are commands that belong to no call: of new connections, of the
// subscription that each Loader has, and of the test.
var uncounted = map[string]bool{
	"HELLO": true, "CLIENT": true, "SUBSCRIBE": true, "PING": true, "CONFIG": true, "INFO": true, "SCAN": true,
}

// countedWire takes note of what a client's connections write, and whether it was
// answered.
type countedWire struct {
	mu    sync.Mutex
	trips []string // guarded by mu, as is open
	open  int      // writes without an answer
}

func (w *countedWire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &countedConn{TCPConn: conn.(*net.TCPConn), wire: w}, nil
}

// take returns the round trips since the last take: of each the commands that were
// sent at once.
func (w *countedWire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	trips := w.trips
	w.trips = nil
	return trips
}

// quiet returns an error while an answer is missing.
func (w *countedWire) quiet() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open > 0 {
		return errors.New("an answer is missing")
	}
	return nil
}

type countedConn struct {
	*net.TCPConn // all of it: clients look at the socket before they use it again
	wire         *countedWire
	asked        bool // guarded by wire.mu
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.wire.mu.Lock()
	if names := commandNames(b); !uncounted[names[0]] {
		c.wire.trips = append(c.wire.trips, strings.Join(names, "+"))
	}
	if !c.asked {
		c.asked = true
		c.wire.open++
	}
	c.wire.mu.Unlock()
	return c.TCPConn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.wire.mu.Lock()
	defer c.wire.mu.Unlock()
	if c.asked {
		c.asked = false
		c.wire.open--
	}
	return n, err
}

// commandNames returns the names of the commands that b holds, each an array of
// bulk strings: "*2\r\n$3\r\nGET\r\n…".
func commandNames(b []byte) (names []string) {
	for _, m := range regexp.MustCompile(`\*\d+\r\n\$\d+\r\n(\w+)\r\n`).FindAllSubmatch(b, -1) {
		names = append(names, string(bytes.ToUpper(m[1])))
	}
	return append(names, "?")[:max(1, len(names))]
}
