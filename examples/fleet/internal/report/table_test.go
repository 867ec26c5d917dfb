package report

import (
	"strings"
	"testing"
)

// fleet is two processes of which the second was killed while it loaded.
func fleet() *Table {
	return &Table{
		Log: &Log{
			TTL: 400 * ms,
			Loads: []Load{
				{"a", 1, 100 * ms, 160 * ms}, {"a", 2, 600 * ms, 0}, {"a", 1, 1700 * ms, 1760 * ms},
			},
			Kills: []Kill{{2, 610 * ms}},
		},
		Processes: []Process{
			{Number: 1, Calls: 1000, Longest: 65 * ms, Loads: 2, Leases: 2, LeaseWaits: 1},
			{Number: 2, Killed: true, Calls: 300, Longest: 64 * ms},
		},
	}
}

func TestPrint(t *testing.T) {
	const want = `
     process  calls  loads  leases  lease waits  takeovers  longest wait  deleted served
           1   1000      2       2            1          0         65 ms               0
  (killed) 2    300      1       0            0          0         64 ms               0
         all   1300      3       2            1          0         65 ms               0

2 processes, 2 expiries (1 by first use, 1 by the TTL, 0 by a Delete), 3 loads: one for each expiry, and 1 for what the killed process had begun.
`
	var out strings.Builder
	out.WriteString("\n")
	fleet().Print(&out)
	if out.String() != want {
		t.Errorf("printed%s, want%s", out.String(), want)
	}
}

func TestConclusion(t *testing.T) {
	for want, change := range map[string]func(*Table){
		"2 loads: one for each expiry.":                       func(t *Table) { t.Log.Loads = t.Log.Loads[:2] },
		"3 loads: 1.5 for each expiry, as there were no leas": func(t *Table) { t.NoLease = true },
		", and 1 for what the killed process had begun.":      func(*Table) {},
		", and 1 too many (4 takeovers).": func(t *Table) {
			t.Log.Kills, t.Processes[0].Takeovers = nil, 4
		},
		", and 1 for what a Delete had overtaken.": func(t *Table) {
			t.Log.Loads[2].Began = 800 * ms
			t.Log.Kills, t.Log.Deletes = nil, []Delete{{"a", 590 * ms, 599 * ms}}
		},
	} {
		table := fleet()
		change(table)
		if got := table.Conclusion(); !strings.Contains(got, want) {
			t.Errorf("Conclusion = %q, want it to hold %q", got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	again := func(t *Table) { t.Log.Kills = nil }
	for want, change := range map[string]func(*Table){
		"":                             func(*Table) {},
		"process 1 counts 3 loads":     func(t *Table) { t.Processes[0].Loads++ },
		"2 callers got an error":       func(t *Table) { t.Processes[0].Errors = 2 },
		"1 answers were older":         func(t *Table) { t.Processes[1].DeletedServed = 1 },
		"1 loads were too many, and 0": again,
		"1 loads may have followed": func(t *Table) {
			again(t)
			t.Log.Deletes = []Delete{{"a", 590 * ms, 599 * ms}}
		},
		"no load too many": func(t *Table) { t.NoLease = true },
	} {
		table := fleet()
		change(table)
		err := table.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("Check = %v, want %q", err, want)
		}
	}
	for name, change := range map[string]func(*Table){
		"a takeover": func(t *Table) { again(t); t.Processes[0].Takeovers = 1 },
		"overtaken": func(t *Table) {
			again(t)
			t.Log.Deletes = []Delete{{"a", 590 * ms, 599 * ms}}
			t.Processes[0].Discarded = 1
		},
		"the last word of a killed process": func(t *Table) { t.Processes[1].Loads = 7 },
		"no leases, and a load too many":    func(t *Table) { again(t); t.NoLease = true; t.Processes[0].DeletedServed = 1 },
	} {
		table := fleet()
		change(table)
		if err := table.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
