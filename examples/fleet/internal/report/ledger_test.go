package report

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// Values are fresh for 400 ms, and a load takes 60.
func TestCount(t *testing.T) {
	load := func(process int, began time.Duration) Load {
		return Load{Key: "a", Process: process, Began: began, Ended: began + 60*ms}
	}
	first := load(1, 100*ms)
	cut := Load{Key: "a", Process: 2, Began: 600 * ms}
	for name, c := range map[string]struct {
		log  Log
		want Ledger
	}{
		"nothing": {Log{}, Ledger{}},
		"each key once": {Log{Loads: []Load{first, {Key: "b", Process: 1, Began: 100 * ms, Ended: 160 * ms}}},
			Ledger{First: 2}},
		"two at once":           {Log{Loads: []Load{first, load(2, 101*ms)}}, Ledger{First: 1, Again: 1}},
		"two while it is fresh": {Log{Loads: []Load{first, load(2, 509*ms)}}, Ledger{First: 1, Again: 1}},
		"past the TTL":          {Log{Loads: []Load{first, load(2, 510*ms)}}, Ledger{First: 1, Expired: 1}},
		"three past the TTL": {Log{Loads: []Load{first, load(2, 600*ms), load(3, 600*ms), load(4, 655*ms)}},
			Ledger{First: 1, Expired: 1, Again: 2}},
		"after a Delete": {Log{Loads: []Load{first, load(2, 300*ms)}, Deletes: []Delete{{"a", 290 * ms, 291 * ms}}},
			Ledger{First: 1, Deleted: 1}},
		"after a Delete of another key": {Log{Loads: []Load{first, load(2, 300*ms)}, Deletes: []Delete{{"b", 290 * ms, 291 * ms}}},
			Ledger{First: 1, Again: 1}},
		"before a Delete": {Log{Loads: []Load{first, load(2, 280*ms)}, Deletes: []Delete{{"a", 290 * ms, 291 * ms}}},
			Ledger{First: 1, Again: 1}},
		"after a Delete before the last load": {Log{Loads: []Load{first, load(2, 300*ms)}, Deletes: []Delete{{"a", 10 * ms, 20 * ms}}},
			Ledger{First: 1, Again: 1}},
		"a Delete is the reason of one load": {Log{Loads: []Load{first, load(2, 400*ms), load(3, 470*ms)}, Deletes: []Delete{{"a", 290 * ms, 291 * ms}}},
			Ledger{First: 1, Deleted: 1, Again: 1}},
		"or of two, if it came over the first": {Log{Loads: []Load{first, load(2, 300*ms), load(3, 370*ms)}, Deletes: []Delete{{"a", 290 * ms, 320 * ms}}},
			Ledger{First: 1, Deleted: 1, Overtaken: 1}},
		"a Delete during a load": {Log{Loads: []Load{first, load(2, 170*ms)}, Deletes: []Delete{{"a", 120 * ms, 121 * ms}}},
			Ledger{First: 1, Deleted: 1}},
		"killed": {Log{Loads: []Load{first, cut, load(3, 1700*ms)}, Kills: []Kill{{2, 610 * ms}}},
			Ledger{First: 1, Expired: 1, AfterKill: 1}},
		"killed with the answer in its hands": {Log{Loads: []Load{first, load(2, 600*ms), load(3, 800*ms)}, Kills: []Kill{{2, 661 * ms}}},
			Ledger{First: 1, Expired: 1, AfterKill: 1}},
		"killed long after its load": {Log{Loads: []Load{first, load(2, 600*ms), load(3, 800*ms)}, Kills: []Kill{{2, 711 * ms}}},
			Ledger{First: 1, Expired: 1, Again: 1}},
		"another one was killed": {Log{Loads: []Load{first, load(2, 130*ms)}, Kills: []Kill{{2, 120 * ms}}},
			Ledger{First: 1, Again: 1}},
		"under way": {Log{Loads: []Load{first, cut}}, Ledger{First: 1, Expired: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			c.log.TTL = 400 * ms
			got := c.log.Count()
			if got != c.want {
				t.Errorf("Count = %+v, want %+v", got, c.want)
			}
			if got.Loads() != len(c.log.Loads) {
				t.Errorf("%d loads were sorted, of %d", got.Loads(), len(c.log.Loads))
			}
			if none := got.Minus(got); none != (Ledger{}) {
				t.Errorf("%+v has happened since now", none)
			}
		})
	}
}
