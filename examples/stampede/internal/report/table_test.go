package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// record is a small run by hand: key a is loaded once in each set-up, deleted at
// 200 ms and loaded again. TTL 100 ms, a query takes 10 ms.
func record() []Event {
	events := []Event{
		{Kind: KindRun, Seed: 7, TTL: 100 * ms},
		{Kind: KindPhase, Name: "only", Until: 1000 * ms},
	}
	for _, name := range SetUps {
		events = append(events,
			Event{SetUp: name, Kind: KindMood, Mood: Healthy, Cost: 10 * ms},
			Event{SetUp: name, Kind: KindQuery, Began: 1 * ms, Ended: 11 * ms, Key: "a", Version: 1},
			Event{SetUp: name, Kind: KindCall, Began: 0, Ended: 12 * ms, Key: "a", Version: 1, Loaded: 11 * ms},
			Event{SetUp: name, Kind: KindDelete, Due: 200 * ms, Began: 200 * ms, Ended: 201 * ms, Key: "a", Version: 2},
			Event{SetUp: name, Kind: KindQuery, Began: 301 * ms, Ended: 311 * ms, Key: "a", Version: 2},
			Event{SetUp: name, Kind: KindCall, Due: 300 * ms, Began: 300 * ms, Ended: 312 * ms, Key: "a", Version: 2, Loaded: 311 * ms},
			Event{SetUp: name, Kind: KindSource, Count: 2},
		)
	}
	return append(events, Event{SetUp: Corral, Kind: KindStats, Count: 2})
}

// alsoIn adds e to the record of one set-up.
func alsoIn(setUp string, e Event) []Event {
	e.SetUp = setUp
	return append(record(), e)
}

func compute(t *testing.T, events []Event) Table {
	t.Helper()
	run, err := Collect(events)
	if err != nil {
		t.Fatal(err)
	}
	return Compute(run)
}

func TestComputeCleanRecord(t *testing.T) {
	table := compute(t, record())
	if got := sum(table.Least); got != 2 {
		t.Errorf("least is %d, want 2", got)
	}
	for i, row := range table.Rows {
		if row.SetUp != SetUps[i] || sum(row.Queries) != 2 || sum(row.Failed) != 0 || row.Slowest != 12*ms ||
			row.Recovery != 0 || row.Stale != 0 || row.Deleted != 0 {
			t.Errorf("row %d: %+v", i, row)
		}
	}
	if got := table.corral().Loads; got != 2 {
		t.Errorf("Corral counted %d loads, want 2", got)
	}
	if faults := table.Faults(); len(faults) != 0 {
		t.Errorf("faults: %q", faults)
	}
}

// Each call is one that the first set-up had besides those of record.
func TestComputeColumns(t *testing.T) {
	for _, test := range []struct {
		name                   string
		call                   Event
		failed, stale, deleted int
	}{
		{"fresh", Event{Began: 20 * ms, Ended: 20 * ms, Key: "a", Version: 1, Loaded: 11 * ms}, 0, 0, 0},
		{"stale only beyond the grace", Event{Began: 131 * ms, Ended: 131 * ms, Key: "a", Version: 1, Loaded: 11 * ms}, 0, 0, 0},
		{"stale", Event{Began: 131*ms + 1, Ended: 132 * ms, Key: "a", Version: 1, Loaded: 11 * ms}, 0, 1, 0},
		{"deleted but not acknowledged", Event{Began: 201 * ms, Ended: 201 * ms, Key: "a", Version: 1, Loaded: 150 * ms}, 0, 0, 0},
		{"deleted", Event{Began: 201*ms + 1, Ended: 202 * ms, Key: "a", Version: 1, Loaded: 150 * ms}, 0, 0, 1},
		{"newer than the delete", Event{Began: 400 * ms, Ended: 400 * ms, Key: "a", Version: 2, Loaded: 311 * ms}, 0, 0, 0},
		{"error", Event{Began: 20 * ms, Ended: 21 * ms, Key: "a", Err: "overloaded"}, 1, 0, 0},
		{"an error is neither stale nor deleted", Event{Began: 900 * ms, Ended: 901 * ms, Key: "a", Err: "failing"}, 1, 0, 0},
		{"left", Event{Began: 20 * ms, Ended: 30 * ms, Key: "a", Err: "deadline exceeded", Left: true}, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.call.Kind, test.call.Due = KindCall, test.call.Began
			row := compute(t, alsoIn(Plain, test.call)).Rows[0]
			if sum(row.Failed) != test.failed || row.Stale != test.stale || row.Deleted != test.deleted {
				t.Errorf("failed %v stale %d deleted %d, want %d %d %d",
					row.Failed, row.Stale, row.Deleted, test.failed, test.stale, test.deleted)
			}
		})
	}
}

// A delete that failed promises nothing.
func TestComputeFailedDelete(t *testing.T) {
	events := alsoIn(Plain, Event{Kind: KindDelete, Due: 400 * ms, Began: 400 * ms, Ended: 401 * ms, Key: "a", Version: 3, Err: "down"})
	events = append(events, Event{
		SetUp: Plain, Kind: KindCall, Due: 405 * ms, Began: 405 * ms, Ended: 405 * ms, Key: "a", Version: 2, Loaded: 311 * ms,
	})
	if row := compute(t, events).Rows[0]; row.Deleted != 0 {
		t.Errorf("%d deleted values served", row.Deleted)
	}
}

func TestRecovery(t *testing.T) {
	phases := []Event{{Until: 500 * ms}, {Due: 500 * ms, Until: 1000 * ms}}
	moods := []Event{
		{Mood: Healthy, Cost: 10 * ms}, {Mood: Failing, Due: 100 * ms}, {Mood: Healthy, Due: 200 * ms},
	}
	for _, test := range []struct {
		name string
		call Event
		want time.Duration
	}{
		{"no trouble", Event{Due: 250 * ms, Began: 250 * ms, Ended: 260 * ms}, 0},
		{"error before", Event{Due: 150 * ms, Began: 150 * ms, Ended: 200 * ms, Err: "failing"}, 0},
		{"error after", Event{Due: 190 * ms, Began: 190 * ms, Ended: 210 * ms, Err: "failing"}, 10 * ms},
		{"slow answer", Event{Due: 250 * ms, Began: 250 * ms, Ended: 280*ms + 1}, 80*ms + 1},
		{"not slow yet", Event{Due: 250 * ms, Began: 250 * ms, Ended: 280 * ms}, 0},
		{"left", Event{Due: 250 * ms, Began: 250 * ms, Ended: 260 * ms, Err: "deadline", Left: true}, 0},
		{"another phase's trouble", Event{Due: 600 * ms, Began: 600 * ms, Ended: 610 * ms, Err: "overloaded"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := recovery(phases, &Turn{Moods: moods, Calls: []Event{test.call}}); got != test.want {
				t.Errorf("recovery = %v, want %v", got, test.want)
			}
		})
	}
}

// A mechanism that is off must show, and one that is on must not.
func TestFaults(t *testing.T) {
	clean := Row{SetUp: Corral, Calls: 100, Queries: []int{25}, Failed: []int{1}}
	herd, late, errs := clean, clean, clean
	herd.Queries, late.Deleted, errs.Failed = []int{26}, 1, []int{2}
	for _, test := range []struct {
		broken string
		row    Row
		want   string
	}{
		{"", clean, ""},
		{"", herd, "2.6 times the least"},
		{"", late, "served 1 deleted"},
		{"", errs, "2 of Corral's 100 callers"},
		{BreakFlight, clean, "without flights"},
		{BreakFlight, herd, ""},
		{BreakFence, clean, "without the fence"},
		{BreakFence, late, ""},
		{BreakStale, clean, "without stale values"},
		{BreakStale, errs, ""},
	} {
		faults := strings.Join(Table{Break: test.broken, Least: []int{10}, Rows: []Row{test.row}}.Faults(), "; ")
		if test.want == "" && faults != "" || !strings.Contains(faults, test.want) {
			t.Errorf("-break %q: faults %q, want %q", test.broken, faults, test.want)
		}
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	compute(t, record()).Print(&out)
	want := `Source queries by phase, and in brackets the errors that callers saw:

        least  no coalescing  x/sync by hand  Corral
  only      2          2 (0)           2 (0)   2 (0)

All phases:

                      source  times the  errors  slowest  time to    stale  deleted  loads by
                     queries      least    seen     wait  recover  answers   served     Stats
  no coalescing            2        1.0       0    12 ms     0 ms        0        0         -
  x/sync by hand           2        1.0       0    12 ms     0 ms        0        0         -
  Corral                   2        1.0       0    12 ms     0 ms        0        0         2
  theoretical least        2        1.0                                           0

Corral: 2 queries where 2 would do (2 and 2 without it), 0 errors (0 and 0), 0 deleted values served (0 and 0).
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	var file bytes.Buffer
	if err := Write(&file, record()); err != nil {
		t.Fatal(err)
	}
	events, err := Read(&file)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(events, record()) {
		t.Errorf("read back %+v", events)
	}
}

func TestReadRefuses(t *testing.T) {
	for _, line := range []string{`{"event":"call","colour":"red"}`, `{"event":`, `[]`} {
		if _, err := Read(strings.NewReader(`{"event":"run"}` + "\n" + line)); err == nil ||
			!strings.Contains(err.Error(), "event 2") {
			t.Errorf("%s: error %v, want one that names event 2", line, err)
		}
	}
}
