package fleet_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/corralcache/corral/sharded/fleet"
)

// Calls that take too long halve what goes on at a time, those that do not add to it.
func TestMigrate_Pace(t *testing.T) {
	const fast, slow, latency = time.Millisecond, time.Second, 50 * time.Millisecond
	for _, c := range []struct {
		took  []time.Duration
		limit float64
		pause time.Duration
	}{
		{nil, 1, 0},
		{[]time.Duration{fast}, 2, 0},
		{[]time.Duration{fast, fast}, 2.5, 0},
		{slices.Repeat([]time.Duration{fast}, 100), 8, 0},
		{append(slices.Repeat([]time.Duration{fast}, 100), slow), 4, 0},
		{append(slices.Repeat([]time.Duration{fast}, 100), slow, slow, slow), 1, 0},
		{append(slices.Repeat([]time.Duration{fast}, 100), slow, slow, slow, slow), 1, latency},
		{slices.Repeat([]time.Duration{slow}, 100), 1, time.Second},
		{[]time.Duration{slow, slow, fast}, 1, latency},
		{[]time.Duration{latency}, 2, 0},
	} {
		if limit, pause := fleet.Pace(8, latency, c.took...); limit != c.limit || pause != c.pause {
			t.Errorf("after %v: %v at a time, %v before each; want %v, %v", c.took, limit, pause, c.limit, c.pause)
		}
	}
}

// Not more bytes a second than may be, and not more progress than once a second.
func TestMigrate_BytesAndProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		f := s.process(two, fleet.Options[string]{})
		moved := movers(t, two, three, stocked(t, f, 2000))
		_, err := f.Apply(t.Context(), three)
		must(t, err)
		start := time.Now()
		var last time.Time
		told := 0
		report, err := fleet.Migrate(t.Context(), f, migrate{
			Batch: 10, BytesPerSecond: 1000, KeepWindow: true,
			Size: func(any) int { return 10 },
			Progress: func(r fleet.Report) {
				if told++; !last.IsZero() && time.Since(last) < time.Second {
					t.Errorf("there was progress %v ago", time.Since(last))
				}
				last = time.Now()
				if most := int64(time.Since(start)/time.Millisecond) + 4*100; r.Bytes > most {
					t.Errorf("after %v there were %d bytes, want at most %d", time.Since(start), r.Bytes, most)
				}
				panic("it goes on")
			},
		})
		must(t, err)
		took, least := time.Since(start), time.Duration(len(moved)*10-4*100)*time.Millisecond
		if report.Bytes != int64(len(moved)*10) || took < least || took > least+time.Second {
			t.Errorf("%d bytes took %v, want %d in %v", report.Bytes, took, len(moved)*10, least)
		}
		if told < int(took/time.Second)/2 || told > int(took/time.Second) {
			t.Errorf("%d times progress in %v", told, took)
		}
	})
}
