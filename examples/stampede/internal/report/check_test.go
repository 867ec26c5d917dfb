package report

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// without removes the last event of that kind from Corral's record.
func without(kind Kind) []Event {
	events := record()
	for i := len(events) - 1; ; i-- {
		if events[i].Kind == kind {
			return slices.Delete(events, i, i+1)
		}
	}
}

func TestShowRefuses(t *testing.T) {
	late := Event{Kind: KindCall, Due: 320 * ms, Began: 320 * ms, Ended: 320 * ms, Key: "a", Version: 2, Loaded: 311 * ms}
	unread := late
	unread.Version = 9
	for _, test := range []struct {
		name   string
		events []Event
		want   string
	}{
		{"no head", record()[1:], "no head"},
		{"no phases", slices.Delete(record(), 1, 2), "no head"},
		{"unknown set-up", alsoIn("Otter", late), "unknown set-up"},
		{"unknown kind", alsoIn(Corral, Event{Kind: "gossip"}), "unknown kind"},
		{"cut off", without(KindSource), "ends before Corral did"},
		{"no Stats", without(KindStats), "no Stats"},
		{"another schedule", alsoIn(ByHand, late), "another schedule"},
		{"a query missing from the log", without(KindQuery), "its source counted 2"},
		{"a query missing from Stats", alsoIn(Corral, Event{Kind: KindQuery, Key: "a"}), "Corral counted 2 loads, its source 3"},
		{"an answer from nowhere", alsoIn(Plain, unread), "never gave out"},
		{"a version skipped", alsoIn(Plain, Event{Kind: KindDelete, Key: "a", Version: 4, Due: 999 * ms}), "out of turn"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := Show(&bytes.Buffer{}, test.events)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestShowTakesUnsentLoads(t *testing.T) {
	events := record()
	stats := &events[len(events)-1]
	stats.Count, stats.Unsent = 3, 1
	if err := Show(&bytes.Buffer{}, events); err != nil {
		t.Error(err)
	}
}

// A delete that could not ask the source made no version, and is no fault.
func TestShowTakesFailedDeletes(t *testing.T) {
	events := record()
	for _, name := range SetUps {
		events = append(events, Event{SetUp: name, Kind: KindDelete, Due: 900 * ms, Key: "a", Err: "lost"})
	}
	if err := Show(&bytes.Buffer{}, events); err != nil {
		t.Error(err)
	}
}
